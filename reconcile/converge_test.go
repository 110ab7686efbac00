package reconcile

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/examples/devstack"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/operation"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
)

// TestWhateverHappensItConverges has commits, new values, hand edits, deletions
// and outages happen at random, in front of the vault and of both clusters, and
// what operators do (operators_test.go): reloads, rotations, admission policies,
// removals of orphans. At random moments, and at the end, all that is said is
// checked from outside. When it goes quiet, clusters, statuses and a simple model
// must agree, and by the API servers' audit logs no foreign Secret was ever
// touched.
//
// SECRETSYNC_CHAOS is how long it goes on (default 10s), SECRETSYNC_SEED which
// sequence it plays: a failure says its seed.
func TestWhateverHappensItConverges(t *testing.T) {
	length, err := time.ParseDuration(cmpOr(os.Getenv("SECRETSYNC_CHAOS"), "10s"))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := strconv.ParseUint(cmpOr(os.Getenv("SECRETSYNC_SEED"), "1"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Parallel()
	c := newChaos(t, seed)
	for end := time.Now().Add(length); time.Now().Before(end); {
		c.step()
		if c.rand.IntN(150) == 0 {
			c.verified()
		}
		time.Sleep(time.Duration(c.rand.IntN(30)) * time.Millisecond) // at once, or as people do
	}
	c.verified()
	c.granted()
	c.admits()
	c.agrees()
	c.foreignStand()
	t.Logf("seed %d: %d steps, %d looks from outside, %d reloads, %d rotations, %d policies, %d orphans removed",
		seed, c.steps, c.looks, c.reloads, c.rotations, c.policies, c.removed)
}

func cmpOr(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// chaos is a world with a model of what should be.
type chaos struct {
	*world
	rand    *rand.Rand
	proxies []*devstack.Proxy
	steps   int
	operators

	definitions map[string]chaosDefinition
	values      map[string]chaosValue     // by path; absent is none
	foreign     map[string]*corev1.Secret // by place
}

type chaosDefinition struct {
	path   string
	places []string
}

type chaosValue struct {
	data    map[string]string
	deleted bool
}

func newChaos(t *testing.T, seed uint64) *chaos {
	c := &chaos{
		rand:        rand.New(rand.NewPCG(seed, 0)),
		definitions: make(map[string]chaosDefinition), values: make(map[string]chaosValue), foreign: make(map[string]*corev1.Secret),
	}
	stack := devstack.Shared(t)
	vault, viaVault := viaProxy(t, stack)
	production, _ := productionVia(t, stack)
	staging, err := stack.Cluster("staging").Proxy()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(staging.Close)
	second, err := stack.Cluster("production").Proxy()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(second.Close)
	c.proxies = []*devstack.Proxy{vault, production, staging, second}
	c.ways = []string{production.Kubeconfig, second.Kubeconfig}
	c.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	c.world = newWorldOn(t, stack, viaVault, withAppRole(20*time.Second), func(w *world) {
		c.world = w
		c.begin()
		w.config.Tenants[0].Vault.Address = vault.URL
		w.config.Tenants[0].Vault.Timeout = time.Second
		w.config.Clusters[0].Kubeconfig = c.kubeconfig
		w.config.Clusters[1].REST = staging.Config
		for i := range w.config.Clusters {
			w.config.Clusters[i].Timeout = time.Second
			w.config.Clusters[i].ListTimeout = time.Second // of one that is never answered no more can be known
		}
	})
	for _, cluster := range []string{"production", "staging"} {
		for i := range 3 {
			name := fmt.Sprintf("foreign-%d", i)
			c.foreign[cluster+"/./"+name] = c.create(cluster, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string][]byte{"theirs": []byte("x")}})
		}
	}
	return c
}

// step makes one thing happen.
func (c *chaos) step() {
	c.steps++
	switch n := c.rand.IntN(100); {
	case n < 25:
		c.change()
	case n < 50:
		c.value()
	case n < 75:
		c.meddle()
	case n < 87:
		c.fault()
	case n < 93:
		c.operate()
	default:
		p := c.proxies[c.rand.IntN(len(c.proxies))]
		p.Clear()
		p.Thaw()
	}
}

// somePlaces picks places: by the definition's name, by a shared one, or a foreign one.
func (c *chaos) somePlaces(name string) []string {
	var places []string
	for _, cluster := range []string{"production", "staging"} {
		for _, secret := range []string{name, fmt.Sprintf("shared-%d", c.rand.IntN(4)), fmt.Sprintf("foreign-%d", c.rand.IntN(3))} {
			if c.rand.IntN(3) == 0 {
				places = append(places, cluster+"/./"+secret)
			}
		}
	}
	return places
}

// change commits.
func (c *chaos) change() {
	name := fmt.Sprintf("def-%d", c.rand.IntN(12))
	d, there := c.definitions[name]
	var err error
	switch {
	case !there:
		d = chaosDefinition{path: fmt.Sprintf("path-%d", c.rand.IntN(8)), places: c.somePlaces(name)}
		path, perr := definition.ParseSecretPath(d.path)
		c.must(perr)
		definition, derr := definition.New(c.parse(name), path, c.targets(d.places))
		c.must(derr)
		_, err = c.repo.Apply(c.ctx, c.by(), operation.Strict, operation.Creation(definition))
	case c.rand.IntN(3) == 0:
		c.must(c.repo.Delete(c.ctx, c.by(), c.parse(name), operation.Unconditional()))
		delete(c.definitions, name)
		return
	default:
		d.places = c.somePlaces(name)
		_, err = c.repo.Apply(c.ctx, c.by(), operation.Strict, operation.PatchOf(c.parse(name), operation.Unconditional(), definition.SyncTo(c.targets(d.places))))
	}
	if claimed := (*operation.ClaimError)(nil); errors.As(err, &claimed) {
		return // another definition has one of the places
	}
	c.must(err)
	c.definitions[name] = d
}

// value writes, deletes or destroys a value.
func (c *chaos) value() {
	path := fmt.Sprintf("path-%d", c.rand.IntN(8))
	kv := c.stack.Vault.Client.KVv2("secret")
	switch n := c.rand.IntN(10); {
	case n < 7:
		data, want := map[string]any{}, map[string]string{}
		for i := range 1 + c.rand.IntN(3) {
			v := fmt.Sprint(c.rand.Uint64())
			data[fmt.Sprintf("k%d", i)], want[fmt.Sprintf("k%d", i)] = v, v
		}
		c.put(path, data)
		c.values[path] = chaosValue{data: want}
	case n < 9:
		if v, ok := c.values[path]; ok {
			c.must(kv.Delete(c.ctx, c.name+"/"+path))
			v.deleted = true
			c.values[path] = v
		}
	default:
		c.must(kv.DeleteMetadata(c.ctx, c.name+"/"+path))
		delete(c.values, path)
	}
}

// meddle edits or deletes a copy by hand.
func (c *chaos) meddle() {
	cluster := []string{"production", "staging"}[c.rand.IntN(2)]
	secrets := c.stack.Cluster(cluster).Admin.CoreV1().Secrets(c.namespace)
	list, err := secrets.List(c.ctx, metav1.ListOptions{LabelSelector: copies.LabelTenant + "=" + c.name})
	c.must(err)
	if len(list.Items) == 0 {
		return
	}
	s := &list.Items[c.rand.IntN(len(list.Items))]
	kind := c.rand.IntN(4)
	if cluster == "production" && c.mutating && kind%2 == 1 {
		kind = 0 // what admission makes of such an edit nothing proves to be ours
	}
	switch kind {
	case 0:
		err = secrets.Delete(c.ctx, s.Name, metav1.DeleteOptions{})
	case 1:
		s.Data = map[string][]byte{"edited": []byte("by hand")}
		_, err = secrets.Update(c.ctx, s, metav1.UpdateOptions{})
	case 2:
		s.Annotations[copies.AnnotationVaultVersion] = "99"
		s.Labels["theirs"] = "stays"
		_, err = secrets.Update(c.ctx, s, metav1.UpdateOptions{})
	case 3:
		// Only of a copy that is right: nothing would prove that another is ours.
		if !c.intact(cluster, s) {
			return
		}
		delete(s.Labels, []string{copies.LabelManagedBy, copies.LabelTenant}[c.rand.IntN(2)])
		_, err = secrets.Update(c.ctx, s, metav1.UpdateOptions{})
	}
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		c.must(err)
	}
}

// intact tells whether a copy's hash proves it to be ours.
func (c *chaos) intact(cluster string, s *corev1.Secret) bool {
	kubeSystem, err := c.stack.Cluster(cluster).Admin.CoreV1().Namespaces().Get(c.ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	c.must(err)
	owner := copies.Owner{Tenant: s.Labels[copies.LabelTenant], Name: s.Labels[copies.LabelName]}
	sum := copies.NewHasher(testKey).Sum(string(kubeSystem.UID), copies.Key{Namespace: s.Namespace, Name: s.Name}, owner, s.Data)
	return s.Annotations[copies.AnnotationHash] == sum.String()
}

// fault breaks something for a while.
func (c *chaos) fault() {
	p := c.proxies[c.rand.IntN(len(c.proxies))]
	times := 1 + c.rand.IntN(40)
	switch c.rand.IntN(10) {
	case 0:
		p.Inject(devstack.Fault{Reset: true, Times: times})
	case 1:
		p.Inject(devstack.Fault{Drop: true, Times: 1 + times/10})
	case 2:
		p.Inject(devstack.Fault{Delay: time.Duration(c.rand.IntN(300)) * time.Millisecond, Times: times})
	case 3:
		p.Inject(devstack.Fault{Status: 500, Times: times})
	case 4:
		p.Inject(devstack.Fault{Status: 503, Times: times})
	case 5:
		p.Inject(devstack.Fault{Status: 429, Header: http.Header{"Retry-After": {"1"}}, Times: times})
	case 6:
		p.Inject(devstack.Fault{Truncate: 1 + c.rand.IntN(400), Times: times})
	case 7:
		p.Disconnect()
	case 9:
		p.Freeze()
	case 8:
		// The answer is lost, but what was asked for happened.
		p.Inject(devstack.Fault{Match: isWrite, Truncate: 1, Times: times})
	}
}

// agrees waits until statuses and clusters are what the model says. What agreed
// once must go on doing so, now that nothing happens any more.
func (c *chaos) agrees() {
	c.t.Helper()
	end := time.Now().Add(deadline)
	for name := range c.definitions {
		for differs := c.differs(name); differs != ""; differs = c.differs(name) {
			if time.Now().After(end) {
				c.t.Fatal(differs)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	// The copies at once; a status may tell for a moment of a vault or a cluster
	// that was slow, as each has but a second to answer.
	for name, d := range c.definitions {
		v, there := c.values[d.path]
		for _, place := range d.places {
			if !there || v.deleted || c.foreign[place] != nil {
				continue
			}
			if s := c.get(place); !c.isCopy(s, name, v) {
				c.t.Errorf("%s agreed before, but now the Secret at %s is %+v; its value is %v", name, place, s, v.data)
			}
		}
	}
	end = time.Now().Add(deadline)
	for name := range c.definitions {
		for differs := c.differs(name); differs != ""; differs = c.differs(name) {
			if time.Now().After(end) {
				c.t.Fatal("agreed before, but now: ", differs)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// isCopy tells whether a Secret is a definition's copy of a value.
func (c *chaos) isCopy(s *corev1.Secret, name string, v chaosValue) bool {
	return s != nil && maps.Equal(texts(s), v.data) && s.Labels[copies.LabelName] == name && s.Labels[copies.LabelTenant] == c.name && s.Labels[copies.LabelManagedBy] == copies.ManagedBy
}

// differs says in what a definition is not as the model has it.
func (c *chaos) differs(name string) string {
	d := c.definitions[name]
	e, ok := c.repo.Snapshot().Get(c.parse(name))
	if !ok {
		return name + " is not at HEAD"
	}
	v, there := c.values[d.path]
	targets := c.r.Status(c.tenant(), e).Targets
	if len(targets) != len(d.places) {
		return fmt.Sprintf("%s should have the targets %v; it stands at %+v", name, d.places, targets)
	}
	for i, place := range d.places {
		want := fault.ReasonSynced
		switch {
		case !there:
			want = fault.ReasonValueNotFound
		case v.deleted:
			want = fault.ReasonValueDeleted
		}
		if c.foreign[place] != nil {
			want = fault.ReasonNotOwned
			if !there || v.deleted {
				continue // which of the two is said depends on what was tried first
			}
		}
		if targets[i].Reason != want {
			return fmt.Sprintf("%s should be %s at %s; it stands at %+v", name, want, place, targets[i])
		}
		if want != fault.ReasonSynced {
			continue
		}
		s := c.get(place)
		if !c.isCopy(s, name, v) {
			return fmt.Sprintf("%s is Synced at %s, but the Secret is %+v; its value is %v", name, place, s, v.data)
		}
	}
	return ""
}

// foreignStand checks that no foreign Secret was touched.
func (c *chaos) foreignStand() {
	c.t.Helper()
	for place, before := range c.foreign {
		if now := c.get(place); now == nil || now.ResourceVersion != before.ResourceVersion {
			c.t.Errorf("foreign Secret %s was touched: %+v", place, now)
		}
	}
	for _, cluster := range c.stack.Clusters() {
		events, err := cluster.Audited()
		c.must(err)
		seen := 0
		for _, e := range events {
			if e.User != devstack.User || e.Namespace != c.namespace {
				continue
			}
			seen++
			if strings.HasPrefix(e.Name, "foreign-") && e.Verb != "get" && e.Code < 300 {
				c.t.Errorf("cluster %s: %s of %s/%s was answered %d", cluster.Name, e.Verb, e.Namespace, e.Name, e.Code)
			}
		}
		if seen == 0 {
			c.t.Error("the audit log knows of nothing that we did")
		}
	}
}
