package share

import (
	"encoding/json"
	"slices"
	"strings"
)

const suffix = ".merge.secretsync.dev/stamp"

// Annotation is the name of a definition's record on a Secret that it shares.
func Annotation(definition string) string { return definition + suffix }

// Definition is whose record an annotation is; false where it is none.
func Definition(annotation string) (string, bool) { return strings.CutSuffix(annotation, suffix) }

// Stamp is a record: what a share was made of, and what belongs to it.
type Stamp struct {
	// Format is how the rest is to be read, as that of a copy; absent is the first.
	Format  uint16 `json:"format,omitempty"`
	Tenant  string `json:"tenant"`
	Commit  string `json:"commit,omitempty"`
	Path    string `json:"path"`
	Version int    `json:"version"`
	Created string `json:"created,omitempty"` // of the version, as the vault wrote it
	Recipe  string `json:"recipe,omitempty"`
	Others  string `json:"others,omitempty"`  // versions of further paths
	Deletes bool   `json:"deletes,omitempty"` // the share goes with its target
	// Keys are those of the data, each with its proof.
	Keys        map[string]string `json:"keys"`
	Labels      []string          `json:"labels,omitempty"`
	Annotations []string          `json:"annotations,omitempty"`
}

// Text is the record as it stands on a Secret.
func (s Stamp) Text() string {
	text, _ := json.Marshal(s) // texts and numbers alone
	return string(text)
}

// Parse reads a record. One that somebody garbled is none.
func Parse(text string) (s Stamp, ok bool) {
	if json.Unmarshal([]byte(text), &s) != nil || s.Tenant == "" {
		return Stamp{}, false
	}
	return s, true
}

// Recorded reports whether there is a record among a Secret's annotations.
func Recorded(annotations map[string]string) bool {
	for name, text := range annotations {
		if _, is := Definition(name); is {
			if _, ok := Parse(text); ok {
				return true
			}
		}
	}
	return false
}

// Lists reports whether an entry is listed.
func (s *Stamp) Lists(e Entry) bool {
	switch e.Kind {
	case Data:
		_, ok := s.Keys[e.Name]
		return ok
	case Label:
		return slices.Contains(s.Labels, e.Name)
	default:
		return slices.Contains(s.Annotations, e.Name)
	}
}

// Without is the record less an entry.
func (s Stamp) Without(e Entry) Stamp {
	less := func(names []string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == e.Name })
	}
	switch e.Kind {
	case Data:
		keys := make(map[string]string, len(s.Keys))
		for name, proof := range s.Keys {
			if name != e.Name {
				keys[name] = proof
			}
		}
		s.Keys = keys
	case Label:
		s.Labels = less(s.Labels)
	default:
		s.Annotations = less(s.Annotations)
	}
	return s
}

// Empty reports whether nothing is listed.
func (s *Stamp) Empty() bool { return len(s.Keys)+len(s.Labels)+len(s.Annotations) == 0 }

// Entries are all that are listed, in an order that is always the same.
func (s *Stamp) Entries() []Entry {
	var all []Entry
	for name := range s.Keys {
		all = append(all, Entry{Data, name})
	}
	for _, name := range s.Labels {
		all = append(all, Entry{Label, name})
	}
	for _, name := range s.Annotations {
		all = append(all, Entry{Annotated, name})
	}
	slices.SortFunc(all, Entry.compare)
	return all
}
