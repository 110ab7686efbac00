package reconcile

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
)

// A definition that comes to fill the Secret of which it has the only share keeps it, be
// there one of a lesser name that waits for it.
func TestOnesOwnShareBecomesACopyWhoeverWaitsForTheSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("holder", map[string]any{"k": "1"})
	w.put("another", map[string]any{"k": "another"})
	w.share("holder", "", "k")
	w.synced("holder")
	w.push(map[string]*string{fileOf("another"): w.yaml("another", "", "app")})
	w.status("another", fault.ReasonTargetConflict)
	w.push(map[string]*string{fileOf("holder"): w.yaml("holder", "", "app")})
	w.put("holder", map[string]any{"k": "2"})
	w.app(map[string]string{"k": "2"})
	w.synced("holder")
	if x := w.status("another", fault.ReasonTargetConflict); !strings.Contains(x.Message, "definition holder") {
		t.Errorf("%+v", x)
	}
}

// two are a world with two tenants of one reconciler, the second of which may write to the
// namespace of the first. The one whose name is less is returned first.
func two(t *testing.T) (less, more *world, namespace string) {
	t.Helper()
	a, b := newWorld(t, notRunning), newWorld(t, notRunning)
	if b.name < a.name {
		a, b = b, a
	}
	a.config.Tenants = append(a.config.Tenants, b.config.Tenants...)
	a.config.Tenants[1].Clusters = map[definition.ClusterName]Grant{a.cluster("elsewhere"): {Cluster: "production", Namespaces: []string{a.namespace}}}
	a.ends = nil
	a.start()
	b.r = a.r
	return a, b, a.namespace
}

// What a tenant left behind is that tenant's to take over, whoever else would like to have
// the place.
func TestAnotherTenantThatWaitsForASecretKeepsNobodyFromRenamingADefinition(t *testing.T) {
	t.Parallel()
	a, b, namespace := two(t)
	a.put("db", map[string]any{"a": "of a"})
	b.put("old", map[string]any{"a": "of b"})
	b.put("db", map[string]any{"a": "of b, renamed"})
	b.push(map[string]*string{fileOf("old"): new(fmt.Sprintf("name: old\nsecretPath: old\nsync: [{cluster: elsewhere, namespace: %s, secretName: db}]\n", namespace))})
	b.synced("old")
	a.define("db", "production/.")
	a.status("db", fault.ReasonTargetConflict)
	b.push(map[string]*string{fileOf("old"): nil, fileOf("db"): new(fmt.Sprintf("name: db\nsecretPath: db\nsync: [{cluster: elsewhere, namespace: %s}]\n", namespace))})
	b.synced("db")
	a.holds("production/./db", map[string]string{"a": "of b, renamed"})
	a.status("db", fault.ReasonTargetConflict)
}

// Whom a Secret names takes it over, and not whoever else claims it has to leave first.
func TestASecretIsTakenOverByWhomItNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("named", map[string]any{"k": "1"})
	w.put("another", map[string]any{"k": "another"})
	w.theirs(map[string]string{"theirs": "t"})
	w.push(map[string]*string{fileOf("named"): w.yaml("named", "", "app"), fileOf("another"): w.yaml("another", "", "app")})
	w.status("another", fault.ReasonNotOwned)
	w.edit(app, func(s *corev1.Secret) { s.Annotations = map[string]string{copies.AnnotationAdopt: w.name + "/named"} })
	w.synced("named")
	w.app(map[string]string{"k": "1"})
	w.status("another", fault.ReasonTargetConflict)
}
