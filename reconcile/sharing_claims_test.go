package reconcile

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/share"
	"secretsync/reconcile/status"
)

// While a commit is taken in, one that waits for a key sees each definition that has it
// at work, however much else the commit changes.
func TestAKeyStaysWithTheDefinitionThatHasItThroughALargeCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("first", map[string]any{"k": "first", "a": "a"})
	w.put("another", map[string]any{"k": "another", "b": "b"})
	w.put("bulk", map[string]any{"x": "1"})
	w.share("first", "", "a", "k")
	w.synced("first")
	w.share("another", "", "b", "k")
	w.status("another", fault.ReasonKeyConflict)
	for round := range 6 {
		files := make(map[string]*string)
		for i := range 800 {
			name := fmt.Sprintf("a%d", i)
			files[fileOf(name)] = new(fmt.Sprintf("name: %s\nsecretPath: bulk%d\nsync: [{cluster: production, namespace: %s}]\n", name, round, w.namespace))
		}
		files[fileOf("first")] = new(strings.Replace(*w.merging("first", "", "a", "k"), "secretName: app", fmt.Sprintf("secretName: app\n    restart: [deployment/r%d]", round), 1))
		w.push(files)
		w.statusWhere("first", "taken in", func(s status.Status) bool {
			return len(s.Targets) == 1 && s.Targets[0].Observed == w.repo.Snapshot().Head() && s.Targets[0].Reason != fault.ReasonQueued
		})
		if s := w.get(app); string(s.Data["k"]) != "first" {
			t.Fatalf("round %d: %s has taken it", round, s.Data["k"])
		}
	}
}

// A selection goes on where nothing of its place changes, but not across a change of mode.
func TestADefinitionThatSelectsNamespacesComesToShareAndBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1", "b": "2"})
	w.label("production", w.namespace, `{"team":"`+w.name+`"}`)
	says := func(more string) {
		t.Helper()
		w.push(map[string]*string{fileOf("db"): new("name: db\nsecretPath: db\n" + more + "sync: [{cluster: production, namespaceSelector: {matchLabels: {team: \"" + w.name + "\"}}, secretName: app}]\n")})
	}
	says("")
	w.app(map[string]string{"a": "1", "b": "2"})
	says("mode: Merge\ndata: {a: {key: a}}\n")
	s := w.until(app, "shared", func(s *corev1.Secret) bool { return s != nil && s.Annotations[share.Annotation("db")] != "" })
	if len(s.Data) != 1 || s.Labels[copies.LabelName] != "" {
		t.Errorf("%v %v", s.Labels, s.Data)
	}
	w.edit(app, func(s *corev1.Secret) { s.Data["theirs"] = []byte("t") })
	w.put("db", map[string]any{"a": "2", "b": "2"})
	w.app(map[string]string{"a": "2", "theirs": "t"})
	w.edit(app, func(s *corev1.Secret) { delete(s.Data, "theirs") })
	says("")
	w.app(map[string]string{"a": "2", "b": "2"})
	w.stands("db", "/Synced")
}

// contested is a world in which holder has Secret whole, and another waits for it.
func contested(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.put("holder", map[string]any{"k": "holder"})
	w.put("another", map[string]any{"k": "another"})
	w.push(map[string]*string{fileOf("holder"): w.yaml("holder", "", "whole")})
	w.live("holder", "whole")
	w.push(map[string]*string{fileOf("another"): w.yaml("another", "", "whole")})
	w.status("another", fault.ReasonTargetConflict)
	return w
}

// A start takes a tenant's definitions in one after the other. A lesser name that waits for
// a place does not get it before the one that has it has claimed it.
func TestAStartLeavesAPlaceWithTheDefinitionThatHasIt(t *testing.T) {
	t.Parallel()
	w := contested(t)
	files := make(map[string]*string) // between the two in the order of names
	for i := range 800 {
		name := fmt.Sprintf("b%d", i)
		files[fileOf(name)] = new(fmt.Sprintf("name: %s\nsecretPath: none\nsync: [{cluster: production, namespace: %s}]\n", name, w.namespace))
	}
	w.push(files)
	before := w.get("production/./whole")
	// The cluster is known already when the tenant comes again.
	tenants := w.config.Tenants
	for range 5 {
		w.config.Tenants = nil
		w.must(w.r.Reconfigure(w.config))
		w.config.Tenants = tenants
		w.must(w.r.Reconfigure(w.config))
		w.synced("holder")
		w.status("another", fault.ReasonTargetConflict)
	}
	if s := w.get("production/./whole"); s.ResourceVersion != before.ResourceVersion {
		t.Errorf("it was written: %s", s.Data["k"])
	}
}

// A Secret may allow several definitions to take keys of it.
func TestASecretCanBeHandedToSeveralDefinitions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.put("mail", map[string]any{"b": "2"})
	w.theirs(map[string]string{"a": "theirs", "b": "theirs", "c": "theirs"})
	w.share("db", "", "a")
	w.share("mail", "", "b")
	w.status("db", fault.ReasonKeyConflict)
	w.status("mail", fault.ReasonKeyConflict)
	w.edit(app, func(s *corev1.Secret) {
		s.Annotations = map[string]string{copies.AnnotationAdopt: w.name + "/db, " + w.name + "/mail"}
	})
	w.synced("db", "mail")
	w.app(map[string]string{"a": "1", "b": "2", "c": "theirs"})
}

// Somebody who relabels a copy does not pass it on to a definition that waits for it.
func TestACopyThatSomebodyRelabelsStaysWithWhoHasIt(t *testing.T) {
	t.Parallel()
	w := contested(t)
	w.edit("production/./whole", func(s *corev1.Secret) { s.Labels[copies.LabelName] = "nobody" })
	s := w.until("production/./whole", "labelled again", func(s *corev1.Secret) bool { return s.Labels[copies.LabelName] != "nobody" })
	if name := s.Labels[copies.LabelName]; name != "holder" {
		t.Errorf("it is the copy of %s", name)
	}
	w.synced("holder")
	w.status("another", fault.ReasonTargetConflict)
}
