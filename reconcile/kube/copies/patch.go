package copies

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"secretsync/reconcile/kube/refusal"
	"secretsync/reconcile/kube/share"
)

// Patch is the JSON patch (RFC 6902) that makes an old Secret the copy that it should be,
// or the share of one, if it still is as it was seen. It names only what is ours; the data
// of a copy are replaced as a whole, so that keys which left the vault leave the Secret.
func (s *Sent) Patch(old *Copy, data map[string][]byte) ([]byte, error) {
	if s.Part {
		return encoded(s.joins(old, data))
	}
	patch := append(onlyIf(old), patchOperation{"add", "/data", data})
	patch = appendEntries(patch, "/metadata/labels", s.labels, old.hasLabels)
	patch = appendEntries(patch, "/metadata/annotations", s.annotations, old.hasAnnotations)
	labels, annotations := outworn(old, s)
	patch = appendRemovals(patch, "/metadata/labels", labels)
	return encoded(appendRemovals(patch, "/metadata/annotations", annotations))
}

// onlyIf begins a patch that is for just what was seen: a version other than the one we
// know makes the server answer Conflict.
func onlyIf(old *Copy) []patchOperation {
	return []patchOperation{{"replace", "/metadata/resourceVersion", old.ResourceVersion}}
}

func encoded(patch []patchOperation) ([]byte, error) {
	body, err := json.Marshal(patch)
	if err != nil {
		return nil, &refusal.Error{Kind: refusal.Invalid, Message: "the Secret can't be encoded"}
	}
	return body, nil
}

type patchOperation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// entryPath escapes a name as part of a path (RFC 6901).
var entryPath = strings.NewReplacer("~", "~0", "/", "~1")

// appendRemovals takes entries out of a map that is there. Whether an entry is there
// as well is not known, and to remove one that is not would fail all of the patch;
// so each is set before.
func appendRemovals(patch []patchOperation, path string, names []string) []patchOperation {
	for _, name := range names {
		entry := path + "/" + entryPath.Replace(name)
		patch = append(patch, patchOperation{"add", entry, "removed"}, patchOperation{Op: "remove", Path: entry})
	}
	return patch
}

// appendEntries sets entries of a map beside what else is in it, or the whole
// map where there is none yet.
func appendEntries(patch []patchOperation, path string, entries map[string]string, there bool) []patchOperation {
	if !there {
		return append(patch, patchOperation{"add", path, entries})
	}
	for key, entry := range entries {
		patch = append(patch, patchOperation{"add", path + "/" + entryPath.Replace(key), entry})
	}
	return patch
}

// joins is what makes a definition's share of an old Secret what it should be.
func (s *Sent) joins(old *Copy, data map[string][]byte) []patchOperation {
	patch, h := onlyIf(old), old.shared
	if h == nil || !h.hasData {
		patch = append(patch, patchOperation{"add", "/data", data})
	} else {
		for _, key := range slices.Sorted(maps.Keys(data)) {
			patch = append(patch, patchOperation{"add", "/data/" + entryPath.Replace(key), data[key]})
		}
	}
	patch = appendEntries(patch, "/metadata/labels", s.labels, old.hasLabels)
	patch = appendEntries(patch, "/metadata/annotations", s.annotations, old.hasAnnotations)
	if h == nil {
		// It was the definition's as a whole, and bore what such a copy bears.
		labels, annotations := outworn(old, s)
		patch = appendRemovals(patch, "/metadata/labels", append(labels, LabelManagedBy, LabelName))
		return appendRemovals(patch, "/metadata/annotations", append(annotations,
			AnnotationCommit, AnnotationVaultPath, AnnotationVaultVersion, AnnotationVaultCreated, AnnotationHash))
	}
	for _, name := range s.emptied {
		patch = append(patch, removal(share.Entry{Kind: share.Annotated, Name: name}))
	}
	if h.named { // with our label beside it, it would say that it is a definition's as a whole
		patch = append(patch, removal(share.Entry{Kind: share.Label, Name: LabelName}))
	}
	return append(patch, h.removals(s.Owner, s.stamp)...)
}

// removal takes away what is known to stand on a Secret.
func removal(e share.Entry) patchOperation {
	where := [...]string{share.Data: "/data/", share.Label: "/metadata/labels/", share.Annotated: "/metadata/annotations/"}[e.Kind]
	return patchOperation{Op: "remove", Path: where + entryPath.Replace(e.Name)}
}

// removals take the entries of a share away that are not listed in next: keys that hold
// what we wrote, and labels and annotations that nobody else has declared.
func (h *sharing) removals(o Owner, next share.Stamp) (patch []patchOperation) {
	stamp := h.stamps[o]
	for _, e := range stamp.Entries() {
		held, there := h.entries[e]
		if !there || next.Lists(e) || held.by != o || held.declared() || e.Kind == share.Data && !held.proven {
			continue
		}
		patch = append(patch, removal(e))
	}
	return patch
}
