package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applyv1 "k8s.io/client-go/applyconfigurations/core/v1"

	"secretsync/reconcile/kube"
	"secretsync/reconcile/kube/share"
	"secretsync/reconcile/restart"
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

func TestWhatIsNotProvenToBeOursStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1", "b": "1"})
	w.create("production", &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "app"}}) // an empty one, that somebody is to fill
	w.share("db", deletes, "a", "b")
	w.synced("db")
	w.stop()
	w.edit(app, func(s *corev1.Secret) { s.Data["b"] = []byte("edited") })
	w.share("db", deletes, "a")
	w.start()
	t.Cleanup(w.stop)
	w.synced("db")
	w.app(map[string]string{"a": "1", "b": "edited"})
	w.edit(app, func(s *corev1.Secret) { delete(s.Data, "b") })
	w.remove("db")
	w.until(app, "empty again, and still there", func(s *corev1.Secret) bool { return s != nil && len(s.Data) == 0 && len(s.Annotations) == 0 })
	w.weighed()
	if w.get(app) == nil {
		t.Error("somebody's Secret went with the last key of ours")
	}
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
	// When all that it left behind has passed on, nothing is left of it.
	w.put("another", map[string]any{"k": "another", "b": "b", "a": "a2"})
	w.share("another", "", "a", "b", "k")
	w.synced("another")
	s := w.app(map[string]string{"a": "a2", "b": "b", "k": "another"})
	if orphans := w.orphans(); len(orphans) != 0 || s.Annotations[share.Annotation("first")] != "" {
		t.Errorf("%+v, %v", orphans, s.Annotations)
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

	// Nor are keys that another tenant's definition has by its record, though somebody
	// labelled the Secret as ours: by us as a field manager it was written either way.
	w.remove("db") // or it would be there first
	w.weighed()
	w.delete(app)
	s.ResourceVersion, s.UID = "", ""
	s.Labels[kube.LabelTenant] = w.name
	s.Annotations = map[string]string{share.Annotation("secret-plan"): share.Stamp{Tenant: "neighbour", Path: "x", Version: 1, Keys: map[string]string{"a": "0"}}.Text()}
	s.Data = map[string][]byte{"a": []byte("theirs")}
	_, err := w.stack.Cluster("production").Admin.CoreV1().Secrets(w.namespace).Create(w.ctx, s, metav1.CreateOptions{FieldManager: kube.FieldManager})
	w.must(err)
	w.share("db", "", "a")
	if x := w.status("db", ReasonKeyConflict); strings.Contains(x.Message, "secret-plan") {
		t.Errorf("%+v", x)
	}
	w.push(map[string]*string{fileOf("db"): w.yaml("db", "", "app")})
	if x := w.status("db", ReasonTargetConflict); strings.Contains(x.Message, "secret-plan") {
		t.Errorf("%+v", x)
	}
	w.app(map[string]string{"a": "theirs"})
}

func TestALabelOfAnothersIsLeftAloneUnlessItSaysTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.theirs(map[string]string{"theirs": "t"}) // with the label app: web
	w.share("db", "labels: {app: web, team: payments}\n", "a")
	w.synced("db")
	w.share("db", "labels: {app: api, team: payments}\n", "a")
	if x := w.status("db", ReasonKeyConflict); !strings.Contains(x.Message, "label app of field manager their-controller") {
		t.Errorf("%+v", x)
	}
	if s := w.app(map[string]string{"theirs": "t", "a": "1"}); s.Labels["app"] != "web" || s.Labels["team"] != "payments" {
		t.Errorf("%v", s.Labels)
	}
	// What was only the same as theirs is not taken away with the share.
	w.share("db", deletes+"labels: {app: web}\n", "a")
	w.synced("db")
	w.remove("db")
	if s := w.app(map[string]string{"theirs": "t"}); s.Labels["app"] != "web" || s.Labels["team"] != "" {
		t.Errorf("%v", s.Labels)
	}
}

func TestAFightOverASharedKeyIsDampedAndNamesWhoFights(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.theirs(map[string]string{"theirs": "t"})
	w.share("db", "", "a")
	w.synced("db")
	secrets := w.stack.Cluster("production").Admin.CoreV1().Secrets(w.namespace)
	stop := w.opposes("app", 0, func(s *corev1.Secret) bool { return string(s.Data["a"]) == "1" }, func(s *corev1.Secret) error {
		s.Data["a"] = []byte("x")
		_, err := secrets.Update(w.ctx, s, metav1.UpdateOptions{FieldManager: "the-opponent"})
		return err
	})
	x := w.status("db", ReasonContended)
	stop()
	if x.State != Error || !strings.Contains(x.Message, "the-opponent") {
		t.Errorf("%+v", x)
	}
}

func TestWhatAdmissionMakesOfAShareIsSaidAndNotFought(t *testing.T) {
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.theirs(map[string]string{"theirs": "t"})
	end := w.mutates(`has(object.data) && "a" in object.data ? [JSONPatch{op: "replace", path: "/data/a", value: "eHg="}] : []`,
		func(s *corev1.Secret) bool { return string(s.Data["a"]) == "xx" })
	w.share("db", "", "a")
	if x := w.status("db", ReasonAltered); !strings.Contains(x.Message, "changes the data keys a") {
		t.Errorf("%+v", x)
	}
	// Nor when somebody touches something else on it.
	before := w.edit(app, func(s *corev1.Secret) { s.Data["theirs"] = []byte("t2") })
	w.define("other", "production/.")
	w.put("other", map[string]any{"b": "1"}) // which takes as long as any write would
	w.synced("other")
	w.status("db", ReasonAltered)
	if now := w.get(app); now.ResourceVersion != before.ResourceVersion {
		t.Error("it is written again and again")
	}
	end()
	w.synced("db")
	w.app(map[string]string{"theirs": "t2", "a": "1"})
}

func TestEachShareRestartsAWorkloadForItsOwnKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.deploy("web")
	for _, name := range []string{"db", "mail"} {
		w.put(name, map[string]any{name: "1"})
		w.push(map[string]*string{fileOf(name): new(fmt.Sprintf("name: %s\nsecretPath: %s\nmode: Merge\ndata: {%s: {key: %s}}\nsync: [{cluster: production, namespace: %s, secretName: app, restart: [deployment/web]}]\n",
			name, name, name, name, w.namespace))})
		w.current(name, time.Time{})
	}
	if d := w.deployment("web"); len(d.Spec.Template.Annotations) != 0 {
		t.Fatalf("when its copies are first made the template has %v", d.Spec.Template.Annotations)
	}
	began := time.Now()
	w.put("db", map[string]any{"db": "2"})
	w.current("db", began)
	d := w.deployment("web")
	if marks := d.Spec.Template.Annotations; len(marks) != 1 || marks[restart.Annotation("app_db")] == "" {
		t.Errorf("%v", marks)
	}
	w.stands("mail", "/Synced")
	if now := w.deployment("web"); now.Generation != d.Generation {
		t.Error("it is restarted again for what did not change")
	}
}

func TestASuspendedShareIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.theirs(map[string]string{"theirs": "t"})
	w.share("db", "suspend: true\n", "a")
	w.status("db", ReasonSuspended)
	w.app(map[string]string{"theirs": "t"})
	w.share("db", "", "a")
	w.synced("db")
	w.share("db", "suspend: true\n", "a")
	w.status("db", ReasonSuspended)
	w.edit(app, func(s *corev1.Secret) { s.Data["a"] = []byte("edited") })
	w.statusWhere("db", "the drift", func(s Status) bool { return strings.Contains(s.Targets[0].Message, "edited") })
	w.app(map[string]string{"theirs": "t", "a": "edited"})
}

func TestAnImmutableSecretIsNotShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	before := w.create("production", &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "app"}, StringData: map[string]string{"theirs": "t"}, Immutable: new(true)})
	w.share("db", "", "a")
	if x := w.status("db", ReasonTypeMismatch); !strings.Contains(x.Message, "immutable") {
		t.Errorf("%+v", x)
	}
	if now := w.get(app); now.UID != before.UID || now.ResourceVersion != before.ResourceVersion {
		t.Errorf("%+v", now)
	}
}

func TestASharedSecretInEveryNamespaceWithALabel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.label("production", w.name+"-a", `{"team":"`+w.name+`"}`)
	w.push(map[string]*string{fileOf("db"): new("name: db\nsecretPath: db\nmode: Merge\ndeletionPolicy: Delete\ndata: {a: {key: a}}\nsync: [{cluster: production, namespaceSelector: {matchLabels: {team: \"" + w.name + "\"}}, secretName: app}]\n")})
	there := "production/" + w.name + "-a/app"
	w.stands("db", "-a/Synced")
	w.create("production", &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "app"}, StringData: map[string]string{"theirs": "t"}})
	w.label("production", w.namespace, `{"team":"`+w.name+`"}`)
	w.stands("db", "/Synced", "-a/Synced")
	w.app(map[string]string{"theirs": "t", "a": "1"})
	// A namespace that stops matching is a target removed: the keys go from there.
	w.label("production", w.namespace, `{"team":null}`)
	w.app(map[string]string{"theirs": "t"})
	w.holds(there, map[string]string{"a": "1"})
}
