package reconcile

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// model says what each Secret and each status of one tenant must be, by the rules
// alone: it is written from them and not from the code, and shares none with it.
type model struct {
	tenant    string
	suspended bool // by the operator
	pairs     [][2]string
	granted   []string // namespaces

	values     map[string]*modelValue // by path; none: never written
	definition map[string]*spec       // at HEAD
	removed    map[string]*spec       // as it was last
	holders    map[spot]string        // of those that claim it
	stands     map[spot]*standingCopy
	namespaces map[string]map[string]string // by cluster/namespace, their labels; none: it does not exist
}

// spot is a Secret, wherever it stands or should.
type spot struct{ cluster, namespace, secret string }

type modelValue struct {
	data    map[string]any
	deleted bool
	version int
}

// spec is a definition. Zero fields are not given.
type spec struct {
	name, path          string
	kind                string
	data                map[string]source
	labels, annotations map[string]string
	policy              string
	suspend             *bool
	interval            string
	sync                []wish
}

type source struct {
	path, key, field, decode string
	template                 []piece // instead of key
}

// piece is a text, or a key of the value as a function makes it.
type piece struct{ text, key, function string }

type wish struct {
	cluster, namespace string
	operator           string // of a selector by the label team, instead of namespace
	teams              []string
	secret             string
	restart            []string
}

// standingCopy is a Secret that is to stand.
type standingCopy struct {
	by                  string // the definition; empty: it is foreign
	kind                string
	data                map[string]string
	labels, annotations map[string]string // of the definition
	theirs, noted       map[string]string // labels and annotations of other people
	deletes             bool
	version             int
	resource            string // of a foreign one: its resource version, as it must stay
}

// settle does what is to be done, and returns for each definition the reasons one of
// which the status of each of its targets may tell then.
func (m *model) settle() map[string]map[spot][]Reason {
	names := slices.Sorted(maps.Keys(m.definition))
	claims, claimants := make(map[string]map[spot]Reason), make(map[spot][]string)
	mayBe := make(map[string]bool) // what is refused may be meant for any cluster: a name may be one that a cluster had
	for _, name := range names {
		claims[name] = m.claims(m.definition[name])
		for at, refused := range claims[name] {
			if refused == "" {
				claimants[at] = append(claimants[at], name)
			} else {
				mayBe[at.namespace+"/"+at.secret] = true
			}
		}
	}
	m.holders = make(map[spot]string)
	for at, by := range claimants {
		slices.Sort(by)
		m.holders[at] = by[0]
		if c := m.stands[at]; c != nil && slices.Contains(by, c.by) {
			m.holders[at] = c.by // its copy stands there
		}
	}
	want := make(map[string]map[spot][]Reason)
	for _, name := range names {
		want[name] = make(map[spot][]Reason)
		for at, refused := range claims[name] {
			switch {
			case refused != "":
				want[name][at] = []Reason{refused}
			case m.holders[at] != name:
				want[name][at] = []Reason{ReasonTargetConflict}
			default:
				want[name][at] = m.work(at, m.definition[name])
			}
		}
	}
	for at, c := range m.stands {
		if c.by == "" || claimants[at] != nil || m.suspended || !c.deletes || mayBe[at.namespace+"/"+at.secret] {
			continue
		}
		policy := m.definition[c.by]
		if policy == nil {
			policy = m.removed[c.by]
		}
		if adopt := c.noted["secretsync.dev/adopt"]; adopt != "" && adopt != m.tenant+"/"+c.by {
			continue
		}
		if policy.policy == "Delete" && (policy.suspend == nil || !*policy.suspend) {
			delete(m.stands, at)
		}
	}
	return want
}

// claims are the places that a definition asks for, with why one is refused.
func (m *model) claims(s *spec) map[spot]Reason {
	claims := make(map[spot]Reason)
	secret := func(w wish) string {
		if w.secret == "" {
			return s.name
		}
		return w.secret
	}
	for _, w := range s.sync {
		if w.operator != "" {
			continue
		}
		at := spot{w.cluster, w.namespace, secret(w)}
		switch {
		case w.cluster == "nowhere":
			claims[at] = ReasonClusterNotFound
		case !slices.Contains(m.granted, w.namespace):
			claims[at] = ReasonNamespaceNotAllowed
		default:
			claims[at] = ""
		}
	}
	for _, w := range s.sync {
		for _, namespace := range m.granted {
			labels, exists := m.namespaces[w.cluster+"/"+namespace]
			if w.operator == "" || !exists || !w.matches(labels) {
				continue
			}
			claims[spot{w.cluster, namespace, secret(w)}] = ""
		}
	}
	return claims
}

func (w *wish) matches(labels map[string]string) bool {
	team, has := labels["team"]
	switch w.operator {
	case "Exists":
		return has
	case "DoesNotExist":
		return !has
	case "NotIn":
		return !has || !slices.Contains(w.teams, team)
	}
	return has && slices.Contains(w.teams, team) // In, and matchLabels
}

// work does what is to be done in a place that the definition has, and returns the
// reasons one of which its status may tell then.
func (m *model) work(at spot, s *spec) []Reason {
	if m.suspended || s.suspend != nil && *s.suspend {
		return []Reason{ReasonSuspended}
	}
	kind, data, faults := m.copyOf(s)
	stands := m.stands[at]
	if _, exists := m.namespaces[at.cluster+"/"+at.namespace]; !exists {
		return append(faults, ReasonNamespaceNotFound)
	}
	if stands != nil && stands.by == "" {
		if stands.noted["secretsync.dev/adopt"] != m.tenant+"/"+s.name {
			return append(faults, ReasonNotOwned)
		}
		if stands.kind != kind {
			return append(faults, ReasonTypeMismatch)
		}
	}
	if len(faults) > 0 {
		return faults
	}
	written := &standingCopy{
		by: s.name, kind: kind, data: data, labels: s.labels, annotations: s.annotations, deletes: s.policy == "Delete",
		version: m.values[s.path].version, theirs: map[string]string{}, noted: map[string]string{},
	}
	if stands != nil {
		written.theirs, written.noted = stands.theirs, stands.noted
	}
	m.stands[at] = written
	return []Reason{ReasonSynced}
}

// copyOf makes the data of a copy, or says why there is none.
func (m *model) copyOf(s *spec) (kind string, data map[string]string, faults []Reason) {
	if kind = s.kind; kind == "" {
		kind = "Opaque"
	}
	for _, path := range s.paths() {
		switch v := m.values[path]; {
		case v == nil:
			faults = append(faults, ReasonValueNotFound)
		case v.deleted:
			faults = append(faults, ReasonValueDeleted)
		}
	}
	if len(faults) > 0 {
		return kind, nil, faults
	}
	data = make(map[string]string)
	if s.data == nil {
		for key, v := range m.values[s.path].data {
			if data[key] = textOf(v); strings.ContainsAny(key, " !") {
				return kind, nil, []Reason{ReasonInvalidKey}
			}
		}
	}
	for key, from := range s.data {
		path := from.path
		if path == "" {
			path = s.path
		}
		text, fault := from.text(m.values[path].data)
		if data[key] = text; fault != "" {
			faults = append(faults, fault)
		}
	}
	if len(faults) > 0 {
		return kind, nil, faults
	}
	if data = m.fit(kind, data); data == nil {
		return kind, nil, []Reason{ReasonInvalidKey}
	}
	return kind, data, nil
}

func (s *spec) paths() []string {
	paths := []string{s.path}
	for _, from := range s.data {
		if from.path != "" && !slices.Contains(paths, from.path) {
			paths = append(paths, from.path)
		}
	}
	return paths
}

func (from *source) text(value map[string]any) (string, Reason) {
	if from.template != nil {
		var out strings.Builder
		for _, p := range from.template {
			v, there := value[p.key]
			text := textOf(v)
			switch {
			case p.key == "":
				text = p.text
			case p.function == "get" && (!there || text == ""):
				text = "none"
			case !there:
				return "", ReasonTemplateFailed
			case p.function == "urlquery":
				text = url.QueryEscape(text)
			case p.function == "b64enc":
				text = base64.StdEncoding.EncodeToString([]byte(text))
			case p.function == "upper":
				text = strings.ToUpper(text)
			}
			out.WriteString(text)
		}
		return out.String(), ""
	}
	v, there := value[from.key]
	if !there {
		return "", ReasonKeyNotFound
	}
	if from.field != "" {
		if text, ok := v.(string); ok {
			decoder := json.NewDecoder(strings.NewReader(text))
			if decoder.UseNumber(); decoder.Decode(&v) != nil {
				return "", ReasonKeyNotFound
			}
		}
		for name := range strings.SplitSeq(from.field, ".") {
			switch at := v.(type) {
			case map[string]any:
				if v, there = at[name]; !there {
					return "", ReasonKeyNotFound
				}
			case []any:
				i, err := strconv.Atoi(name)
				if err != nil || i < 0 || i >= len(at) {
					return "", ReasonKeyNotFound
				}
				v = at[i]
			default:
				return "", ReasonKeyNotFound
			}
		}
	}
	text := textOf(v)
	if from.decode == "" {
		return text, ""
	}
	var out []byte
	var err error
	switch text = strings.TrimRight(strings.Join(strings.Fields(text), ""), "="); from.decode {
	case "base64":
		out, err = base64.RawStdEncoding.DecodeString(text)
	case "base64url":
		out, err = base64.RawURLEncoding.DecodeString(text)
	case "hex":
		out, err = hex.DecodeString(text)
	}
	if err != nil {
		return "", ReasonInvalidKey
	}
	return string(out), ""
}

// textOf is how a member of a value stands in a Secret.
func textOf(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// fit makes data those of a type; nil: they can't be.
func (m *model) fit(kind string, data map[string]string) map[string]string {
	has := func(keys ...string) bool {
		return !slices.ContainsFunc(keys, func(key string) bool { _, ok := data[key]; return !ok })
	}
	switch corev1.SecretType(kind) {
	case corev1.SecretTypeTLS:
		if !slices.Contains(m.pairs, [2]string{data["tls.crt"], data["tls.key"]}) {
			return nil
		}
	case corev1.SecretTypeBasicAuth:
		if !has("username") && !has("password") {
			return nil
		}
	case corev1.SecretTypeSSHAuth:
		if data["ssh-privatekey"] == "" {
			return nil
		}
	case corev1.SecretTypeDockerConfigJson:
		if !has("server", "username", "password") {
			return nil
		}
		entry := map[string]string{
			"username": data["username"], "password": data["password"], "email": data["email"],
			"auth": base64.StdEncoding.EncodeToString([]byte(data["username"] + ":" + data["password"])),
		}
		maps.DeleteFunc(entry, func(_, text string) bool { return text == "" })
		composed := maps.Clone(data)
		composed[corev1.DockerConfigJsonKey] = textOf(map[string]any{"auths": map[string]any{data["server"]: entry}})
		for _, part := range []string{"server", "username", "password", "email"} {
			delete(composed, part)
		}
		return composed
	}
	return data
}
