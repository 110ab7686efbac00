package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/examples/devstack"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/mirror"
	"secretsync/reconcile/kube/refusal"
	"secretsync/reconcile/kube/share"
)

func TestACopyIsCreatedUpdatedAndDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t).up()
	d := w.desired("db", 1, "a=1", "b=2")
	r := w.create(d)
	if !r.Right(owner, d.Stamp, "", 0) || !w.c.Look(d.Key).Copy.Right(owner, d.Stamp, "", 0) {
		t.Fatalf("%+v", r)
	}
	w.edit("db", func(s *corev1.Secret) { s.Labels["theirs"] = "x"; s.Annotations["theirs"] = "y" })
	w.until("the edit", func() bool { return w.c.Look(d.Key).Copy.ResourceVersion != r.ResourceVersion })
	d = w.desired("db", 2, "a=2")
	r, err := w.c.Update(w.ctx, w.c.Look(d.Key).Copy, d)
	w.must(err)
	s := w.get("db")
	if !r.Right(owner, d.Stamp, "", 0) || len(s.Data) != 1 || string(s.Data["a"]) != "2" || s.Labels["theirs"] != "x" || s.Annotations["theirs"] != "y" {
		t.Fatalf("%+v %+v", r, s)
	}
	// The server notes a request a moment after it has answered it.
	var writes map[string]int
	w.until("noted", func() bool { writes = w.writesTo("db"); return writes["create"] > 0 && writes["patch"] > 0 })
	if writes["create"] != 1 || writes["patch"] != 1 {
		t.Errorf("%v", writes)
	}
	if _, err := w.c.Create(w.ctx, d); refusal.KindOf(err) != refusal.Exists {
		t.Errorf("%v", err)
	}
	w.must(w.c.Delete(w.ctx, d.Key, r))
	if w.get("db") != nil || w.c.Look(d.Key).Copy != nil {
		t.Error("it is there")
	}
	if w.c.Identity() == "" || w.c.Identity()[:1] == "n" {
		t.Errorf("identity %q", w.c.Identity())
	}
	w.until("its version", func() bool { return w.c.Version() != "" })
}

func TestWhatRefusesUpdatesIsMadeAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t).up()
	yes := true
	d := w.desired("db", 2, "a=2")
	for name, change := range map[string]func(*corev1.Secret){
		"immutable":       func(s *corev1.Secret) { s.Immutable = &yes },
		"of another type": func(s *corev1.Secret) { s.Type = "example.org/x" },
	} {
		s := w.secretOf(w.desired("db", 1, "a=1"))
		change(s)
		s.Labels["theirs"] = "x"
		s.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "none", UID: "none"}}
		w.put(s)
		r := w.seen("db", "seen", func(s mirror.Seen) bool { return s.Copy != nil }).Copy
		if !r.Intact || !r.Owned || r.Right(owner, r.Stamp, "", 0) == (name == "of another type") || r.Immutable != (name == "immutable") {
			t.Fatalf("%s: %+v", name, r)
		}
		r, err := w.c.Replace(w.ctx, r, d)
		w.must(err)
		got := w.get("db")
		if !r.Right(owner, d.Stamp, "", 0) || string(got.Data["a"]) != "2" || got.Labels["theirs"] != "x" || len(got.OwnerReferences) != 1 || got.Type != copies.TypeOpaque || got.Immutable != nil {
			t.Errorf("%s: %+v %+v", name, r, got)
		}
		w.must(w.c.Delete(w.ctx, d.Key, r))
	}
}

// A patch is for what was seen. Where that changed so that the patch can't be applied, the
// server says what it says of a patch that is wrong.
func TestAPatchThatCantBeAppliedToWhatStandsThereByNowIsAConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t).up()
	part := func(name string, data ...string) copies.Desired {
		d := w.desired(name, 1, data...)
		d.Part = true
		return d
	}
	// old is what was seen of a Secret before somebody changed it.
	old := func(name string, change func(*corev1.Secret)) *copies.Copy {
		c, err := w.c.Join(w.ctx, nil, part(name, "a=1", "b=1"))
		w.must(err)
		w.edit(name, change)
		return c
	}
	withoutKey := func(s *corev1.Secret) { delete(s.Data, "b") }
	for name, write := range map[string]func() error{
		"joined": func() error {
			_, err := w.c.Join(w.ctx, old("joined", withoutKey), part("joined", "a=2"))
			return err
		},
		"tried": func() error {
			_, err := w.c.Try(w.ctx, old("tried", withoutKey), part("tried", "a=2"))
			return err
		},
		"left": func() error { return w.c.Leave(w.ctx, w.at("left"), old("left", withoutKey)) },
		"updated": func() error {
			c := w.create(w.desired("updated", 1, "a=1"))
			w.edit("updated", func(s *corev1.Secret) { s.Annotations = nil })
			_, err := w.c.Update(w.ctx, c, w.desired("updated", 2, "a=2"))
			return err
		},
	} {
		if err := write(); refusal.KindOf(err) != refusal.Conflict {
			t.Errorf("%s: %s, %v", name, refusal.KindOf(err), err)
		}
	}
	// One that goes on as it is was refused for a mistake of ours.
	c, err := w.c.Join(w.ctx, nil, part("wrong", "a=1"))
	w.must(err)
	wrong := w.withoutKey(c, w.get("wrong"), "b")
	if _, err := w.c.Join(w.ctx, wrong, part("wrong", "a=2")); refusal.KindOf(err) != refusal.Invalid {
		t.Errorf("wrong: %s, %v", refusal.KindOf(err), err)
	}
	w.remove("wrong")
	if _, err := w.c.Join(w.ctx, wrong, part("wrong", "a=2")); refusal.KindOf(err) != refusal.Gone {
		t.Errorf("gone: %s, %v", refusal.KindOf(err), err)
	}
}

// withoutKey is a share that is taken to have one key more than stands on the Secret.
func (w *world) withoutKey(c *copies.Copy, s *corev1.Secret, key string) *copies.Copy {
	w.t.Helper()
	s = s.DeepCopy()
	name := share.Annotation(c.Owner.Name)
	stamp, ok := share.Parse(s.Annotations[name])
	if !ok {
		w.t.Fatalf("no record: %v", s.Annotations)
	}
	s.Data[key] = []byte("1")
	stamp.Keys[key] = w.c.hasher.Prove(w.c.Identity(), w.at(s.Name), c.Owner, key, s.Data[key])
	s.Annotations[name] = stamp.Text()
	return w.c.reader().Read(s).PartOf(c.Owner)
}

func TestNothingIsDeletedThatCouldNotBeMadeAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t).up()
	yes := true
	s := w.secretOf(w.desired("db", 1, "a=1"))
	s.Immutable = &yes
	before := w.put(s)
	r := w.seen("db", "seen", func(s mirror.Seen) bool { return s.Copy != nil }).Copy
	d := w.desired("db", 2, "a=2")
	stays := func(why string, want refusal.Kind, says string, err error) {
		t.Helper()
		if refusal.KindOf(err) != want || !strings.Contains(fmt.Sprint(err), says) {
			t.Errorf("%s: %s, %v", why, refusal.KindOf(err), err)
		}
		if now := w.get("db"); now == nil || now.UID != before.UID || now.DeletionTimestamp != nil {
			t.Fatalf("%s: %+v", why, now)
		}
	}
	old := *r
	old.ResourceVersion = "1"
	_, err := w.c.Replace(w.ctx, &old, d)
	stays("it changed meanwhile", refusal.Conflict, "changed", err)

	w.denies("!has(object.metadata.annotations) || object.metadata.annotations['secretsync.dev/vault-version'] != '2'", "'no'")
	w.probe("in force", func(*corev1.Secret, error) bool {
		_, err := w.c.Create(w.ctx, w.desired("other", 2, "a=2"))
		return refusal.KindOf(err) == refusal.Denied
	})
	_, err = w.c.Replace(w.ctx, r, d)
	stays("admission refuses the new one", refusal.Denied, "left alone", err)
	d = w.desired("db", 3, "a=3")

	// The server itself takes no such object.
	bad := d
	bad.Type = "kubernetes.io/tls"
	_, err = w.c.Replace(w.ctx, r, bad)
	stays("the new one is invalid", refusal.Invalid, "data[tls.crt]: FieldValueRequired", err)

	w.edit("db", func(s *corev1.Secret) { s.Finalizers = []string{"example.org/keep", "example.org/too"} })
	r = w.seen("db", "its finalizers", func(s mirror.Seen) bool { return len(s.Copy.Finalizers) == 2 }).Copy
	_, err = w.c.Replace(w.ctx, r, d)
	stays("finalizers", refusal.Kept, "example.org/keep, example.org/too", err)

	// Somebody deletes it, and the finalizers keep it.
	w.remove("db")
	r = w.seen("db", "being deleted", func(s mirror.Seen) bool { return s.Copy.Deleting }).Copy
	if r.Right(owner, r.Stamp, "", 0) {
		t.Error("it is taken for right")
	}
	if _, err := w.c.Create(w.ctx, d); refusal.KindOf(err) != refusal.Exists {
		t.Errorf("%v", err)
	}
	if err := w.c.Delete(w.ctx, d.Key, r); refusal.KindOf(err) != refusal.Kept || !strings.Contains(err.Error(), "example.org/keep") {
		t.Errorf("%v", err)
	}
	w.edit("db", func(s *corev1.Secret) { s.Finalizers = nil })
	w.seen("db", "gone", func(s mirror.Seen) bool { return s.Copy == nil })
	w.create(d)
}

func TestOnceTheOldOneIsDeletedANewOneStands(t *testing.T) {
	t.Parallel()
	post := func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Get("dryRun") == "" }
	remove := func(r *http.Request) bool { return r.Method == http.MethodDelete }
	for name, broken := range map[string]devstack.Fault{
		"the create is answered 503":                {Match: post, Status: 503},
		"the create is asked to wait":               {Match: post, Status: 429, Header: http.Header{"Retry-After": {"1"}}},
		"the create comes to a broken line":         {Match: post, Reset: true},
		"the create is done and its answer is lost": {Match: post, Truncate: 10},
		"the create is not answered":                {Match: post, Drop: true},
		"the deletion is answered 503":              {Match: remove, Status: 503},
		"the deletion's answer is lost":             {Match: remove, Truncate: 10},
		"the deletion is not answered":              {Match: remove, Drop: true},
		"we are told to stop at the deletion":       {Match: remove, Delay: time.Millisecond},
		"we are told to stop at the create":         {Match: post, Status: 503},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := newProxy(t)
			w := newWorld(t, via(proxy), hastyFor(broken)).up()
			yes := true
			s := w.secretOf(w.desired("db", 1, "a=1"))
			s.Immutable = &yes
			w.put(s)
			r := w.seen("db", "seen", func(s mirror.Seen) bool { return s.Copy != nil }).Copy
			ctx, cancel := context.WithCancel(w.ctx)
			defer cancel()
			broken.Times = 2
			match := broken.Match
			broken.Match = func(r *http.Request) bool {
				if match(r) && strings.HasPrefix(name, "we are told to stop") {
					cancel()
				}
				return match(r)
			}
			proxy.Inject(broken)
			d := w.desired("db", 2, "a=2")
			r, err := w.c.Replace(ctx, r, d)
			w.must(err)
			if got := w.get("db"); got == nil || string(got.Data["a"]) != "2" || !r.Right(owner, d.Stamp, "", 0) {
				t.Fatalf("%v; %+v", r, got)
			}
			// Where we are told to stop before it nothing is done.
			cancel()
			if _, err := w.c.Replace(ctx, r, d); !errors.Is(err, context.Canceled) || w.get("db") == nil {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestWhatIsNotOursIsReadOneByOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t).up()
	d := w.desired("db", 1, "a=1")
	if r, err := w.c.Read(w.ctx, d.Key); r != nil || err != nil {
		t.Errorf("%+v, %v", r, err)
	}
	w.put(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "db"}, Data: map[string][]byte{"a": []byte("theirs")}})
	if _, err := w.c.Create(w.ctx, d); refusal.KindOf(err) != refusal.Exists {
		t.Errorf("%v", err)
	}
	r, err := w.c.Read(w.ctx, d.Key, owner)
	w.must(err)
	if r.Owner != (copies.Owner{}) || r.Watched || r.Intact || r.Adoptable(owner) || w.c.Look(d.Key).Copy != r {
		t.Errorf("%+v", r)
	}
	w.edit("db", func(s *corev1.Secret) { s.Annotations = map[string]string{copies.AnnotationAdopt: "acme/db"} })
	r, err = w.c.Read(w.ctx, d.Key, owner)
	w.must(err)
	if !r.Adoptable(owner) || r.Adoptable(copies.Owner{Tenant: "acme", Name: "other"}) {
		t.Errorf("%+v", r)
	}
	r, err = w.c.Update(w.ctx, r, d)
	w.must(err)
	if !r.Right(owner, d.Stamp, "", 0) {
		t.Errorf("%+v", r)
	}
	// It loses all our labels: the watch says it went, and the hash that it is ours.
	w.edit("db", func(s *corev1.Secret) { s.Labels = nil })
	w.seen("db", "left", func(s mirror.Seen) bool { return s.Copy == nil && s.Left })
	r, err = w.c.Read(w.ctx, d.Key, copies.Owner{Tenant: "acme", Name: "other"}, owner)
	w.must(err)
	if r.Owner != owner || !r.Intact || r.Watched || w.c.Look(d.Key).Left {
		t.Errorf("%+v", r)
	}
	found := 0
	for range w.c.Copies(owner.Tenant, func(namespace string) bool { return namespace == w.namespace }) {
		found++
	}
	if found != 1 {
		t.Errorf("%d copies", found)
	}
	// Only the label that says who manages it: it stays in sight.
	_, err = w.c.Update(w.ctx, r, d)
	w.must(err)
	w.edit("db", func(s *corev1.Secret) { delete(s.Labels, copies.LabelManagedBy) })
	r = w.seen("db", "without a label", func(s mirror.Seen) bool { return s.Copy != nil && !s.Copy.Labelled }).Copy
	if r.Right(owner, d.Stamp, "", 0) || !r.Watched || !r.Intact {
		t.Errorf("%+v", r)
	}
}

func TestAServerThatIsBehindIsAskedForTheNewest(t *testing.T) {
	t.Parallel()
	w := newWorld(t).up()
	d := w.desired("db", 1, "a=1")
	w.create(d)
	w.edit("db", func(s *corev1.Secret) { s.Labels = nil })
	w.seen("db", "left", func(s mirror.Seen) bool { return s.Copy == nil && s.Left })
	// It is told to have gone as of another server than the one that answers.
	s := w.secretOf(d)
	s.ResourceVersion = "1"
	w.c.mirror.Saw(d.Key, s, s.ResourceVersion)
	w.c.mirror.Saw(d.Key, nil, "999999999999")
	r, err := w.c.Read(w.ctx, d.Key, d.Owner)
	w.must(err)
	if r == nil || r.Owner != d.Owner || r.Watched || w.c.Look(d.Key).Left {
		t.Errorf("%+v", r)
	}
}

func TestACopyOfACopyIsNotOurs(t *testing.T) {
	t.Parallel()
	w := newWorld(t).up()
	d := w.desired("db", 1, "a=1")
	w.create(d)
	other := w.namespace + "-other"
	w.must(w.real.CreateNamespace(w.ctx, other))
	s := w.get("db")
	s.ObjectMeta = metav1.ObjectMeta{Namespace: other, Name: "db", Labels: s.Labels, Annotations: s.Annotations}
	w.put(s)
	w.until("the copy", func() bool { return w.c.Look(copies.Key{Namespace: other, Name: "db"}).Copy != nil })
	if r := w.c.Look(copies.Key{Namespace: other, Name: "db"}).Copy; r.Intact || r.Owner != owner {
		t.Errorf("%+v", r)
	}
	if r := w.c.Look(d.Key).Copy; !r.Intact {
		t.Errorf("%+v", r)
	}
}

func TestWhoEditsACopyIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t).up()
	d := w.desired("db", 1, "a=1")
	w.create(d)
	w.edit("db", func(s *corev1.Secret) { s.Data["a"] = []byte("edited") })
	r := w.seen("db", "edited", func(s mirror.Seen) bool { return !s.Copy.Intact }).Copy
	if r.Manager == nil || r.Manager.Name != "kubectl-edit" || r.Manager.Second || time.Since(r.Manager.Time) > time.Minute {
		t.Errorf("%+v", r.Manager)
	}
	r, err := w.c.Update(w.ctx, r, d)
	w.must(err)
	if r.Manager != nil {
		t.Errorf("%+v", r.Manager)
	}
	// A second server of ours, with another idea of the value.
	second := newWorld(t, func(other *world) { other.namespace = w.namespace }).up()
	mine, err := second.c.Read(second.ctx, d.Key)
	w.must(err)
	if _, err = second.c.Update(second.ctx, mine, w.desired("db", 7, "a=7")); err != nil {
		t.Fatal(err)
	}
	r = w.seen("db", "the second server's", func(s mirror.Seen) bool { return s.Copy.Version == 7 }).Copy
	if r.Manager == nil || !r.Manager.Second || !r.Intact {
		t.Errorf("%+v", r.Manager)
	}
}
