package reconcile

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/gitstore/definition/folder"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/status"
	"secretsync/reconcile/verify"
)

// file commits a definition as people write it. What it says besides its name goes
// to the Secret of that name in the world's namespace of production.
func (w *world) file(name, says string) {
	w.t.Helper()
	text := "name: " + name + "\n" + says + "sync:\n- cluster: production\n  namespace: " + w.namespace + "\n"
	w.push(map[string]*string{"secrets/" + name + ".yaml": &text})
}

// pair makes a certificate and its key.
func pair(t *testing.T, host string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}

func TestATLSPairIsOneOrIsNotWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	certificate, key := pair(t, "web.example.com")
	w.put("web", map[string]any{"certificate": certificate, "private_key": key, "note": "not for the cluster"})
	w.file("web", "secretPath: web\ntype: kubernetes.io/tls\ndata:\n  tls.crt: {key: certificate}\n  tls.key: {key: private_key}\n")
	w.synced("web")
	s := w.get("production/./web")
	if s.Type != corev1.SecretTypeTLS || len(s.Data) != 2 {
		t.Errorf("type %s with %d keys", s.Type, len(s.Data))
	}
	served, err := tls.X509KeyPair(s.Data["tls.crt"], s.Data["tls.key"])
	w.must(err)
	if leaf, err := x509.ParseCertificate(served.Certificate[0]); err != nil || leaf.VerifyHostname("web.example.com") != nil {
		t.Errorf("%v %v", leaf, err)
	}

	_, other := pair(t, "web.example.com")
	w.put("web", map[string]any{"certificate": certificate, "private_key": other})
	if x := w.status("web", fault.ReasonInvalidKey); x.State != fault.Error || !strings.Contains(x.Message, "tls.key") || strings.Contains(x.Message, "BEGIN") || x.VaultVersion != 1 {
		t.Errorf("%+v", x)
	}
	if now := w.get("production/./web"); now.ResourceVersion != s.ResourceVersion {
		t.Error("the copy was touched")
	}
	certificate, key = pair(t, "new.example.com")
	w.put("web", map[string]any{"certificate": certificate, "private_key": key})
	w.synced("web")
	w.holds("production/./web", map[string]string{"tls.crt": certificate, "tls.key": key})
}

// pull is what a kubelet makes of an image pull secret.
func pull(t *testing.T, s *corev1.Secret, registry string) (username, password string) {
	t.Helper()
	var config struct {
		Auths map[string]struct{ Username, Password, Auth string }
	}
	if err := json.Unmarshal(s.Data[corev1.DockerConfigJsonKey], &config); err != nil || s.Type != corev1.SecretTypeDockerConfigJson {
		t.Fatalf("type %s: %v", s.Type, err)
	}
	entry := config.Auths[registry]
	decoded, err := base64.StdEncoding.DecodeString(entry.Auth)
	if err != nil {
		t.Fatal(err)
	}
	username, password, _ = strings.Cut(string(decoded), ":")
	if entry.Username != username || entry.Password != password {
		t.Errorf("username and password are not those in auth")
	}
	return username, password
}

func TestAnImagePullSecretIsComposedOrCopied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("registry", map[string]any{"server": "registry.example.com", "username": "puller", "password": "p:a\"ss", "email": "ops@example.com"})
	w.file("composed", "secretPath: registry\ntype: kubernetes.io/dockerconfigjson\n")
	w.put("whole", map[string]any{".dockerconfigjson": `{"auths":{"r.example.com":{"username":"u","password":"p","auth":"dTpw"}}}`})
	w.file("whole", "secretPath: whole\ntype: kubernetes.io/dockerconfigjson\n")
	w.put("broken", map[string]any{".dockerconfigjson": `hunter2`})
	w.file("broken", "secretPath: broken\ntype: kubernetes.io/dockerconfigjson\n")
	w.synced("composed", "whole")
	s := w.get("production/./composed")
	if user, password := pull(t, s, "registry.example.com"); user != "puller" || password != "p:a\"ss" || len(s.Data) != 1 {
		t.Errorf("pulls as %s with another password, or has other keys: %d", user, len(s.Data))
	}
	if user, password := pull(t, w.get("production/./whole"), "r.example.com"); user != "u" || password != "p" {
		t.Errorf("pulls as %s", user)
	}
	if x := w.status("broken", fault.ReasonInvalidKey); strings.Contains(x.Message, "hunter2") {
		t.Errorf("%+v", x)
	}
}

func TestKeysAreChosenTakenApartDecodedAndComposed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	keystore := make([]byte, 4096)
	_, _ = rand.Read(keystore)
	w.put("app", map[string]any{
		"user": "app", "password": "p@ss/word", "keystore": base64.StdEncoding.EncodeToString(keystore),
		"settings": map[string]any{"server": map[string]any{"port": 8443, "hosts": []string{"a", "b"}}},
	})
	w.put("shared/ca", map[string]any{"pem": "ca one"})
	w.file("app", `secretPath: app
data:
  user: {key: user}
  port: {key: settings, field: server.port}
  host: {key: settings, field: server.hosts.1}
  keystore.p12: {key: keystore, decode: base64}
  ca.crt: {path: shared/ca, key: pem}
  DATABASE_URL: {template: 'postgres://{{ .user | urlquery }}:{{ .password | urlquery }}@db/app'}
`)
	w.synced("app")
	want := map[string]string{"user": "app", "port": "8443", "host": "b", "keystore.p12": string(keystore), "ca.crt": "ca one",
		"DATABASE_URL": "postgres://app:" + url.QueryEscape("p@ss/word") + "@db/app"}
	s := w.holds("production/./app", want)
	if !bytes.Equal(s.Data["keystore.p12"], keystore) {
		t.Error("the keystore is another")
	}
	x := w.status("app", fault.ReasonSynced)
	if x.VaultVersion != 1 || !maps.Equal(x.VaultVersions, map[string]int{"app": 1, "shared/ca": 1}) {
		t.Errorf("%+v", x)
	}

	// A change of either path is a change.
	w.put("shared/ca", map[string]any{"pem": "ca two"})
	want["ca.crt"] = "ca two"
	w.holds("production/./app", want)
	w.statusWhere("app", "both versions told", func(s status.Status) bool {
		return s.Targets[0].State == fault.Synced && maps.Equal(s.Targets[0].VaultVersions, map[string]int{"app": 1, "shared/ca": 2})
	})

	// What can't be made is not written, and goes on as soon as it can.
	before := w.get("production/./app").ResourceVersion
	w.put("shared/ca", map[string]any{"other": "hunter2"})
	if x := w.status("app", fault.ReasonKeyNotFound); x.State != fault.Error || strings.Contains(x.Message, "hunter2") || !strings.Contains(x.Message, "ca.crt") {
		t.Errorf("%+v", x)
	}
	w.put("shared/ca", map[string]any{"pem": "ca three"})
	want["ca.crt"] = "ca three"
	w.holds("production/./app", want)
	w.synced("app")
	w.put("app", map[string]any{"user": "app"})
	w.status("app", fault.ReasonTemplateFailed)
	if w.get("production/./app").ResourceVersion == before {
		t.Error("the third version was not written")
	}
	w.file("app", "secretPath: app\ndata:\n  url: {template: '{{ .user }}:{{ .password }}'}\n")
	if x = w.status("app", fault.ReasonTemplateFailed); x.State != fault.Error || !strings.Contains(x.Message, "url") {
		t.Errorf("%+v", x)
	}
	w.file("app", "secretPath: app\ndata:\n  url: {template: '{{ .user }}:'}\n")
	w.holds("production/./app", map[string]string{"url": "app:"})
	w.synced("app")
	if x := w.status("app", fault.ReasonSynced); x.VaultVersions != nil {
		t.Errorf("%v of one path", x.VaultVersions)
	}
	if s := w.get("production/./app"); s.Annotations[copies.AnnotationOthers] != "" {
		t.Errorf("%v", s.Annotations)
	}
}

func TestAFurtherPathWithoutValueIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("app", map[string]any{"a": "1"})
	w.file("app", "secretPath: app\ndata:\n  a: {key: a}\n  b: {path: late, key: b}\n")
	if x := w.status("app", fault.ReasonValueNotFound); x.State != fault.Pending || !strings.Contains(x.Message, "late") {
		t.Errorf("%+v", x)
	}
	if w.get("production/./app") != nil {
		t.Error("half a copy was written")
	}
	w.put("late", map[string]any{"b": "2"})
	w.synced("app")
	w.holds("production/./app", map[string]string{"a": "1", "b": "2"})
}

func TestLabelsAndAnnotationsComeStayAndGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.file("db", "secretPath: db\nlabels: {team: payments, tier: gold}\nannotations: {reloader.example/match: \"true\"}\n")
	w.synced("db")
	s := w.get("production/./db")
	if s.Labels["team"] != "payments" || s.Labels["tier"] != "gold" || s.Annotations["reloader.example/match"] != "true" || s.Labels[copies.LabelTenant] != w.name {
		t.Errorf("%v %v", s.Labels, s.Annotations)
	}
	// One that is somebody else's stays, ours are put right.
	w.edit("production/./db", func(s *corev1.Secret) {
		s.Labels["theirs"], s.Labels["team"] = "x", "edited"
		delete(s.Annotations, "reloader.example/match")
		s.Annotations["theirs"] = "y"
	})
	w.until("production/./db", "its own labels again", func(s *corev1.Secret) bool {
		return s.Labels["team"] == "payments" && s.Annotations["reloader.example/match"] == "true" && s.Labels["theirs"] == "x" && s.Annotations["theirs"] == "y"
	})
	w.synced("db")
	// A commit that changes nothing but labels.
	w.file("db", "secretPath: db\nlabels: {team: billing}\n")
	w.until("production/./db", "the new label alone", func(s *corev1.Secret) bool {
		_, tier := s.Labels["tier"]
		_, match := s.Annotations["reloader.example/match"]
		return s.Labels["team"] == "billing" && !tier && !match && s.Labels["theirs"] == "x" && s.Annotations["theirs"] == "y"
	})
	e, _ := w.repo.Snapshot().Get(w.parse("db"))
	w.statusWhere("db", "the commit to be live", func(s status.Status) bool {
		return s.Targets[0].State == fault.Synced && s.Targets[0].Observed == e.Revision && s.Targets[0].Commit == e.Revision
	})
	// And back to what a copy is by default, in each of its marks.
	w.file("db", "secretPath: db\n")
	s = w.until("production/./db", "no label", func(s *corev1.Secret) bool { _, team := s.Labels["team"]; return !team })
	w.synced("db")
	plain := []string{copies.AnnotationCommit, copies.AnnotationHash, copies.AnnotationVaultCreated, copies.AnnotationVaultPath, copies.AnnotationVaultVersion, "theirs"}
	if got := slices.Sorted(maps.Keys(s.Annotations)); !slices.Equal(got, slices.Sorted(slices.Values(plain))) {
		t.Errorf("annotations %q", got)
	}
}

// A definition without the newer fields gives just the copy that it always gave.
func TestATypeThatIsLikelyMistypedIsSyncedAndDoubted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.file("db", "secretPath: db\ntype: opaque\n")
	s := w.statusWhere("db", "synced", func(s status.Status) bool { return s.Phase == status.Active })
	if len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "did you mean Opaque?") || !strings.Contains(s.Ready.Message, s.Warnings[0]) || !s.Ready.Status {
		t.Errorf("%+v", s)
	}
	if c := w.get("production/./db"); c.Type != "opaque" {
		t.Errorf("its type is %s", c.Type)
	}
	w.file("db", "secretPath: db\ntype: Opaque\n")
	w.until("production/./db", "of the type that was meant", func(s *corev1.Secret) bool { return s != nil && s.Type == corev1.SecretTypeOpaque })
	if s := w.statusWhere("db", "synced", func(s status.Status) bool { return s.Phase == status.Active }); len(s.Warnings) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestACopyIsByDefaultWhatItAlwaysWas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.synced("db")
	s := w.get("production/./db")
	labels := map[string]string{copies.LabelManagedBy: copies.ManagedBy, copies.LabelTenant: w.name, copies.LabelName: "db"}
	annotations := []string{"secretsync.dev/commit", "secretsync.dev/hash", "secretsync.dev/vault-created", "secretsync.dev/vault-path", "secretsync.dev/vault-version"}
	if got := slices.Sorted(maps.Keys(s.Annotations)); !maps.Equal(s.Labels, labels) || !slices.Equal(got, annotations) || s.Type != corev1.SecretTypeOpaque {
		t.Errorf("labels %v, annotations %q, type %s", s.Labels, got, s.Type)
	}
}

func TestADefinitionIsSuspendedAndResumed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.file("db", "secretPath: db\n")
	w.put("web", map[string]any{"a": "1"})
	w.file("web", "secretPath: web\n")
	w.synced("db", "web")
	w.file("db", "secretPath: db\nsuspend: true\nlabels: {team: a}\n")
	w.status("db", fault.ReasonSuspended)
	w.put("db", map[string]any{"a": "2"})
	w.put("web", map[string]any{"a": "2"})
	w.statusWhere("db", "the version that is not written", func(s status.Status) bool {
		return s.Targets[0].Reason == fault.ReasonSuspended && strings.Contains(s.Targets[0].Message, "version 2 is not written")
	})
	w.holds("production/./web", map[string]string{"a": "2"})
	if s := w.get("production/./db"); string(s.Data["a"]) != "1" || s.Labels["team"] != "" {
		t.Errorf("it was written: %v", s.Labels)
	}
	w.file("db", "secretPath: db\nsuspend: false\nlabels: {team: a}\n")
	w.synced("db")
	if s := w.holds("production/./db", map[string]string{"a": "2"}); s.Labels["team"] != "a" {
		t.Errorf("%v", s.Labels)
	}
}

func TestAChangeOfTypeReplacesTheCopy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("login", map[string]any{"username": "u", "password": "p"})
	w.file("login", "secretPath: login\n")
	w.synced("login")
	before := w.edit("production/./login", func(s *corev1.Secret) { s.Labels["theirs"] = "x" })
	w.file("login", "secretPath: login\ntype: kubernetes.io/basic-auth\n")
	s := w.until("production/./login", "the new type", func(s *corev1.Secret) bool { return s != nil && s.Type == corev1.SecretTypeBasicAuth })
	w.synced("login")
	if s.UID == before.UID || s.Labels["theirs"] != "x" {
		t.Errorf("%v", s.ObjectMeta)
	}
	// One that can't be of the new type stays as it is.
	w.file("login", "secretPath: login\ntype: kubernetes.io/ssh-auth\n")
	w.status("login", fault.ReasonInvalidKey)
	if now := w.get("production/./login"); now.UID != s.UID {
		t.Error("it was replaced by nothing")
	}
	w.file("login", "secretPath: login\ntype: example.com/login\n")
	w.until("production/./login", "a type of one's own", func(s *corev1.Secret) bool { return s != nil && s.Type == "example.com/login" })
}

func TestAdoptionKeepsTheTypeOrIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	adopt := func(name string) map[string]string {
		return map[string]string{copies.AnnotationAdopt: w.name + "/" + name}
	}
	login := map[string][]byte{"username": []byte("old"), "password": []byte("old")}
	for name, s := range map[string]*corev1.Secret{
		"same":  {Type: corev1.SecretTypeBasicAuth, Data: login},
		"other": {Type: corev1.SecretTypeOpaque, Data: login},
		"owned": {Type: corev1.SecretTypeBasicAuth, Data: login},
	} {
		s.ObjectMeta = metav1.ObjectMeta{Name: name, Annotations: adopt(name)}
		if name == "owned" {
			s.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "none", UID: "none"}}
		}
		w.create("production", s)
	}
	w.put("login", map[string]any{"username": "u", "password": "p"})
	for _, name := range []string{"same", "other", "owned"} {
		w.file(name, "secretPath: login\ntype: kubernetes.io/basic-auth\n")
	}
	w.synced("same")
	w.holds("production/./same", map[string]string{"username": "u", "password": "p"})
	for _, name := range []string{"other", "owned"} {
		w.status(name, fault.ReasonTypeMismatch)
		if s := w.get("production/./" + name); string(s.Data["username"]) != "old" {
			t.Errorf("%s was touched", name)
		}
	}
}

func TestAPlanForetellsWhatNoCopyCanBeMadeOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	certificate, _ := pair(t, "a.example.com")
	_, key := pair(t, "a.example.com")
	w.put("web", map[string]any{"tls.crt": certificate, "tls.key": key})
	w.put("app", map[string]any{"user": "hunter2", "a key": "x"})
	w.file("app", "secretPath: app\ndata:\n  user: {key: user}\n")
	w.synced("app")
	w.create("production", &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "adopted", Annotations: map[string]string{copies.AnnotationAdopt: w.name + "/adopted"}}})
	var files []folder.File
	for name, says := range map[string]string{
		"web":     "secretPath: web\ntype: kubernetes.io/tls\n",
		"app":     "secretPath: app\ndata:\n  user: {key: user}\nlabels: {team: a}\n",
		"whole":   "secretPath: app\n",
		"lacking": "secretPath: app\ndata:\n  a: {key: missing}\n",
		"fails":   "secretPath: app\ndata:\n  a: {template: '{{ .missing }}'}\n",
		"late":    "secretPath: app\ndata:\n  a: {key: user}\n  b: {path: late, key: b}\n",
		"adopted": "secretPath: app\ntype: kubernetes.io/basic-auth\ndata:\n  username: {key: user}\n  password: {key: user}\n",
		"rests":   "secretPath: app\nsuspend: true\ndata:\n  a: {key: user}\n",
	} {
		text := []byte("name: " + name + "\n" + says + "sync:\n- cluster: production\n  namespace: " + w.namespace + "\n")
		files = append(files, folder.File{Name: name + ".yaml", Mode: filemode.Regular, Read: func(int64) ([]byte, error) { return text, nil }})
	}
	to, err := folder.Read(files, 0)
	w.must(err)
	p, err := w.r.Plan(t.Context(), w.tenant(), w.repo.Snapshot().Set(), to, true)
	w.must(err)
	var got []string
	for _, s := range p.Steps {
		line := fmt.Sprintf("%s %s", s.Action, s.Definition)
		if s.Held != nil {
			line += " " + string(s.Held.Reason)
			if strings.Contains(s.Held.Message, "hunter2") || strings.Contains(s.Held.Message, "BEGIN") {
				t.Errorf("a value is told: %s", s.Held.Message)
			}
		}
		got = append(got, line)
	}
	want := []string{"create adopted TypeMismatch", "update app", "create fails TemplateFailed", "create lacking KeyNotFound", "create late ValueNotFound",
		"create rests Suspended", "create web InvalidKey", "create whole InvalidKey"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if v := p.Steps; len(v) > 4 && !slices.Equal(v[4].FurtherPaths, []string{"late"}) {
		t.Errorf("%+v", v[4])
	}
}

func TestAfterARestartNoShapedCopyIsWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("app", map[string]any{"a": "1", "b": `{"c": 2}`})
	w.put("more", map[string]any{"d": "3"})
	shapes := map[string]string{
		"plain":    "",
		"labelled": "labels: {team: a}\nannotations: {x/y: z}\n",
		"typed":    "type: example.com/own\n",
		"composed": "data:\n  e: {key: b, field: c}\n  f: {template: '{{ .a }}!'}\n  g: {path: more, key: d}\n",
		"deleted":  "deletionPolicy: Delete\n",
	}
	for name, says := range shapes {
		w.file(name, "secretPath: app\n"+says)
	}
	before := make(map[string]string)
	for name := range shapes {
		w.synced(name)
		before[name] = w.get("production/./" + name).ResourceVersion
	}
	w.restart(func() error { return nil })
	for name := range shapes {
		w.synced(name)
		if now := w.get("production/./" + name).ResourceVersion; now != before[name] {
			t.Errorf("%s was written: %s, %s before", name, now, before[name])
		}
	}
	lies, err := verify.Check(t.Context(), w.verifiable(verify.DefaultGrace))
	w.must(err)
	for _, l := range lies {
		t.Errorf("a lie: %v", l)
	}
	if said := fmt.Sprint(w.logs); strings.Contains(said, "panicked") {
		t.Error("a pass panicked")
	}
}
