package reconcile

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/definition/folder"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/plan"
	"secretsync/reconcile/status"
)

func TestMoreNamespacesThanATargetMayHaveAreHeld(t *testing.T) {
	w := newWorld(t, func(w *world) { w.config.mostNamespaces = 2 })
	team := `{"team":"` + w.name + `"}`
	w.put("db", map[string]any{"a": "1"})
	w.label("production", w.name+"-a", team)
	w.label("production", w.name+"-b", team)
	w.selecting("db", w.team(""))
	w.stands("db", "-a/Synced", "-b/Synced")

	w.label("production", w.name+"-c", team)
	w.stands("db", "/TooManyNamespaces", "-a/Synced", "-b/Synced")
	w.label("production", w.name+"-d", team)
	w.label("production", w.name+"-a", `{"team":null}`)
	s := w.statusWhere("db", "3 namespaces", func(s status.Status) bool { return strings.Contains(s.Targets[0].Message, "3 namespaces") })
	if len(s.Targets) != 3 || s.Phase != status.Degraded {
		t.Errorf("%+v", s)
	}
	if w.get("production/"+w.name+"-c/db") != nil {
		t.Error("it was written beyond the bound")
	}
	if o := w.orphans(); len(o) > 0 {
		t.Errorf("orphans: %+v", o)
	}
	w.label("production", w.name+"-c", `{"team":null}`)
	w.stands("db", "-b/Synced", "-d/Synced")
	if o := w.orphans(); len(o) != 1 {
		t.Errorf("orphans: %+v", o)
	}
}

func TestMoreNamespacesThanATenantMayHaveTogetherAreNotAdded(t *testing.T) {
	w := newWorld(t, func(w *world) { w.config.SelectedNamespaces = 3 })
	team := func(s string) string { return `{"team":"` + w.name + s + `"}` }
	w.put("db", map[string]any{"a": "1"})
	w.put("web", map[string]any{"a": "1"})
	for _, at := range []string{"-a x", "-b x", "-c y", "-d y"} {
		name, of, _ := strings.Cut(at, " ")
		w.label("production", w.name+name, team(of))
	}
	w.selecting("db", w.team("x"))
	w.stands("db", "-a/Synced", "-b/Synced")

	// There is room for one more, and two are asked for: none is added.
	w.selecting("web", w.team("y"))
	w.stands("web", "/TooManyNamespaces")
	s := w.statusWhere("web", "held", func(s status.Status) bool { return s.Phase == status.Failed })
	if says := s.Targets[0].Message; !strings.Contains(says, "2 more namespaces") || !strings.Contains(says, "may have 3 and have 2") || !strings.Contains(says, "selectedNamespaces") {
		t.Errorf("%s", says)
	}
	another := []byte("name: more\nsecretPath: db\nsync: [" + w.team("y") + "]\n")
	more, err := folder.Read([]folder.File{{Name: "more.yaml", Mode: filemode.Regular, Read: func(int64) ([]byte, error) { return another, nil }}}, 0)
	w.must(err)
	p, err := w.r.Plan(w.ctx, w.tenant(), w.repo.Snapshot().Set(), w.repo.Snapshot().Set().With(more, nil), true)
	w.must(err)
	if i := slices.IndexFunc(p.Steps, func(s plan.Step) bool { return s.Definition == "more" }); i < 0 || p.Steps[i].Held == nil || p.Steps[i].Held.Reason != fault.ReasonTooManyNamespaces || !strings.Contains(p.Failing(), "secrets/more.yaml") {
		t.Errorf("%q %+v", p.Failing(), p.Steps)
	}

	// What makes room lets it in, and what asks for more again is not added.
	w.label("production", w.name+"-a", `{"team":null}`)
	w.stands("web", "-c/Synced", "-d/Synced")
	w.label("production", w.name+"-a", team("x"))
	w.stands("db", "/TooManyNamespaces", "-b/Synced")
	w.restart(func() error { return nil }) // the lesser name goes first
	w.stands("db", "-a/Synced", "-b/Synced")
	w.stands("web", "/TooManyNamespaces")
	for _, namespace := range []string{"-c", "-d"} {
		w.holds("production/"+w.name+namespace+"/web", map[string]string{"a": "1"})
	}
	if o := w.orphans(); len(o) > 0 {
		t.Errorf("what there is no room for is nobody's: %+v", o)
	}

	// The operator's word counts at once; less takes nothing away that matches.
	w.config.Tenants[0].SelectedNamespaces = 4
	w.must(w.r.Reconfigure(w.config))
	w.stands("web", "-c/Synced", "-d/Synced")
	w.config.Tenants[0].SelectedNamespaces = 1
	w.must(w.r.Reconfigure(w.config))
	w.label("production", w.name+"-c", `{"team":null}`)
	w.stands("web", "-d/Synced")
	w.stands("db", "-a/Synced", "-b/Synced")
	w.label("production", w.name+"-c", team("y"))
	w.stands("web", "/TooManyNamespaces", "-d/Synced")
	// What is to be had is known all the same: a copy in a namespace that stops matching is
	// nobody's, one in a namespace that matches is not.
	w.label("production", w.name+"-d", `{"team":null}`)
	w.stands("web", "/TooManyNamespaces")
	if o := w.orphans(); len(o) != 1 || o[0].Namespace != w.name+"-d" {
		t.Errorf("orphans: %+v", o)
	}
	w.label("production", w.name+"-d", team("y"))
	w.statusWhere("web", "2 more", func(s status.Status) bool { return strings.Contains(s.Targets[0].Message, "2 more namespaces") })
	if o := w.orphans(); len(o) > 0 {
		t.Errorf("orphans: %+v", o)
	}
	// A definition that goes, or selects others, makes room as well.
	w.config.Tenants[0].SelectedNamespaces = 2
	w.must(w.r.Reconfigure(w.config))
	w.remove("db")
	w.stands("web", "-c/Synced", "-d/Synced")
}

// There is no room for the places of both, the selection as it was and as it is, and
// another definition waits for one of them, which would have it by its name.
func TestASelectionThatChangesKeepsItsPlacesWhereThereIsLittleRoom(t *testing.T) {
	w := newWorld(t, func(w *world) { w.config.SelectedNamespaces = 3 })
	for _, path := range []string{"db", "other", "aa"} {
		w.put(path, map[string]any{"from": path})
	}
	for _, at := range []string{"-a", "-b"} {
		w.label("production", w.name+at, `{"team":"`+w.name+`x"}`)
	}
	w.selecting("db", w.team("x"))
	w.stands("db", "-a/Synced", "-b/Synced")
	w.selecting("aa", "{cluster: production, namespace: "+w.name+"-a, secretName: db}")
	w.stands("aa", "-a/TargetConflict")

	changed := "name: db\nsecretPath: other\nsync: [" + w.team("x") + "]\n"
	w.push(map[string]*string{"secrets/db.yaml": &changed})
	w.statusWhere("db", "of the new path", func(s status.Status) bool { return s.Phase == status.Active })
	for _, at := range []string{"-a", "-b"} {
		w.holds("production/"+w.name+at+"/db", map[string]string{"from": "other"})
	}
	w.stands("aa", "-a/TargetConflict")
}

// Who has more than the operator allows by now keeps what he has while the server runs. A start adds
// one selection after the other, and has no room for the last: that is told, and its copies are not
// taken for nobody's.
func TestAfterAStartThereIsRoomForNoMoreThanTheBound(t *testing.T) {
	w := newWorld(t, func(w *world) { w.config.SelectedNamespaces = 4 })
	for _, at := range []string{"-a x", "-b x", "-c y", "-d y"} {
		name, of, _ := strings.Cut(at, " ")
		w.label("production", w.name+name, `{"team":"`+w.name+of+`"}`)
	}
	for name, team := range map[string]string{"db": "x", "web": "y"} {
		w.put(name, map[string]any{"a": "1"})
		file := "name: " + name + "\nsecretPath: " + name + "\ndeletionPolicy: Delete\nsync: [" + w.team(team) + "]\n"
		w.push(map[string]*string{fileOf(name): &file})
	}
	w.stands("db", "-a/Synced", "-b/Synced")
	w.stands("web", "-c/Synced", "-d/Synced")
	before := w.get("production/" + w.name + "-c/web")

	w.config.SelectedNamespaces = 3
	w.must(w.r.Reconfigure(w.config))
	w.stands("web", "-c/Synced", "-d/Synced")
	w.restart(func() error { return nil })
	w.stands("db", "-a/Synced", "-b/Synced")
	s := w.stands("web", "/TooManyNamespaces")
	if says := s.Targets[0].Message; s.Phase != status.Failed || !strings.Contains(says, "2 more namespaces") || !strings.Contains(says, "may have 3 and have 2") {
		t.Errorf("%s: %s", s.Phase, says)
	}
	if o := w.orphans(); len(o) > 0 {
		t.Errorf("orphans: %+v", o)
	}
	w.weighed()
	for _, namespace := range []string{"-c", "-d"} {
		w.holds("production/"+w.name+namespace+"/web", map[string]string{"a": "1"})
	}

	w.config.SelectedNamespaces = 4
	w.must(w.r.Reconfigure(w.config))
	w.stands("web", "-c/Synced", "-d/Synced")
	if now := w.get("production/" + w.name + "-c/web"); now.ResourceVersion != before.ResourceVersion {
		t.Errorf("it was written anew: %v, %v", before.Annotations, now.Annotations)
	}
}
