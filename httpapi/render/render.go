package render

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"secretsync/gitstore/catalog"
	"secretsync/reconcile/status"
)

// Secret appends a definition as the contract's Secret. What has not
// happened yet (a first sync) is null.
func Secret(b []byte, e *catalog.Entry, s *status.Status) []byte {
	b = appendDesired(b, e)
	b = append(appendStatus(b, s), `,"syncStatuses":[`...)
	for i := range s.Targets {
		if i > 0 {
			b = append(b, ',')
		}
		b = TargetStatus(b, &s.Targets[i])
	}
	return appendOrigin(append(b, "]}"...), e)
}

// Summary appends a definition as [Secret] does, without the statuses
// of its targets.
func Summary(b []byte, e *catalog.Entry, s *status.Status) []byte {
	b = appendStatus(appendDesired(b, e), s)
	return appendOrigin(append(b, '}'), e)
}

// appendDesired appends what shall be synced where, up to the status.
func appendDesired(b []byte, e *catalog.Entry) []byte {
	b = Name(append(b, `{"name":`...), e.Name)
	b = Name(append(b, `,"secretPath":`...), e.Definition.SecretPath)
	if e.Definition.Shape != nil {
		b = appendShape(b, e.Definition.Shape)
	}
	b = append(b, `,"sync":[`...)
	for i, t := range e.Definition.Sync {
		if i > 0 {
			b = append(b, ',')
		}
		b = Name(append(b, `{"cluster":`...), t.Cluster)
		if t.Selector.IsZero() {
			b = Name(append(b, `,"namespace":`...), t.Namespace)
		} else {
			b = append(append(b, `,"namespaceSelector":`...), t.Selector.JSON()...)
		}
		if !t.SecretName.IsZero() {
			b = Name(append(b, `,"secretName":`...), t.SecretName)
		}
		if !t.Restart.IsZero() {
			b = append(b, `,"restart":`...)
			for j, w := range t.Restart.Workloads() {
				b = String(append(b, "[,"[min(j, 1)]), w)
			}
			b = append(b, ']')
		}
		b = append(b, '}')
	}
	return append(b, `],"status":`...)
}

// appendOrigin appends where a definition comes from, and ends it.
func appendOrigin(b []byte, e *catalog.Entry) []byte {
	b = Name(append(b, `,"resourceVersion":`...), e.Revision)
	b = Time(append(b, `,"createdAt":`...), e.Created)
	return append(b, '}')
}

// appendStatus appends the status up to the targets'.
func appendStatus(b []byte, s *status.Status) []byte {
	b = String(append(b, `{"phase":`...), string(s.Phase))
	b = append(b, `,"conditions":[{"type":"Ready","status":`...)
	if s.Ready.Status {
		b = append(b, `"True"`...)
	} else {
		b = append(b, `"False"`...)
	}
	b = String(append(b, `,"reason":`...), string(s.Ready.Reason))
	b = String(append(b, `,"message":`...), s.Ready.Message)
	b = Time(append(b, `,"lastTransitionTime":`...), s.Ready.LastTransition)
	return append(b, "}]"...)
}

// TargetStatus appends how one target of a definition stands.
func TargetStatus(b []byte, t *status.Target) []byte {
	b = Name(append(b, `{"cluster":`...), t.Target.Cluster)
	b = Name(append(b, `,"namespace":`...), t.Target.Namespace)
	if !t.Target.Selector.IsZero() {
		b = append(append(b, `,"namespaceSelector":`...), t.Target.Selector.JSON()...)
	}
	b = Name(append(b, `,"secretName":`...), t.Secret)
	b = String(append(b, `,"state":`...), string(t.State))
	b = String(append(b, `,"reason":`...), string(t.Reason))
	b = String(append(b, `,"message":`...), t.Message)
	b = Time(append(b, `,"lastSyncTime":`...), t.LastSync)
	b = append(b, `,"vaultVersion":`...)
	if t.VaultVersion == 0 {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendInt(b, int64(t.VaultVersion), 10)
	}
	if t.Restarts != nil {
		b = appendRestarts(append(b, `,"restarts":`...), t.Restarts)
	}
	if len(t.VaultVersions) > 0 {
		b = appendVersions(append(b, `,"vaultVersions":`...), t.VaultVersions)
	}
	b = append(b, `,"commit":`...)
	if t.Commit.IsZero() {
		b = append(b, "null"...)
	} else {
		b = Name(b, t.Commit)
	}
	b = append(b, `,"observedRevision":`...)
	if t.Observed.IsZero() {
		b = append(b, "null"...)
	} else {
		b = Name(b, t.Observed)
	}
	return append(b, '}')
}

// appendVersions appends versions by path.
func appendVersions(b []byte, versions map[string]int) []byte {
	for i, path := range slices.Sorted(maps.Keys(versions)) {
		b = append(b, "{,"[min(i, 1)])
		b = append(String(b, path), ':')
		b = strconv.AppendInt(b, int64(versions[path]), 10)
	}
	return append(b, '}')
}

// Name appends a parsed name, none of which holds a character that JSON
// escapes.
func Name[T interface{ String() string }](b []byte, name T) []byte {
	b = append(b, '"')
	b = append(b, name.String()...)
	return append(b, '"')
}

// Time appends a time as RFC 3339 in UTC; null where it never came.
func Time(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, "null"...)
	}
	b = append(b, '"')
	b = t.UTC().AppendFormat(b, time.RFC3339)
	return append(b, '"')
}

// String appends any text as a JSON string.
func String(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return appendEscaped(b, s)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendEscaped(b []byte, s string) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // answers are never HTML, and say so
	if err := enc.Encode(s); err != nil {
		return append(b, `""`...) // a string always encodes
	}
	return append(b, bytes.TrimRight(buf.Bytes(), "\n")...)
}
