package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/folder"
	"secretsync/reconcile/status"
	"secretsync/reconcile/verify"
)

// label gives a namespace of a cluster labels, made where it is not there; a nil
// value takes one away.
func (w *world) label(cluster, name, labels string) {
	w.t.Helper()
	client := w.stack.Cluster(cluster).Admin.CoreV1().Namespaces()
	w.must(w.stack.Cluster(cluster).CreateNamespace(w.ctx, name))
	_, err := client.Patch(w.ctx, name, types.MergePatchType, []byte(`{"metadata":{"labels":`+labels+`}}`), metav1.PatchOptions{})
	w.must(err)
}

// selecting writes a definition with targets in production, each the JSON of one.
func (w *world) selecting(name string, targets ...string) {
	w.t.Helper()
	file := fmt.Sprintf("name: %s\nsecretPath: %s\nsync: [%s]\n", name, name, strings.Join(targets, ", "))
	w.push(map[string]*string{"secrets/" + name + ".yaml": &file})
}

func (w *world) team(team string) string {
	return `{cluster: production, namespaceSelector: {matchLabels: {team: "` + w.name + team + `"}}}`
}

// stands waits until a definition has just these targets, each namespace/reason,
// the namespace without the world's name before it.
func (w *world) stands(name string, want ...string) status.Status {
	w.t.Helper()
	return w.statusWhere(name, fmt.Sprint(want), func(s status.Status) bool {
		var is []string
		for _, x := range s.Targets {
			is = append(is, strings.TrimPrefix(x.Target.Namespace.String(), w.name)+"/"+string(x.Reason))
		}
		return slices.Equal(is, want)
	})
}

func TestASelectorStandsForEveryNamespaceThatMatchesNowAndLater(t *testing.T) {
	w := newWorld(t, func(w *world) {
		grants := w.config.Tenants[0].Clusters
		g := grants[w.cluster("production")]
		g.ByName = []string{w.name + "-home"}
		grants[w.cluster("production")] = g
	})
	team := func(s string) string { return `{"team":"` + w.name + s + `"}` }
	w.put("db", map[string]any{"a": "1"})
	w.label("production", w.name+"-home", team("x"))
	w.label("production", w.name+"-b", team("x"))
	w.label("production", w.name+"-a", team("x"))
	w.label("production", w.name+"-other", team("y"))
	w.label("production", "foreign-"+w.name, team("x"))
	w.label("production", "kube-system", team("x"))
	t.Cleanup(func() {
		client := w.stack.Cluster("production").Admin.CoreV1().Namespaces()
		_, _ = client.Patch(context.Background(), "kube-system", types.MergePatchType, []byte(`{"metadata":{"labels":{"team":null}}}`), metav1.PatchOptions{})
	})
	w.selecting("db", w.team("x"))
	w.stands("db", "-a/Synced", "-b/Synced")
	w.holds("production/"+w.name+"-a/db", map[string]string{"a": "1"})

	// One that comes, and one that matches anew.
	w.label("production", w.name+"-c", team("x"))
	w.stands("db", "-a/Synced", "-b/Synced", "-c/Synced")
	w.label("production", w.name+"-other", team("x"))
	w.stands("db", "-a/Synced", "-b/Synced", "-c/Synced", "-other/Synced")

	// One that stops matching is a removed target: its Secret stays, and nobody claims it.
	if o := w.orphans(); len(o) > 0 {
		t.Errorf("orphans: %+v", o)
	}
	w.label("production", w.name+"-a", `{"team":null}`)
	w.stands("db", "-b/Synced", "-c/Synced", "-other/Synced")
	if o := w.orphans(); len(o) != 1 || o[0].Namespace != w.name+"-a" || o[0].Doubt != "" {
		t.Errorf("orphans: %+v", o)
	}
	w.holds("production/"+w.name+"-a/db", map[string]string{"a": "1"})
	w.put("db", map[string]any{"a": "2"})
	w.until("production/"+w.name+"-b/db", "a=2", func(s *corev1.Secret) bool { return s != nil && string(s.Data["a"]) == "2" })
	w.holds("production/"+w.name+"-a/db", map[string]string{"a": "1"})

	// One that goes.
	w.must(w.stack.Cluster("production").Admin.CoreV1().Namespaces().Delete(w.ctx, w.name+"-b", metav1.DeleteOptions{}))
	w.stands("db", "-c/Synced", "-other/Synced")

	for _, place := range []string{"production/foreign-" + w.name + "/db", "production/" + w.name + "-home/db", "production/kube-system/db"} {
		if w.get(place) != nil {
			t.Errorf("%s was written", place)
		}
	}
	// None is left to match.
	w.selecting("db", w.team("nobody"))
	if s := w.statusWhere("db", "no target", func(s status.Status) bool { return len(s.Targets) == 0 }); s.Phase != status.Active || !strings.Contains(s.Ready.Message, "no namespace matches") {
		t.Errorf("%+v", s)
	}
}

func TestALiteralTargetHasThePlaceOfASelectedOne(t *testing.T) {
	w := newWorld(t)
	team := `{"team":"` + w.name + `"}`
	w.put("db", map[string]any{"a": "1"})
	w.label("production", w.name, team)
	w.label("production", w.name+"-a", team)
	literal := "{cluster: production, namespace: " + w.name + "}"
	w.selecting("db", w.team(""), literal)
	w.stands("db", "-a/Synced", "/Synced")
	before := w.get("production/./db")

	// Without the literal one the place is selected, and nothing is written.
	w.selecting("db", w.team(""))
	w.stands("db", "/Synced", "-a/Synced")
	w.selecting("db", w.team(""), `{cluster: production, namespaceSelector: {matchExpressions: [{key: team, operator: In, values: ["`+w.name+`"]}]}}`, literal)
	w.stands("db", "-a/Synced", "/Synced")
	if o := w.orphans(); len(o) > 0 {
		t.Errorf("orphans: %+v", o)
	}
	if now := w.get("production/./db"); now.ResourceVersion != before.ResourceVersion {
		t.Errorf("it was written anew: %v, %v", before.Annotations, now.Annotations)
	}

	// Nor by a restart.
	a := w.get("production/" + w.name + "-a/db")
	w.restart(func() error { return nil })
	w.stands("db", "-a/Synced", "/Synced")
	if now := w.get("production/" + w.name + "-a/db"); now.ResourceVersion != a.ResourceVersion {
		t.Error("a restart wrote it anew")
	}
	if o := w.orphans(); len(o) > 0 {
		t.Errorf("orphans after a restart: %+v", o)
	}

	// A grant that is taken away takes the targets, and given back brings them.
	granted := w.config.Tenants[0].Clusters[w.cluster("production")]
	narrow := granted
	narrow.Namespaces = []string{w.name}
	w.config.Tenants[0].Clusters[w.cluster("production")] = narrow
	w.must(w.r.Reconfigure(w.config))
	w.stands("db", "/Synced")
	delete(w.config.Tenants[0].Clusters, w.cluster("production"))
	w.must(w.r.Reconfigure(w.config))
	w.stands("db", "/ClusterNotFound", "/ClusterNotFound", "/ClusterNotFound")
	w.config.Tenants[0].Clusters[w.cluster("production")] = granted
	w.must(w.r.Reconfigure(w.config))
	w.stands("db", "-a/Synced", "/Synced")
}

func TestAPlanListsTheNamespacesThatMatchNow(t *testing.T) {
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.label("production", w.name+"-a", `{"team":"`+w.name+`"}`)
	w.reachable()
	set := func(target string) definition.Set {
		text := []byte("name: db\nsecretPath: db\nsync: [" + target + "]\n")
		set, err := folder.Read([]folder.File{{Name: "db.yaml", Mode: filemode.Regular, Read: func(int64) ([]byte, error) { return text, nil }}}, 0)
		w.must(err)
		return set
	}
	p, err := w.r.Plan(w.ctx, w.tenant(), definition.Set{}, set(w.team("")), true)
	w.must(err)
	if len(p.Steps) != 1 || p.Steps[0].Namespace != w.name+"-a" || p.Steps[0].Held != nil || p.Steps[0].Standing != "none" {
		t.Errorf("%+v", p.Steps)
	}
	p, err = w.r.Plan(w.ctx, w.tenant(), definition.Set{}, set(w.team("")), false)
	w.must(err)
	if len(p.Steps) != 1 || !strings.HasPrefix(p.Steps[0].Namespace, "{") || !strings.Contains(p.Steps[0].Why, "a look at the cluster") {
		t.Errorf("%+v", p.Steps)
	}
	p, err = w.r.Plan(w.ctx, w.tenant(), definition.Set{}, set(w.team("nobody")), true)
	w.must(err)
	if len(p.Steps) != 1 || !strings.Contains(p.Steps[0].Why, "no namespace matches now") {
		t.Errorf("%+v", p.Steps)
	}
}

func TestACopyGoesThatIsToBeDeletedWhereItsNamespaceStopsMatching(t *testing.T) {
	w := newWorld(t)
	team := `{"team":"` + w.name + `"}`
	w.put("db", map[string]any{"a": "1"})
	w.label("production", w.name+"-a", team)
	w.label("production", w.name+"-b", team)
	file := "name: db\nsecretPath: db\ndeletionPolicy: Delete\nsync: [" + w.team("") + "]\n"
	w.push(map[string]*string{"secrets/db.yaml": &file})
	w.stands("db", "-a/Synced", "-b/Synced")

	w.restart(func() error { return nil })
	w.stands("db", "-a/Synced", "-b/Synced")
	w.label("production", w.name+"-a", `{"team":null}`)
	w.until("production/"+w.name+"-a/db", "gone", func(s *corev1.Secret) bool { return s == nil })
	w.stands("db", "-b/Synced")
	w.holds("production/"+w.name+"-b/db", map[string]string{"a": "1"})
}

func TestTwoTenantsSelectInOneCluster(t *testing.T) {
	w := newWorld(t)
	other, err := gitstore.ParseTenantName(w.name + "x")
	w.must(err)
	second := w.config.Tenants[0]
	second.Name = other
	theirs := w.store.MustRepository(other.String())
	second.Repository = theirs.Repository
	second.Clusters = map[definition.ClusterName]Grant{w.cluster("production"): {Cluster: "production", Namespaces: []string{w.name + "-b", w.name + "-c"}}}
	w.config.Tenants = append(w.config.Tenants, second)
	w.must(w.r.Reconfigure(w.config))

	w.put("db", map[string]any{"a": "1"})
	team := `{"team":"` + w.name + `"}`
	w.label("production", w.name+"-a", team)
	w.label("production", w.name+"-b", team)
	w.selecting("db", w.team(""))
	w.stands("db", "-a/Synced", "-b/Synced")
	mine := w.get("production/" + w.name + "-b/db")

	// The other one asks for the same names: what is the first one's stays that.
	file := "name: db\nsecretPath: db\nsync: [" + w.team("") + "]\n"
	theirs.MustPush(map[string]*string{"secrets/db.yaml": &file})
	stand := func(want ...string) {
		t.Helper()
		var is []string
		for end := time.Now().Add(deadline); ; {
			changed := w.r.Changed(other)
			is = nil
			if e, ok := theirs.Snapshot().Get(w.parse("db")); ok {
				for _, x := range w.r.Status(other, e).Targets {
					is = append(is, strings.TrimPrefix(x.Target.Namespace.String(), w.name)+"/"+string(x.Reason))
				}
			}
			if slices.Equal(is, want) {
				return
			}
			select {
			case <-changed:
			case <-time.After(50 * time.Millisecond):
			}
			if time.Now().After(end) {
				t.Fatalf("it stands at %v, not %v", is, want)
			}
		}
	}
	stand("-b/TargetConflict")
	w.label("production", w.name+"-b", `{"team":null}`)
	w.stands("db", "-a/Synced")
	w.label("production", w.name+"-c", team)
	w.stands("db", "-a/Synced", "-c/Synced")
	stand("-c/TargetConflict")
	if now := w.get("production/" + w.name + "-b/db"); now.ResourceVersion != mine.ResourceVersion {
		t.Error("it was written")
	}
}

func TestACommitIsLiveWhereItsSelectedTargetsAre(t *testing.T) {
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.label("production", w.name+"-a", `{"team":"`+w.name+`"}`)
	w.selecting("db", w.team(""))
	e, s, err := w.r.Wait(w.ctx, w.tenant(), w.parse("db"), status.Active)
	w.must(err)
	if len(s.Targets) != 1 || s.Targets[0].Observed != e.Source {
		t.Errorf("%+v", s)
	}
	if at := s.Targets[0].Declared(e.Name); at != e.Definition.Sync[0].Place(e.Name) {
		t.Errorf("declared as %s", at)
	}
	// A namespace that others label is nobody's news.
	version := w.r.Version(w.tenant())
	w.label("production", w.name+"-other", `{"team":"nobody"}`)
	w.label("production", w.name+"-b", `{"team":"`+w.name+`"}`)
	w.stands("db", "-a/Synced", "-b/Synced")
	if w.r.Version(w.tenant()) == version {
		t.Error("nobody was told")
	}
}

func TestWhatIsSelectedIsVerified(t *testing.T) {
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.label("production", w.name+"-a", `{"team":"`+w.name+`"}`)
	w.label("production", w.name+"-b", "{}")
	w.selecting("db", w.team(""))
	w.stands("db", "-a/Synced")
	if lies, err := verify.Check(w.ctx, w.verifiable(verify.DefaultGrace)); err != nil || len(lies) > 0 {
		t.Errorf("%v %v", lies, err)
	}
	// Another server that says it of a namespace which does not match.
	sources := w.verifiable(10 * time.Millisecond)
	sources.Recovery, sources.Tenants[0].Interval = 10*time.Millisecond, 10*time.Millisecond
	sources.Tenants[0].Status = verify.StatusFunc(func(context.Context) ([]verify.Claim, error) {
		claims := w.claims(&w.config.Tenants[0])
		for i := range claims {
			more := claims[i].Targets[0]
			more.Namespace = w.name + "-b"
			claims[i].Targets = append(claims[i].Targets, more)
		}
		return claims, nil
	})
	lies, err := verify.Check(w.ctx, sources)
	if err != nil || !strings.Contains(fmt.Sprint(lies), "the labels of its namespace don't match") {
		t.Errorf("%v %v", lies, err)
	}
	// And one that says nothing of a namespace which does, or says why.
	for _, told := range []bool{false, true} {
		sources.Tenants[0].Status = verify.StatusFunc(func(context.Context) ([]verify.Claim, error) {
			claims := w.claims(&w.config.Tenants[0])
			if claims[0].Targets = nil; told {
				claims[0].Targets = []verify.TargetClaim{{Place: verify.Place{Cluster: "production", Secret: "db"}, State: "Error", Reason: "TooManyNamespaces"}}
			}
			return claims, nil
		})
		lies, err := verify.Check(w.ctx, sources)
		if says := fmt.Sprint(lies); err != nil || told == strings.Contains(says, "production/"+w.name+"-a/db: the status says nothing of it, but the labels of its namespace match") {
			t.Errorf("told %v: %v %v", told, lies, err)
		}
	}
}
