package restart

import (
	"maps"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

func TestPlan(t *testing.T) {
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	name := Annotation("db")
	for _, test := range []struct {
		name      string
		there     map[string]string
		copy      copied
		own, pods string // what is set on the workload and on its template
	}{
		{"what the pods were started with already does nothing", map[string]string{name: "a"}, copied{hash: "a"}, "", ""},
		{"other data restart it", map[string]string{name: "a"}, copied{hash: "b"}, "b", "b"},
		{"other data restart it though nobody saw them change, as after a crash", map[string]string{name: "a"}, copied{hash: "b"}, "b", "b"},
		{"a copy that is used for the first time is noted", nil, copied{hash: "a"}, "a", ""},
		{"a copy that changed before the workload was made is noted", nil, copied{hash: "b", changed: made.Add(-time.Second)}, "b", ""},
		{"a copy that changed before the first note restarts what was there by then", nil, copied{hash: "b", changed: made.Add(time.Second)}, "b", "b"},
		{"what it bears of other Secrets counts for nothing", map[string]string{Annotation("other"): "x"}, copied{hash: "a"}, "a", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := plan(made, test.there, map[string]copied{"db": test.copy})
			if m.own[name] != test.own || m.template[name] != test.pods || len(m.own) > 1 || len(m.template) > 1 {
				t.Errorf("sets %v on the workload and %v on its template", m.own, m.template)
			}
		})
	}
}

func TestCopiesThatChangeTogetherRestartOnce(t *testing.T) {
	there := map[string]string{Annotation("a"): "1", Annotation("b"): "1", Annotation("c"): "1"}
	m := plan(time.Time{}, there, map[string]copied{"a": {hash: "2"}, "b": {hash: "2"}, "c": {hash: "1"}})
	want := map[string]string{Annotation("a"): "2", Annotation("b"): "2"}
	if !maps.Equal(m.own, want) || !maps.Equal(m.template, want) {
		t.Errorf("sets %v on the workload and %v on its template, not %v in one request", m.own, m.template, want)
	}
}

func TestAnnotationsAreNamesThatKubernetesAllows(t *testing.T) {
	seen := make(map[string]string)
	for _, secret := range []string{"a", "db.credentials", strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 253), strings.Repeat("a.b-", 62) + "c"} {
		name := Annotation(secret)
		if problems := validation.IsQualifiedName(name); len(problems) > 0 {
			t.Errorf("%s: %v", name, problems)
		}
		if other, twice := seen[name]; twice {
			t.Errorf("%s stands for %s and for %s", name, other, secret)
		}
		seen[name] = secret
	}
}
