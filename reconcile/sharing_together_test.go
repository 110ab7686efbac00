package reconcile

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/restart"
	"secretsync/reconcile/status"
)

func TestALabelOfAnothersIsLeftAloneUnlessItSaysTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.theirs(map[string]string{"theirs": "t"}) // with the label app: web
	w.share("db", "labels: {app: web, team: payments}\n", "a")
	w.synced("db")
	w.share("db", "labels: {app: api, team: payments}\n", "a")
	if x := w.status("db", fault.ReasonKeyConflict); !strings.Contains(x.Message, "label app of field manager their-controller") {
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
	x := w.status("db", fault.ReasonContended)
	stop()
	if x.State != fault.Error || !strings.Contains(x.Message, "the-opponent") {
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
	if x := w.status("db", fault.ReasonAltered); !strings.Contains(x.Message, "changes the data keys a") {
		t.Errorf("%+v", x)
	}
	// Nor when somebody touches something else on it.
	before := w.edit(app, func(s *corev1.Secret) { s.Data["theirs"] = []byte("t2") })
	w.define("other", "production/.")
	w.put("other", map[string]any{"b": "1"}) // which takes as long as any write would
	w.synced("other")
	w.status("db", fault.ReasonAltered)
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
	w.status("db", fault.ReasonSuspended)
	w.app(map[string]string{"theirs": "t"})
	w.share("db", "", "a")
	w.synced("db")
	w.share("db", "suspend: true\n", "a")
	w.status("db", fault.ReasonSuspended)
	w.edit(app, func(s *corev1.Secret) { s.Data["a"] = []byte("edited") })
	w.statusWhere("db", "the drift", func(s status.Status) bool { return strings.Contains(s.Targets[0].Message, "edited") })
	w.app(map[string]string{"theirs": "t", "a": "edited"})
}

func TestAnImmutableSecretIsNotShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	before := w.create("production", &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "app"}, StringData: map[string]string{"theirs": "t"}, Immutable: new(true)})
	w.share("db", "", "a")
	if x := w.status("db", fault.ReasonTypeMismatch); !strings.Contains(x.Message, "immutable") {
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
