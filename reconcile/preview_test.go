package reconcile

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/edit"
	"secretsync/gitstore/definition/folder"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/lookout"
	"secretsync/reconcile/plan"
)

// proposal is what a set of definitions would be: of each its targets; its path is
// its name.
func (w *world) proposal(definitions map[string][]string) definition.Set {
	w.t.Helper()
	var files []folder.File
	for name, places := range definitions {
		path, err := definition.ParseSecretPath(name)
		w.must(err)
		d, err := definition.New(w.parse(name), path, w.targets(places))
		w.must(err)
		text := edit.Encode(d)
		files = append(files, folder.File{Name: name + ".yaml", Mode: filemode.Regular, Read: func(int64) ([]byte, error) { return text, nil }})
	}
	set, err := folder.Read(files, 0)
	w.must(err)
	return set
}

func TestAPlanTellsWhatStandsAndWhatTheVaultHas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"password": "hunter2", "user": "app"})
	w.put("db", map[string]any{"password": "hunter3", "user": "app"})
	w.put("web", map[string]any{"a": "hunter2"})
	w.put("taken", map[string]any{"a": "hunter2"})
	w.define("db", "production/.")
	w.define("web", "production/.")
	w.synced("db", "web")
	w.create("production", &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "taken"}})
	w.create("production", &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "adopted", Annotations: map[string]string{copies.AnnotationAdopt: w.name + "/taken"}}})

	p, err := w.r.Plan(t.Context(), w.tenant(), w.repo.Snapshot().Set(), w.proposal(map[string][]string{
		"db":      {"production/.", "staging/."},
		"fresh":   {"production/."},
		"taken":   {"production/.", "production/./adopted"},
		"missing": {"production/" + w.name + "-missing"},
		"outside": {"production/kube-system", "nowhere/default"},
	}), true)
	w.must(err)
	var got []string
	for _, s := range p.Steps {
		line := fmt.Sprintf("%s %s v%d %s %s", s.Action, strings.ReplaceAll(s.Place(), w.name, "."), s.Version, strings.Join(s.Keys, ","), s.Standing)
		if s.Held != nil {
			line += " " + string(s.Held.Reason)
		}
		got = append(got, line)
	}
	want := []string{
		"create nowhere/default/outside v0   ClusterNotFound",
		"create production/kube-system/outside v0   NamespaceNotAllowed",
		"create production/./adopted v1 a none",
		"unchanged production/./db v2 password,user ",
		"create production/./fresh v0  none ValueNotFound",
		"create production/./taken v1 a foreign NotOwned",
		"stop production/./web v0  ",
		"create production/.-missing/missing v0  none NamespaceNotFound",
		"create staging/./db v2 password,user none",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
	if text, err := json.Marshal(p); err != nil || strings.Contains(string(text), "hunter") {
		t.Errorf("%v: a value is told: %s", err, text)
	}
	// Nothing of it is remembered.
	c := w.r.at.Load().connections["production"].it.kube
	if seen := c.Look(copies.Key{Namespace: w.namespace, Name: "taken"}); seen.Copy != nil {
		t.Errorf("what only a plan looked at is remembered: %v", seen.Copy)
	}
	if _, ok := w.r.tenant(w.tenant()).origins[mustPath(t, "fresh")]; ok {
		t.Error("a path that only a plan looked at is followed")
	}

	// A copy of earlier that stands there still is told.
	w.remove("web")
	w.statusGone("web")
	p, err = w.r.Plan(t.Context(), w.tenant(), w.repo.Snapshot().Set(), w.proposal(map[string][]string{"db": {"production/."}, "web": {"production/."}}), true)
	w.must(err)
	if len(p.Steps) != 1 || p.Steps[0].Action != plan.Resume || p.Steps[0].Version != 1 {
		t.Errorf("%+v", p.Steps)
	}

	// Without looking it is told by the configuration alone.
	p, err = w.r.Plan(t.Context(), w.tenant(), w.repo.Snapshot().Set(), w.proposal(map[string][]string{"taken": {"production/."}}), false)
	w.must(err)
	if p.Live || p.Steps[1].Held != nil || p.Steps[1].Version != 0 {
		t.Errorf("%+v", p)
	}
}

func TestPlansCantTryOutPathsForLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.reachable()
	many := make(map[string][]string)
	for i := range 2*lookout.MostPaths + 50 {
		many[fmt.Sprintf("guess-%d", i)] = []string{"production/."}
	}
	looked := 0
	for range 4 {
		p, err := w.r.Plan(t.Context(), w.tenant(), definition.Set{}, w.proposal(many), true)
		w.must(err)
		looked += len(many) - p.Unlooked
	}
	// What comes back meanwhile is little.
	if looked < lookout.MostPaths || looked > 3*lookout.MostPaths {
		t.Errorf("%d paths were looked up", looked)
	}
}

func mustPath(t *testing.T, s string) definition.SecretPath {
	t.Helper()
	p, err := definition.ParseSecretPath(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// statusGone waits until nothing is done for a definition any more.
func (w *world) statusGone(name string) {
	w.t.Helper()
	for {
		changed := w.r.tenant(w.tenant()).changes.wait()
		t := w.r.tenant(w.tenant())
		t.mu.RLock()
		there := t.definitions[w.parse(name)] != nil
		t.mu.RUnlock()
		if !there {
			return
		}
		<-changed
	}
}
