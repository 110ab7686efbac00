package reconcile

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/share"
)

// Our tenant's label stands on each Secret that is shared, so it makes no Secret ours.
func TestASecretWhoseRecordIsGoneIsNotFilledAsAWhole(t *testing.T) {
	t.Parallel()
	for name, loses := range map[string]func(*corev1.Secret){
		"removed": func(s *corev1.Secret) { delete(s.Annotations, share.Annotation("db")) },
		"garbled": func(s *corev1.Secret) { s.Annotations[share.Annotation("db")] = "{" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.put("db", map[string]any{"password": "1"})
			w.put("web", map[string]any{"w": "2"})
			w.theirs(map[string]string{"theirs": "t"})
			w.share("db", "", "password")
			w.synced("db")
			w.remove("db") // which leaves what it wrote, and our label
			w.weighed()
			w.edit(app, loses)
			w.push(map[string]*string{fileOf("web"): w.yaml("web", "", "app")})
			s := w.status("web", fault.ReasonNotOwned)
			if s.State != fault.Error {
				t.Errorf("%+v", s)
			}
			w.app(map[string]string{"theirs": "t", "password": "1"})
		})
	}
}

// Who may add a key to a Secret in which a server keeps API keys may add a key of any tenant: a grant of
// its namespace gives nobody that.
func TestASecretWithTheKeysOfAServerIsNotShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"password": "ours"})
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "app"}, Type: "secretsync.dev/api-keys", StringData: map[string]string{"ak-1.json": "{}"}}
	w.create("production", s)
	w.share("db", "", "password")
	if s := w.status("db", fault.ReasonNotOwned); s.State != fault.Error || !strings.Contains(s.Message, "holds keys of a server") {
		t.Errorf("%+v", s)
	}
	w.app(map[string]string{"ak-1.json": "{}"})
}

// A label that somebody sets makes no share the copy of a definition as a whole.
func TestANameOnASharedSecretGivesNobodyAllOfIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"password": "1"})
	w.theirs(map[string]string{"theirs": "t"})
	w.share("db", "", "password")
	w.synced("db")
	w.edit(app, func(s *corev1.Secret) { s.Labels[copies.LabelName] = "db" })
	w.put("db", map[string]any{"password": "2"})
	s := w.app(map[string]string{"theirs": "t", "password": "2"})
	if _, there := s.Labels[copies.LabelName]; there {
		t.Errorf("%v", s.Labels)
	}
	w.synced("db")
}

// A Secret that lost our label is still the neighbour's whose record it bears, also
// where their definition has the name of ours, and so its record that of ours.
func TestTheRecordOfAnotherTenantIsNotWrittenOver(t *testing.T) {
	t.Parallel()
	for _, theirs := range []string{"db", "their-plan"} {
		t.Run(theirs, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.put("db", map[string]any{"b": "1"})
			record := share.Stamp{Tenant: "neighbour", Path: "x", Version: 1, Keys: map[string]string{"a": "0"}}.Text()
			s := &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Name: "app", Namespace: w.namespace, Annotations: map[string]string{share.Annotation(theirs): record}},
				Data:       map[string][]byte{"a": []byte("theirs")},
			}
			_, err := w.stack.Cluster("production").Admin.CoreV1().Secrets(w.namespace).Create(w.ctx, s, metav1.CreateOptions{FieldManager: copies.FieldManager})
			w.must(err)
			w.share("db", "", "b")
			if x := w.status("db", fault.ReasonNotOwned); strings.Contains(x.Message, "neighbour") || strings.Contains(x.Message, "their-plan") {
				t.Errorf("%+v", x)
			}
			if now := w.app(map[string]string{"a": "theirs"}); now.Annotations[share.Annotation(theirs)] != record || now.Labels[copies.LabelTenant] != "" {
				t.Errorf("%v %v", now.Labels, now.Annotations)
			}
		})
	}
}

// The record of one of those who share a Secret is of a newer format: what it lists is
// not known, so nothing on the Secret passes to anybody.
func TestASecretOnWhichARecordIsOfANewerFormatIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("first", map[string]any{"a": "first"})
	w.put("another", map[string]any{"a": "another", "b": "b"})
	w.share("first", "", "a")
	w.synced("first")
	w.remove("first")
	w.weighed()
	newer := `{"format":2,"tenant":"` + w.name + `","entries":"of another kind"}`
	w.edit(app, func(s *corev1.Secret) { s.Annotations[share.Annotation("first")] = newer })
	w.share("another", "", "a", "b")
	x := w.status("another", fault.ReasonNewerFormat)
	if s := w.app(map[string]string{"a": "first"}); s.Annotations[share.Annotation("first")] != newer {
		t.Errorf("%+v, %v", x, s.Annotations)
	}
}
