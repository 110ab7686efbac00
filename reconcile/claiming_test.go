package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/status"
)

// pairs is how many Secrets are waited for: that many chances to take one that somebody
// else has.
const pairs = 100

// waitedFor is a world in which each of many Secrets is one definition's, and a definition
// of a lesser name waits for it, whose value is in memory for a Secret of its own. has and
// waits write the target of the one and the other.
func waitedFor(t *testing.T, has, waits func(w *world, secret string) string) *world {
	t.Helper()
	w := newWorld(t, func(w *world) { w.alias("another", "production") })
	w.label("production", w.namespace, `{"team":"`+w.name+`"}`)
	w.put("db", map[string]any{"k": "v"})
	files := make(map[string]*string)
	for i := range pairs {
		name := fmt.Sprintf("z%d", i)
		files[fileOf(name)] = new(fmt.Sprintf("name: %s\nsecretPath: db\nsync: [%s]\n", name, has(w, fmt.Sprint("s", i))))
	}
	w.push(files)
	for i := range pairs {
		w.statusWhere(fmt.Sprint("z", i), "Active", func(s status.Status) bool { return s.Phase == status.Active })
	}
	clear(files)
	for i := range pairs {
		name := fmt.Sprintf("a%d", i)
		files[fileOf(name)] = new(fmt.Sprintf("name: %s\nsecretPath: db\nsync: [%s, {cluster: staging, namespace: %s}]\n", name, waits(w, fmt.Sprint("s", i)), w.namespace))
	}
	w.push(files)
	w.waits()
	return w
}

// waits waits until each of the definitions waits for the Secret of another.
func (w *world) waits() {
	w.t.Helper()
	for i := range pairs {
		w.statusWhere(fmt.Sprint("a", i), string(fault.ReasonTargetConflict), func(s status.Status) bool {
			is := make(map[fault.Reason]int)
			for _, x := range s.Targets {
				is[x.Reason]++
			}
			return is[fault.ReasonTargetConflict] == 1 && is[fault.ReasonSynced] == 1
		})
	}
}

func (w *world) revisions() map[string]string {
	w.t.Helper()
	revisions := make(map[string]string)
	for i := range pairs {
		at := fmt.Sprintf("production/./s%d", i)
		revisions[at] = w.get(at).ResourceVersion
	}
	return revisions
}

// A lesser name that waits for a copy does not get it while claims come and go that are
// all of one change: neither before the one that has it has claimed it, nor after that one
// has left and before the lesser leaves.
func TestACopyStaysWithTheDefinitionThatHasItWhenAllClaimsComeAndGo(t *testing.T) {
	t.Parallel()
	byName := func(w *world, secret string) string {
		return fmt.Sprintf("{cluster: production, namespace: %s, secretName: %s}", w.namespace, secret)
	}
	byLabel := func(w *world, secret string) string {
		return fmt.Sprintf("{cluster: production, namespaceSelector: {matchLabels: {team: %q}}, secretName: %s}", w.name, secret)
	}
	byAlias := func(w *world, secret string) string {
		return fmt.Sprintf("{cluster: another, namespace: %s, secretName: %s}", w.namespace, secret)
	}
	reroute := func(w *world, name string) {
		clusters, grants := slices.Clone(w.config.Clusters), maps.Clone(w.config.Tenants[0].Clusters)
		i := slices.IndexFunc(clusters, func(c Cluster) bool { return c.Name == grants[w.cluster(name)].Cluster })
		clusters[i].Name += "-anew"
		grants[w.cluster(name)] = Grant{Cluster: clusters[i].Name, Namespaces: []string{w.name + "*"}}
		w.config.Clusters, w.config.Tenants[0].Clusters = clusters, grants
	}
	leave := func(w *world) {
		tenants := w.config.Tenants
		w.config.Tenants = nil
		w.must(w.r.Reconfigure(w.config))
		w.config.Tenants = tenants
	}
	tests := map[string]struct {
		has, waits func(w *world, secret string) string
		goes       func(*world)
	}{
		"the tenant leaves and comes again":                                   {byName, byName, leave},
		"so does one that selects namespaces":                                 {byLabel, byLabel, leave},
		"the one that has it selects namespaces, which are not known at once": {byLabel, byName, leave},
		"the one that has it does so by another name of the cluster":          {byAlias, byName, leave},
		"that name leads by another way":                                      {byAlias, byName, func(w *world) { reroute(w, "another") }},
		"the grant is withdrawn and given again": {byName, byName, func(w *world) {
			grants := w.config.Tenants[0].Clusters
			fewer := maps.Clone(grants)
			delete(fewer, w.cluster("production"))
			w.config.Tenants[0].Clusters = fewer
			w.must(w.r.Reconfigure(w.config))
			w.config.Tenants[0].Clusters = grants
		}},
		"the cluster is registered by another name": {byName, byName, func(w *world) { reroute(w, "production") }},
		"the label goes and comes again": {byLabel, byLabel, func(w *world) {
			w.label("production", w.namespace, `{"team":"none"}`)
			for i := range pairs {
				w.statusWhere(fmt.Sprint("z", i), "nowhere", func(s status.Status) bool { return len(s.Targets) == 0 })
			}
			w.label("production", w.namespace, `{"team":"`+w.name+`"}`)
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := waitedFor(t, tt.has, tt.waits)
			before := w.revisions()
			for range 4 {
				tt.goes(w)
				w.must(w.r.Reconfigure(w.config))
				w.waits()
			}
			for at, revision := range w.revisions() {
				if revision != before[at] {
					t.Errorf("%s was written: it is %s's", at, w.get(at).Labels[copies.LabelName])
				}
			}
		})
	}
}

// Somebody who deletes a copy does not pass it on to a definition that waits for it.
func TestACopyThatSomebodyDeletesComesAgainAsItWas(t *testing.T) {
	t.Parallel()
	w := contested(t)
	w.delete("production/./whole")
	s := w.until("production/./whole", "there again", func(s *corev1.Secret) bool { return s != nil })
	if name := s.Labels[copies.LabelName]; name != "holder" {
		t.Errorf("it is the copy of %s", name)
	}
	w.synced("holder")
	w.status("another", fault.ReasonTargetConflict)
}

// A tenant that was suspended since it read from the wrong place goes on with the right
// one, though both are of one change of the configuration.
func TestASuspendedTenantGoesOnWithWhatElseIsNew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const secrets = 200
	w.put("db", map[string]any{"edition": "1"})
	files := make(map[string]*string)
	for i := range secrets {
		name := fmt.Sprint("d", i)
		files[fileOf(name)] = new(fmt.Sprintf("name: %s\nsecretPath: db\nsync: [{cluster: production, namespace: %s}]\n", name, w.namespace))
	}
	w.push(files)
	for i := range secrets {
		w.synced(fmt.Sprint("d", i))
	}
	w.config.Tenants[0].Suspend = true
	w.must(w.r.Reconfigure(w.config))
	w.put("db", map[string]any{"edition": "wrong"})
	w.put("right/db", map[string]any{"edition": "2"})
	w.known("d0", 2)
	end := w.history(t, "edition")
	w.config.Tenants[0].Suspend = false
	w.config.Tenants[0].Vault.Prefix += "/right"
	w.must(w.r.Reconfigure(w.config))
	for i := range secrets {
		w.holds(fmt.Sprintf("production/./d%d", i), map[string]string{"edition": "2"})
	}
	for name, held := range end() {
		if slices.Contains(held, "wrong") {
			t.Errorf("%s held %q", name, held)
		}
	}
}
