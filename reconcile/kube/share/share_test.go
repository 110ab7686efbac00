package share

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func fields(manager string, how metav1.ManagedFieldsOperationType, at int64, text string) metav1.ManagedFieldsEntry {
	when := metav1.Unix(at, 0)
	return metav1.ManagedFieldsEntry{Manager: manager, Operation: how, Time: &when, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(text)}
}

func TestWhoManagesAnEntryIsWhoDeclaredItElseAnotherElseUs(t *testing.T) {
	const key, label = `{"f:data":{".":{},"f:a.b/c":{}}}`, `{"f:metadata":{"f:labels":{"f:team":{}},"f:annotations":{"f:note":{}}}}`
	us, by, apply := fields("us", metav1.ManagedFieldsOperationUpdate, 9, key), metav1.ManagedFieldsOperationUpdate, metav1.ManagedFieldsOperationApply
	for name, c := range map[string]struct {
		fields []metav1.ManagedFieldsEntry
		entry  Entry
		want   string
		others bool
	}{
		"nobody":                          {nil, Entry{Data, "a.b/c"}, "", false},
		"us":                              {[]metav1.ManagedFieldsEntry{us}, Entry{Data, "a.b/c"}, "us", false},
		"of another key":                  {[]metav1.ManagedFieldsEntry{us}, Entry{Data, "a"}, "", false},
		"another goes before us":          {[]metav1.ManagedFieldsEntry{us, fields("kubectl", by, 1, key)}, Entry{Data, "a.b/c"}, "kubectl", true},
		"the newest of others":            {[]metav1.ManagedFieldsEntry{fields("x", by, 2, key), fields("y", by, 1, key)}, Entry{Data, "a.b/c"}, "x", true},
		"who declares goes before all":    {[]metav1.ManagedFieldsEntry{fields("x", by, 2, key), fields("argocd", apply, 1, key), us}, Entry{Data, "a.b/c"}, "argocd", true},
		"a label":                         {[]metav1.ManagedFieldsEntry{us, fields("helm", by, 1, label)}, Entry{Label, "team"}, "helm", true},
		"an annotation":                   {[]metav1.ManagedFieldsEntry{us, fields("helm", by, 1, label)}, Entry{Annotated, "note"}, "helm", true},
		"fields that can't be read":       {[]metav1.ManagedFieldsEntry{fields("x", by, 1, `{"f:`)}, Entry{Data, "a"}, "", true},
		"fields of a part of it are none": {[]metav1.ManagedFieldsEntry{{Manager: "x", Operation: by, Subresource: "status", FieldsV1: metav1.NewFieldsV1(key)}}, Entry{Data, "a.b/c"}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			m := ManagersOf(c.fields, "us")
			if of := m.Of(c.entry); of.Name != c.want || of.Applied != (c.want == "argocd") || m.Others != c.others || c.want != "" && of.Time.Equal(time.Time{}) {
				t.Errorf("%+v, others %v", of, m.Others)
			}
		})
	}
}

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	s := Stamp{Tenant: "acme", Commit: "c", Path: "p", Version: 3, Created: "t", Recipe: "r", Others: "o@1@t", Deletes: true,
		Keys: map[string]string{"b": "2", "a": "1"}, Labels: []string{"team"}, Annotations: []string{"note"}}
	got, ok := Parse(s.Text())
	if !ok || got.Text() != s.Text() {
		t.Fatalf("%v %+v", ok, got)
	}
	want := []Entry{{Data, "a"}, {Data, "b"}, {Label, "team"}, {Annotated, "note"}}
	if all := got.Entries(); !slices.Equal(all, want) {
		t.Errorf("%v", all)
	}
	for i, e := range want {
		if got.Lists(Entry{e.Kind, e.Name + "x"}) || !got.Lists(e) {
			t.Errorf("lists %s: %v", e, got.Lists(e))
		}
		if got = got.Without(e); got.Lists(e) || len(got.Entries()) != len(want)-i-1 {
			t.Errorf("without %s: %v", e, got.Entries())
		}
	}
	if !got.Empty() || len(s.Entries()) != len(want) {
		t.Errorf("left %v of %v", got.Entries(), s.Entries())
	}
	if name, ok := Definition(Annotation("db")); !ok || name != "db" {
		t.Errorf("%q %v", name, ok)
	}
	if _, ok := Definition("secretsync.dev/hash"); ok {
		t.Error("another annotation is a record")
	}
	if e := (Entry{Label, "team"}); e.String() != "label team" {
		t.Errorf("%s", e)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"tenant":"acme","path":"p","version":1,"keys":{"a":"0"}}`)
	f.Add(`{"tenant":"acme","keys":null,"labels":[""]}`)
	f.Fuzz(func(t *testing.T, text string) {
		s, ok := Parse(text)
		if !ok {
			return
		}
		again, ok := Parse(s.Text())
		if !ok || again.Text() != s.Text() {
			t.Fatalf("%q is read as %q and then as %q", text, s.Text(), again.Text())
		}
		for _, e := range s.Entries() {
			if less := s.Without(e); less.Lists(e) {
				t.Fatalf("%s stays in %q", e, strings.TrimSpace(less.Text()))
			}
		}
	})
}
