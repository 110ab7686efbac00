package copies

import (
	"encoding/json"
	"hash/maphash"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/reconcile/kube/share"
)

// Labels and annotations that are set for a definition, beside ours and those of
// other people.
//
// Which of those on a Secret are a definition's says a list on the Secret itself,
// and not the field ownership of server-side apply: so a write stays one request
// under the condition that the Secret is as it was seen, which apply does not know;
// and who took a label over by an apply of his own with force would keep it from us
// for good, where the list says that it is to be put right.

// applied are the names of those that were set, sorted.
type applied struct {
	Labels      []string `json:"labels,omitempty"`
	Annotations []string `json:"annotations,omitempty"`
}

func appliedOf(labels, annotations map[string]string) applied {
	return applied{slices.Sorted(maps.Keys(labels)), slices.Sorted(maps.Keys(annotations))}
}

// text is the list as it stands on a Secret; empty where there is none.
func (a applied) text() string {
	if len(a.Labels)+len(a.Annotations) == 0 {
		return ""
	}
	text, _ := json.Marshal(a) // names alone
	return string(text)
}

// parseApplied reads the list. One that somebody garbled is none.
func parseApplied(text string) (a applied) {
	if text == "" || json.Unmarshal([]byte(text), &a) != nil {
		return applied{}
	}
	return a
}

// Worn tells labels and annotations of a definition apart, by name and text, within
// this process; zero is none. It takes the place of the maps, which a copy would
// have to keep in memory.
type Worn uint64

// Wear is how labels and annotations are worn that are as they should be.
func Wear(labels, annotations map[string]string) Worn {
	return appliedOf(labels, annotations).worn(labels, annotations)
}

// worn is how those of a list are worn by what stands on a Secret.
func (a applied) worn(labels, annotations map[string]string) Worn {
	if len(a.Labels)+len(a.Annotations) == 0 {
		return 0
	}
	var h maphash.Hash
	h.SetSeed(seed)
	for i, set := range []struct {
		names []string
		there map[string]string
	}{{a.Labels, labels}, {a.Annotations, annotations}} {
		for _, name := range set.names {
			text, ok := set.there[name]
			h.WriteByte(byte(i))
			h.WriteString(name)
			h.WriteByte(0)
			if ok {
				h.WriteString(text)
				h.WriteByte(1)
			}
		}
	}
	return max(1, Worn(h.Sum64()))
}

// wears fills in what a Secret wears.
func (c *Copy) wears(m *metav1.ObjectMeta) {
	c.Applied = Intern(m.Annotations[AnnotationApplied])
	c.Worn = parseApplied(c.Applied).worn(m.Labels, m.Annotations)
}

// outworn are the labels and annotations of an old copy that the one that it should
// be does not have, ours included.
func outworn(old *Copy, s *Sent) (labels, annotations []string) {
	was := parseApplied(old.Applied)
	annotations = was.Annotations
	for name, there := range map[string]bool{
		AnnotationRecipe: old.Recipe != "", AnnotationOthers: old.Others != "",
		AnnotationApplied: old.Applied != "", AnnotationDeletionPolicy: old.Deletes,
	} {
		if there {
			annotations = append(annotations, name)
		}
	}
	if old.shared != nil { // it was shared, by none but the definition whose copy it becomes
		for o, stamp := range old.shared.stamps {
			annotations = append(annotations, share.Annotation(o.Name))
			for _, e := range stamp.Entries() {
				switch held := old.shared.entries[e]; {
				case held.by != o || held.declared():
				case e.Kind == share.Label:
					was.Labels = append(was.Labels, e.Name)
				case e.Kind == share.Annotated:
					annotations = append(annotations, e.Name)
				}
			}
		}
	}
	gone := func(names []string, kept map[string]string) (gone []string) {
		for _, name := range names {
			if _, ok := kept[name]; !ok {
				gone = append(gone, name)
			}
		}
		return gone
	}
	return gone(was.Labels, s.labels), gone(annotations, s.annotations)
}
