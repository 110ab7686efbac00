package reconcile

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applyv1 "k8s.io/client-go/applyconfigurations/core/v1"

	"secretsync/reconcile/kube"
	"secretsync/reconcile/kube/share"
)

// merging is a definition that has its value's key of the same name, or those that are
// given, in Secret app.
func (w *world) merging(name, more string, keys ...string) *string {
	data := "mode: Merge\ndata:\n"
	for _, key := range keys {
		data += "  " + key + ": {key: " + key + "}\n"
	}
	return w.yaml(name, more+data, "app")
}

func (w *world) share(name, more string, keys ...string) {
	w.t.Helper()
	w.push(map[string]*string{fileOf(name): w.merging(name, more, keys...)})
}

// theirs is a Secret of somebody else's.
func (w *world) theirs(data map[string]string) *corev1.Secret {
	w.t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "app", Namespace: w.namespace, Labels: map[string]string{"app": "web"}}, StringData: data}
	s, err := w.stack.Cluster("production").Admin.CoreV1().Secrets(w.namespace).Create(w.ctx, s, metav1.CreateOptions{FieldManager: "their-controller"})
	w.must(err)
	return s
}

// declares has somebody declare keys by server-side apply.
func (w *world) declares(manager string, data map[string]string) {
	w.t.Helper()
	raw := make(map[string][]byte)
	for k, v := range data {
		raw[k] = []byte(v)
	}
	_, err := w.stack.Cluster("production").Admin.CoreV1().Secrets(w.namespace).Apply(w.ctx,
		applyv1.Secret("app", w.namespace).WithData(raw), metav1.ApplyOptions{FieldManager: manager, Force: true})
	w.must(err)
}

const app = "production/./app"

func (w *world) app(want map[string]string) *corev1.Secret { w.t.Helper(); return w.holds(app, want) }

func TestOfASecretThatIsSharedOnlyTheKeysOfTheDefinitionAreWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"password": "1", "unasked": "x"})
	before := w.theirs(map[string]string{"theirs": "t"})
	w.share("db", "labels: {team: payments}\n", "password")
	w.synced("db")
	s := w.app(map[string]string{"theirs": "t", "password": "1"})
	if s.UID != before.UID || s.Labels["app"] != "web" || s.Labels["team"] != "payments" || s.Labels[kube.LabelTenant] != w.name || s.Labels[kube.LabelName] != "" || s.Labels[kube.LabelManagedBy] != "" {
		t.Errorf("labels %v", s.Labels)
	}
	if stamp := s.Annotations[share.Annotation("db")]; stamp == "" || strings.Contains(stamp, "unasked") {
		t.Errorf("annotations %v", s.Annotations)
	}
	if x := w.status("db", ReasonSynced); x.VaultVersion != 1 || x.Commit.IsZero() || x.LastSync.IsZero() {
		t.Errorf("%+v", x)
	}

	// A change of what is another's is nobody's business.
	w.edit(app, func(s *corev1.Secret) { s.Data["theirs"] = []byte("t2"); s.Data["more"] = []byte("m") })
	w.put("db", map[string]any{"password": "2"})
	w.app(map[string]string{"theirs": "t2", "more": "m", "password": "2"})

	// A change of what is ours is put right, by edit and by removal, of a label too.
	w.edit(app, func(s *corev1.Secret) { s.Data["password"] = []byte("edited") })
	w.app(map[string]string{"theirs": "t2", "more": "m", "password": "2"})
	w.edit(app, func(s *corev1.Secret) { delete(s.Data, "password"); delete(s.Labels, "team") })
	w.until(app, "put right", func(s *corev1.Secret) bool {
		return string(s.Data["password"]) == "2" && s.Labels["team"] == "payments"
	})
	w.edit(app, func(s *corev1.Secret) { s.Labels = map[string]string{"app": "web"}; s.Annotations = nil })
	w.until(app, "labelled again", func(s *corev1.Secret) bool {
		return s.Labels[kube.LabelTenant] == w.name && s.Annotations[share.Annotation("db")] != ""
	})
	w.synced("db")

	// A start writes nothing.
	s = w.get(app)
	w.restart(func() error { return nil })
	w.synced("db")
	if now := w.get(app); now.ResourceVersion != s.ResourceVersion {
		t.Errorf("a start wrote: %+v", now)
	}

	// What the definition no longer names goes; what others wrote stays.
	w.put("db", map[string]any{"user": "u", "password": "2"})
	w.share("db", "", "user")
	s = w.app(map[string]string{"theirs": "t2", "more": "m", "user": "u"})
	w.synced("db")
	if _, there := s.Labels["team"]; there {
		t.Errorf("labels %v", s.Labels)
	}
	// A removed definition leaves what it wrote (Retain).
	w.remove("db")
	w.weighed()
	w.app(map[string]string{"theirs": "t2", "more": "m", "user": "u"})
	if orphans := w.orphans(); len(orphans) != 1 || !slices.Equal(orphans[0].Keys, []string{"user"}) || orphans[0].Doubt != "" {
		t.Errorf("%+v", orphans)
	}
	// Removed as an orphan, its keys go, and nothing else.
	if removed := w.cleanUp(); len(removed) != 1 {
		t.Errorf("%v", removed)
	}
	s = w.app(map[string]string{"theirs": "t2", "more": "m"})
	if len(s.Annotations) != 0 || !maps.Equal(s.Labels, map[string]string{"app": "web"}) {
		t.Errorf("%v %v", s.Labels, s.Annotations)
	}
}

func TestDefinitionsShareASecretAndOnesKeysGoWithIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"db", "mail"} {
		w.put(name, map[string]any{name: name + "-1"})
	}
	w.push(map[string]*string{fileOf("db"): w.merging("db", deletes, "db"), fileOf("mail"): w.merging("mail", deletes, "mail")})
	w.synced("db", "mail")
	w.app(map[string]string{"db": "db-1", "mail": "mail-1"}) // which nobody had made
	w.remove("db")
	w.app(map[string]string{"mail": "mail-1"})
	w.synced("mail")
	// A key that was edited since is not proven to be ours, and stays.
	w.put("mail", map[string]any{"mail": "mail-2"})
	w.app(map[string]string{"mail": "mail-2"})
	w.remove("mail")
	w.until(app, "gone, as nobody else ever wrote to it", gone)
}

func TestAKeyOfAnothersIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"password": "ours", "user": "u"})
	w.theirs(map[string]string{"password": "theirs"})
	w.share("db", "", "password", "user")
	x := w.status("db", ReasonKeyConflict)
	if x.State != Error || !strings.Contains(x.Message, "key password of field manager their-controller") || strings.Contains(x.Message, "ours") {
		t.Errorf("%+v", x)
	}
	w.app(map[string]string{"password": "theirs", "user": "u"})
	// Rotation goes on for the rest.
	w.put("db", map[string]any{"password": "ours", "user": "u2"})
	w.app(map[string]string{"password": "theirs", "user": "u2"})
	w.status("db", ReasonKeyConflict)
	// It is ours when it is gone, and left alone again when somebody declares it.
	w.edit(app, func(s *corev1.Secret) { delete(s.Data, "password") })
	w.synced("db")
	w.app(map[string]string{"password": "ours", "user": "u2"})
	w.declares("argocd", map[string]string{"password": "declared"})
	if x := w.status("db", ReasonKeyConflict); !strings.Contains(x.Message, "argocd") {
		t.Errorf("%+v", x)
	}
	w.app(map[string]string{"password": "declared", "user": "u2"})
	// Unless the Secret says that the definition may have it.
	w.edit(app, func(s *corev1.Secret) { s.Annotations[kube.AnnotationAdopt] = w.name + "/db" })
	w.synced("db")
	w.app(map[string]string{"password": "ours", "user": "u2"})
}

// A label of ours alone makes nobody's Secret a copy.
func TestASecretThatOnlyBearsANameIsSomebodys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"password": "ours"})
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "app", Labels: map[string]string{kube.LabelName: "db"}}, StringData: map[string]string{"theirs": "t"}}
	w.create("production", s)
	w.share("db", "", "password")
	w.synced("db")
	w.app(map[string]string{"password": "ours", "theirs": "t"})
}

func TestASecretOfWhichNoKeyIsToBeHadIsNotTouched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"password": "ours"})
	before := w.theirs(map[string]string{"password": "theirs"})
	w.share("db", "", "password")
	w.status("db", ReasonKeyConflict)
	if s := w.get(app); s.ResourceVersion != before.ResourceVersion {
		t.Errorf("%+v", s)
	}
	w.edit(app, func(s *corev1.Secret) { delete(s.Data, "password") })
	w.synced("db")
	w.app(map[string]string{"password": "ours"})
}

func TestOfTwoDefinitionsThatAskForOneKeyTheOneThatHasItKeepsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("first", map[string]any{"k": "first", "a": "a"})
	w.put("another", map[string]any{"k": "another", "b": "b"})
	w.share("first", "", "a", "k")
	w.synced("first")
	w.share("another", "", "b", "k")
	if x := w.status("another", ReasonKeyConflict); !strings.Contains(x.Message, "key k of definition first") {
		t.Errorf("%+v", x)
	}
	w.synced("first")
	w.app(map[string]string{"a": "a", "b": "b", "k": "first"})
	// It passes on when that one goes, and what that leaves behind stays.
	w.remove("first")
	w.synced("another")
	w.app(map[string]string{"a": "a", "b": "b", "k": "another"})
	if orphans := w.orphans(); len(orphans) != 1 || !slices.Equal(orphans[0].Keys, []string{"a"}) {
		t.Errorf("%+v", orphans)
	}
}

func TestASecretIsSharedOrSomebodysAsAWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("whole", map[string]any{"a": "1", "b": "2"})
	w.put("part", map[string]any{"p": "3"})
	w.push(map[string]*string{fileOf("whole"): w.yaml("whole", "", "app")})
	w.synced("whole")
	w.share("part", "", "p")
	if x := w.status("part", ReasonTargetConflict); !strings.Contains(x.Message, "whole") {
		t.Errorf("%+v", x)
	}
	w.app(map[string]string{"a": "1", "b": "2"})
	// It comes to share: what it no longer names goes, and the other joins.
	w.share("whole", "", "a")
	w.synced("whole", "part")
	s := w.app(map[string]string{"a": "1", "p": "3"})
	if s.Labels[kube.LabelName] != "" || s.Annotations[kube.AnnotationHash] != "" || s.Annotations[kube.AnnotationCommit] != "" {
		t.Errorf("%v %v", s.Labels, s.Annotations)
	}
	// As a whole it can't be had while others have a share.
	w.push(map[string]*string{fileOf("whole"): w.yaml("whole", "", "app")})
	if x := w.status("whole", ReasonTargetConflict); !strings.Contains(x.Message, "part") {
		t.Errorf("%+v", x)
	}
	w.app(map[string]string{"a": "1", "p": "3"})
}

func TestOnesOwnShareBecomesACopyWhereNothingElseIsInTheSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1", "b": "2"})
	w.share("db", "", "a")
	w.synced("db")
	w.edit(app, func(s *corev1.Secret) { s.Data["theirs"] = []byte("t") })
	w.push(map[string]*string{fileOf("db"): w.yaml("db", "", "app")})
	if x := w.status("db", ReasonTargetConflict); !strings.Contains(x.Message, "more than the keys of this definition") {
		t.Errorf("%+v", x)
	}
	w.app(map[string]string{"a": "1", "theirs": "t"})
	w.edit(app, func(s *corev1.Secret) { delete(s.Data, "theirs") })
	w.synced("db")
	s := w.app(map[string]string{"a": "1", "b": "2"})
	if s.Labels[kube.LabelName] != "db" || s.Annotations[share.Annotation("db")] != "" {
		t.Errorf("%v %v", s.Labels, s.Annotations)
	}
}

func TestAnotherTenantsSecretIsNotShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "app", Labels: map[string]string{kube.LabelTenant: "neighbour"},
		Annotations: map[string]string{share.Annotation("db"): share.Stamp{Tenant: w.name, Path: "db", Version: 1, Keys: map[string]string{"a": "0"}}.Text()}}}
	before := w.create("production", s)
	w.share("db", "", "a")
	w.status("db", ReasonNotOwned)
	if now := w.get(app); now.ResourceVersion != before.ResourceVersion {
		t.Errorf("%+v", now)
	}
}
