package share

import (
	"bytes"
	"cmp"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Kind is what an entry is one of.
type Kind uint8

// The kinds of entries.
const (
	Data Kind = iota
	Label
	Annotated
)

// Entry is something on a Secret that can be one definition's.
type Entry struct {
	Kind Kind
	Name string
}

func (e Entry) String() string { return [...]string{"key ", "label ", "annotation "}[e.Kind] + e.Name }

func (e Entry) compare(o Entry) int {
	return cmp.Or(cmp.Compare(e.Kind, o.Kind), cmp.Compare(e.Name, o.Name))
}

func (e Entry) path() fieldpath.Path {
	switch e.Kind {
	case Data:
		return fieldpath.MakePathOrDie("data", e.Name)
	case Label:
		return fieldpath.MakePathOrDie("metadata", "labels", e.Name)
	default:
		return fieldpath.MakePathOrDie("metadata", "annotations", e.Name)
	}
}

// Manager is who manages an entry, as managed fields tell. Its zero value is that
// nobody can tell.
type Manager struct {
	Name    string
	Applied bool // declared by server-side apply
	Time    time.Time
}

// Managers reads from managed fields who manages entries. ours is our own name.
type Managers struct {
	ours string
	each []managed
	// Others: somebody but us manages something, whatever it is.
	Others bool
}

type managed struct {
	by  Manager
	set *fieldpath.Set
}

// ManagersOf reads managed fields. Those that can't be read tell nothing.
func ManagersOf(fields []metav1.ManagedFieldsEntry, ours string) Managers {
	m := Managers{ours: ours}
	for i := range fields {
		f := &fields[i]
		m.Others = m.Others || f.Manager != ours
		if f.FieldsV1 == nil || f.Subresource != "" {
			continue
		}
		set := new(fieldpath.Set)
		if set.FromJSON(bytes.NewReader(f.FieldsV1.GetRawBytes())) != nil {
			continue
		}
		by := Manager{Name: f.Manager, Applied: f.Operation == metav1.ManagedFieldsOperationApply}
		if f.Time != nil {
			by.Time = f.Time.Time
		}
		m.each = append(m.each, managed{by, set})
	}
	return m
}

// Of is who manages an entry: of several one that declared it, else one that is not
// us, else us.
func (m *Managers) Of(e Entry) (of Manager) {
	path, rank := e.path(), 0
	for i := range m.each {
		if !m.each[i].set.Has(path) {
			continue
		}
		by, r := m.each[i].by, 1
		switch {
		case by.Name == m.ours:
		case by.Applied:
			r = 3
		default:
			r = 2
		}
		if r > rank || r == rank && by.Time.After(of.Time) {
			of, rank = by, r
		}
	}
	return of
}
