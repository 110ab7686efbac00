package reconcile

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applyv1 "k8s.io/client-go/applyconfigurations/core/v1"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
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
	if s.UID != before.UID || s.Labels["app"] != "web" || s.Labels["team"] != "payments" || s.Labels[copies.LabelTenant] != w.name || s.Labels[copies.LabelName] != "" || s.Labels[copies.LabelManagedBy] != "" {
		t.Errorf("labels %v", s.Labels)
	}
	if stamp := s.Annotations[share.Annotation("db")]; stamp == "" || strings.Contains(stamp, "unasked") {
		t.Errorf("annotations %v", s.Annotations)
	}
	if x := w.status("db", fault.ReasonSynced); x.VaultVersion != 1 || x.Commit.IsZero() || x.LastSync.IsZero() {
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
		return s.Labels[copies.LabelTenant] == w.name && s.Annotations[share.Annotation("db")] != ""
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
	x := w.status("db", fault.ReasonKeyConflict)
	if x.State != fault.Error || !strings.Contains(x.Message, "key password of field manager their-controller") || strings.Contains(x.Message, "ours") {
		t.Errorf("%+v", x)
	}
	w.app(map[string]string{"password": "theirs", "user": "u"})
	// Rotation goes on for the rest.
	w.put("db", map[string]any{"password": "ours", "user": "u2"})
	w.app(map[string]string{"password": "theirs", "user": "u2"})
	w.status("db", fault.ReasonKeyConflict)
	// It is ours when it is gone, and left alone again when somebody declares it.
	w.edit(app, func(s *corev1.Secret) { delete(s.Data, "password") })
	w.synced("db")
	w.app(map[string]string{"password": "ours", "user": "u2"})
	w.declares("argocd", map[string]string{"password": "declared"})
	if x := w.status("db", fault.ReasonKeyConflict); !strings.Contains(x.Message, "argocd") {
		t.Errorf("%+v", x)
	}
	w.app(map[string]string{"password": "declared", "user": "u2"})
	// Unless the Secret says that the definition may have it.
	w.edit(app, func(s *corev1.Secret) { s.Annotations[copies.AnnotationAdopt] = w.name + "/db" })
	w.synced("db")
	w.app(map[string]string{"password": "ours", "user": "u2"})
}

// A label of ours alone makes nobody's Secret a copy.
func TestASecretThatOnlyBearsANameIsSomebodys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"password": "ours"})
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "app", Labels: map[string]string{copies.LabelName: "db"}}, StringData: map[string]string{"theirs": "t"}}
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
	w.status("db", fault.ReasonKeyConflict)
	if s := w.get(app); s.ResourceVersion != before.ResourceVersion {
		t.Errorf("%+v", s)
	}
	w.edit(app, func(s *corev1.Secret) { delete(s.Data, "password") })
	w.synced("db")
	w.app(map[string]string{"password": "ours"})
}

// What a definition asks for no more goes, though nothing of what it asks for is to be had.
func TestKeysThatLeftDataGoAlsoWhereAllThatIsLeftIsAnothers(t *testing.T) {
	t.Parallel()
	for name, theirs := range map[string]func(w *world){
		"somebody's": func(w *world) { w.theirs(map[string]string{"k": "theirs"}) },
		"another definition's": func(w *world) {
			w.put("api", map[string]any{"k": "theirs"})
			w.share("api", "", "k")
			w.synced("api")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.put("db", map[string]any{"password": "1", "k": "ours"})
			theirs(w)
			w.share("db", "labels: {team: payments}\n", "password")
			w.synced("db")
			w.share("db", "labels: {team: payments}\n", "k")
			w.status("db", fault.ReasonKeyConflict)
			s := w.app(map[string]string{"k": "theirs"})
			if s.Annotations[share.Annotation("db")] != "" || s.Labels["team"] != "" {
				t.Errorf("%v %v", s.Labels, s.Annotations)
			}
			w.status("db", fault.ReasonKeyConflict)
			// It goes on as soon as there is something to be had.
			w.share("db", "", "k", "password")
			s = w.app(map[string]string{"k": "theirs", "password": "1"})
			if s.Annotations[share.Annotation("db")] == "" {
				t.Errorf("%v", s.Annotations)
			}
		})
	}
}

// That a Secret may be taken over is said of what is other people's: a definition at work
// keeps what it has.
func TestAdoptionTakesNothingFromADefinitionThatHasIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("mail", map[string]any{"k": "mail"})
	w.put("db", map[string]any{"k": "db", "other": "db"})
	w.theirs(map[string]string{"theirs": "t", "other": "theirs"})
	w.share("mail", "", "k")
	w.synced("mail")
	w.edit(app, func(s *corev1.Secret) { s.Annotations[copies.AnnotationAdopt] = w.name + "/db" })
	w.share("db", "", "k", "other")
	if x := w.status("db", fault.ReasonKeyConflict); !strings.Contains(x.Message, "key k of definition mail") {
		t.Errorf("%+v", x)
	}
	w.app(map[string]string{"theirs": "t", "other": "db", "k": "mail"})
	w.synced("mail")
}

func TestOfTwoDefinitionsThatAskForOneKeyTheOneThatHasItKeepsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("first", map[string]any{"k": "first", "a": "a"})
	w.put("another", map[string]any{"k": "another", "b": "b"})
	w.share("first", "", "a", "k")
	w.synced("first")
	w.share("another", "", "b", "k")
	if x := w.status("another", fault.ReasonKeyConflict); !strings.Contains(x.Message, "key k of definition first") {
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
	if x := w.status("part", fault.ReasonTargetConflict); !strings.Contains(x.Message, "whole") {
		t.Errorf("%+v", x)
	}
	w.app(map[string]string{"a": "1", "b": "2"})
	// It comes to share: what it no longer names goes, and the other joins.
	w.share("whole", "", "a")
	w.synced("whole", "part")
	s := w.app(map[string]string{"a": "1", "p": "3"})
	if s.Labels[copies.LabelName] != "" || s.Annotations[copies.AnnotationHash] != "" || s.Annotations[copies.AnnotationCommit] != "" {
		t.Errorf("%v %v", s.Labels, s.Annotations)
	}
	// As a whole it can't be had while others have a share.
	w.push(map[string]*string{fileOf("whole"): w.yaml("whole", "", "app")})
	if x := w.status("whole", fault.ReasonTargetConflict); !strings.Contains(x.Message, "part") {
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
	if x := w.status("db", fault.ReasonTargetConflict); !strings.Contains(x.Message, "more than the keys of this definition") {
		t.Errorf("%+v", x)
	}
	w.app(map[string]string{"a": "1", "theirs": "t"})
	w.edit(app, func(s *corev1.Secret) { delete(s.Data, "theirs") })
	w.synced("db")
	s := w.app(map[string]string{"a": "1", "b": "2"})
	if s.Labels[copies.LabelName] != "db" || s.Annotations[share.Annotation("db")] != "" {
		t.Errorf("%v %v", s.Labels, s.Annotations)
	}
}

// A change of mode may change the type as well, which nobody else has a say in.
func TestOnesOwnShareBecomesACopyOfAnotherType(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1", "b": "2"})
	w.share("db", "labels: {team: payments}\n", "a")
	w.synced("db")
	before := w.app(map[string]string{"a": "1"})
	w.push(map[string]*string{fileOf("db"): w.yaml("db", "type: example.com/x\n", "app")})
	w.synced("db")
	s := w.app(map[string]string{"a": "1", "b": "2"})
	if s.Type != "example.com/x" || s.UID == before.UID || s.Annotations[share.Annotation("db")] != "" || s.Labels["team"] != "" {
		t.Errorf("%s %v %v", s.Type, s.Labels, s.Annotations)
	}
	// Not where somebody else has written to the Secret.
	w.delete(app)
	w.share("db", "", "a")
	w.app(map[string]string{"a": "1"})
	w.edit(app, func(s *corev1.Secret) { s.Annotations["theirs"] = "t" })
	before = w.get(app)
	w.push(map[string]*string{fileOf("db"): w.yaml("db", "type: example.com/y\n", "app")})
	w.status("db", fault.ReasonTypeMismatch)
	if now := w.get(app); now.UID != before.UID || now.Annotations["theirs"] != "t" {
		t.Errorf("%+v", now)
	}
}

func TestAnotherTenantsSecretIsNotShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "app", Labels: map[string]string{copies.LabelTenant: "neighbour"},
		Annotations: map[string]string{share.Annotation("db"): share.Stamp{Tenant: w.name, Path: "db", Version: 1, Keys: map[string]string{"a": "0"}}.Text()}}}
	before := w.create("production", s)
	w.share("db", "", "a")
	w.status("db", fault.ReasonNotOwned)
	if now := w.get(app); now.ResourceVersion != before.ResourceVersion {
		t.Errorf("%+v", now)
	}

	// Nor are keys that another tenant's definition has by its record, though somebody
	// labelled the Secret as ours: by us as a field manager it was written either way.
	w.remove("db") // or it would be there first
	w.weighed()
	w.delete(app)
	s.ResourceVersion, s.UID = "", ""
	s.Labels[copies.LabelTenant] = w.name
	s.Annotations = map[string]string{share.Annotation("secret-plan"): share.Stamp{Tenant: "neighbour", Path: "x", Version: 1, Keys: map[string]string{"a": "0"}}.Text()}
	s.Data = map[string][]byte{"a": []byte("theirs")}
	_, err := w.stack.Cluster("production").Admin.CoreV1().Secrets(w.namespace).Create(w.ctx, s, metav1.CreateOptions{FieldManager: copies.FieldManager})
	w.must(err)
	w.share("db", "", "a")
	if x := w.status("db", fault.ReasonKeyConflict); strings.Contains(x.Message, "secret-plan") {
		t.Errorf("%+v", x)
	}
	w.push(map[string]*string{fileOf("db"): w.yaml("db", "", "app")})
	if x := w.status("db", fault.ReasonTargetConflict); strings.Contains(x.Message, "secret-plan") {
		t.Errorf("%+v", x)
	}
	w.app(map[string]string{"a": "theirs"})
}

// What a Secret that others have a share of comes to hold, only the cluster knows.
func TestWhatTheClusterHasAgainstTheDataOfASharedSecretIsTheAuthorsToMend(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1", "big": strings.Repeat(canary, 100<<10), "tls.crt": "c", "tls.key": "k"})
	w.share("db", "type: kubernetes.io/tls\n", "a")
	if x := w.status("db", fault.ReasonInvalidKey); x.State != fault.Error || !strings.Contains(x.Message, "data[tls.crt]") || !strings.Contains(x.Message, "does not fit its type") {
		t.Errorf("%+v", x)
	}
	w.share("db", "type: kubernetes.io/tls\n", "a", "tls.crt", "tls.key")
	w.status("db", fault.ReasonSynced)
	w.remove("db")
	w.delete(app)

	before := w.theirs(map[string]string{"theirs": strings.Repeat("t", 700<<10)})
	w.share("db", "", "big")
	if x := w.status("db", fault.ReasonValueTooLarge); x.State != fault.Error || strings.Contains(x.Message, canary) || !strings.Contains(x.Message, "with what others have in it") {
		t.Errorf("%+v", x)
	}
	if now := w.get(app); now.ResourceVersion != before.ResourceVersion {
		t.Errorf("it was written: %v", now.Annotations)
	}
}
