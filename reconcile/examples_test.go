package reconcile

import (
	"crypto/tls"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/folder"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
)

const copiesPage = "../examples/copies"

// example commits a definition of examples/copies as it stands there, but for its
// namespace, which is the world's.
func (w *world) example(name string) {
	w.t.Helper()
	content, err := os.ReadFile(filepath.Join(copiesPage, "secrets", name+".yaml"))
	w.must(err)
	text := strings.NewReplacer("namespace: default", "namespace: "+w.namespace, "team: payments", "team: "+w.namespace).Replace(string(content))
	w.push(map[string]*string{"secrets/" + name + ".yaml": &text})
}

func TestEachExampleOfACopyIsWhatItsPageSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	certificate, key := pair(t, "web.example.com")
	_, otherKey := pair(t, "web.example.com")
	w.put("production/web-tls", map[string]any{"certificate": certificate, "private_key": key})
	w.put("shared/ca", map[string]any{"pem": certificate})
	w.put("production/registry", map[string]any{"server": "registry.example.com", "username": "ci", "password": "p:w"})
	w.put("production/database", map[string]any{
		"username": "app", "password": "a/b", "settings": map[string]any{"server": map[string]any{"port": 5432}}, "keystore": base64.StdEncoding.EncodeToString([]byte("\x00\xff bytes")),
	})
	w.put("production/argocd-repository", map[string]any{"username": "argo", "token": "t"})
	for _, name := range []string{"api-token", "everywhere", "paused"} {
		w.put("production/"+name, map[string]any{"token": "t"})
	}
	w.deploy("web")
	w.create("production", &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "web"}, StringData: map[string]string{"theirs": "t"}})
	w.label("production", w.namespace, `{"team":"`+w.namespace+`"}`)

	for name, right := range map[string]func(*corev1.Secret) bool{
		"web-tls": func(s *corev1.Secret) bool {
			_, err := tls.X509KeyPair(s.Data["tls.crt"], s.Data["tls.key"])
			return err == nil && s.Type == corev1.SecretTypeTLS && string(s.Data["ca.crt"]) == certificate && len(s.Data) == 3
		},
		"registry": func(s *corev1.Secret) bool {
			username, password := pull(t, s, "registry.example.com")
			return username == "ci" && password == "p:w" && s.Type == corev1.SecretTypeDockerConfigJson
		},
		"database": func(s *corev1.Secret) bool {
			return string(s.Data["DATABASE_URL"]) == "postgres://app:a%2Fb@db/app" && string(s.Data["port"]) == "5432" && string(s.Data["keystore.p12"]) == "\x00\xff bytes" && len(s.Data) == 3
		},
		"argocd-repository": func(s *corev1.Secret) bool {
			return s.Labels["argocd.argoproj.io/secret-type"] == "repository" && string(s.Data["type"]) == "git" && string(s.Data["password"]) == "t" &&
				string(s.Data["url"]) == "https://git.example.com/acme/deployments.git" && string(s.Data["username"]) == "argo"
		},
		"api-token":  func(s *corev1.Secret) bool { return s.Annotations["reloader.stakater.com/match"] == "true" },
		"everywhere": func(s *corev1.Secret) bool { return string(s.Data["token"]) == "t" },
		"shared": func(s *corev1.Secret) bool {
			return string(s.Data["DATABASE_USER"]) == "app" && string(s.Data["DATABASE_PASSWORD"]) == "a/b" && string(s.Data["theirs"]) == "t" && len(s.Data) == 3
		},
	} {
		w.example(name)
		w.synced(name)
		secret := name
		if name == "shared" {
			secret = "web"
		}
		if s := w.get("production/./" + secret); !right(s) {
			t.Errorf("%s: type %s, labels %v, annotations %v, %d keys", name, s.Type, s.Labels, s.Annotations, len(s.Data))
		}
	}
	w.example("paused")
	w.statusWhere("paused", "told what is not written", func(s status.Status) bool {
		x := s.Targets[0]
		return x.Reason == fault.ReasonSuspended && x.State == fault.Pending && strings.Contains(x.Message, "no copy yet")
	})
	if w.get("production/./paused") != nil {
		t.Error("paused: it was written")
	}
	// What the comments of the files promise besides.
	w.label("production", w.namespace+"-later", `{"team":"`+w.namespace+`"}`)
	w.holds("production/"+w.namespace+"-later/everywhere", map[string]string{"token": "t"})
	w.put("production/web-tls", map[string]any{"certificate": certificate, "private_key": otherKey})
	w.status("web-tls", fault.ReasonInvalidKey)
	if s := w.get("production/./web-tls"); string(s.Data["tls.key"]) != key {
		t.Error("web-tls: half of another pair was written")
	}
	w.put("production/registry", map[string]any{"server": "registry.example.com", "username": "ci", "password": "p", "email": "ci@example.com"})
	w.until("production/./registry", "the email", func(s *corev1.Secret) bool {
		return strings.Contains(string(s.Data[corev1.DockerConfigJsonKey]), `"email":"ci@example.com"`)
	})
	before := w.current("database", time.Time{}).Restarted
	w.put("production/database", map[string]any{"username": "app", "password": "b", "settings": `{"server":{"port":"1"}}`, "keystore": ""})
	if after := w.current("database", before.Add(time.Nanosecond)); !before.IsZero() {
		t.Errorf("database: it was restarted at %v, before its data changed, and at %v", before, after.Restarted)
	}
	w.remove("api-token")
	w.until("production/./api-token", "gone with its target", gone)
}

func TestTheExampleOfAnIntervalIsAskedForMoreOftenThanOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.config.PollInterval = seldom })
	w.put("production/api-token", map[string]any{"token": "1"})
	w.example("api-token")
	w.synced("api-token")
	w.put("production/api-token", map[string]any{"token": "2"})
	w.holds("production/./api-token", map[string]string{"token": "2"})
}

func TestThePageOfCopiesListsEachExampleAndEachFunction(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(copiesPage, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(copiesPage, "secrets", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	for _, file := range files {
		if !strings.Contains(string(page), "(secrets/"+filepath.Base(file)+")") {
			t.Errorf("%s is not on the page", file)
		}
	}
	if !strings.Contains(string(page), strings.Join(definition.TemplateFunctions, " ")) {
		t.Error("the functions on the page are not those of definition.TemplateFunctions")
	}
	report, err := folder.Validate(os.DirFS(copiesPage), 0)
	if err != nil || len(report.Problems) > 0 {
		t.Errorf("%v %v", err, report.Problems)
	}
}
