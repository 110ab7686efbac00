package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/gitstore/definition"
	"secretsync/reconcile"
)

func TestWhichNamespaceIsHome(t *testing.T) {
	pod := t.TempDir()
	defer func(before string) { podFolder = before }(podFolder)
	podFolder = pod
	if err := os.WriteFile(filepath.Join(pod, "namespace"), []byte("of-the-pod\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	inContext := strings.Replace(kubeconfigOfTests, "user: u}", "user: u, namespace: of-the-context}", 1)
	for name, tt := range map[string]struct{ home, kubeconfig, want string }{
		"the one that is named":                 {"{kubeconfig: kubeconfig, namespace: named}", inContext, "named"},
		"that of the kubeconfig's context":      {"{kubeconfig: kubeconfig}", inContext, "of-the-context"},
		"the pod's, as the kubeconfig has none": {"{kubeconfig: kubeconfig}", kubeconfigOfTests, "of-the-pod"},
		"the pod's":                             {"{}", kubeconfigOfTests, "of-the-pod"},
		"the pod's, with nothing said at all":   {"", kubeconfigOfTests, "of-the-pod"},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeConfig(t, "home: "+tt.home+"\nkeys: {store: kubernetes}\n"+rightConfig)
			if err := os.WriteFile(filepath.Join(filepath.Dir(path), "kubeconfig"), []byte(tt.kubeconfig), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			if cfg.Home == nil || cfg.Home.Namespace != tt.want || cfg.Keys != KeysInKubernetes {
				t.Errorf("home is %+v, keys in %v; want namespace %s", cfg.Home, cfg.Keys, tt.want)
			}
		})
	}
}

// A configuration for a pod can be checked elsewhere, and says there why the server
// would not start.
func TestAHomeOutsideOfAPodIsAWarningAndNoClient(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	cfg, err := Load(writeConfig(t, "home: {namespace: here}\n"+rightConfig))
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Warnings) != 1 || !strings.Contains(cfg.Warnings[0], "secretsync.yaml:1: home: no kubeconfig is named, and this is no pod") {
		t.Errorf("warnings %q", cfg.Warnings)
	}
	if _, err := cfg.Home.Client(); err == nil || !strings.Contains(err.Error(), "secretsync.yaml:1: home: no kubeconfig is named") {
		t.Errorf("a client without a pod: %v", err)
	}
}

// A pod that moves keys has none of the server's other files, such as its certificate.
func TestToMoveKeysNoOtherFileIsNeeded(t *testing.T) {
	const elsewhere = `home: {kubeconfig: kubeconfig, namespace: here}
keys: {store: kubernetes}
hashKeyFile: nowhere/hash.key
tls: {certFile: nowhere/tls.crt, keyFile: nowhere/tls.key}
telemetry: {endpoint: "http://collector:4318", caFile: nowhere/ca.crt, headersFile: nowhere/headers}
replicas: {certFile: nowhere/tls.crt, keyFile: nowhere/tls.key, caFile: nowhere/ca.crt}
`
	path := writeConfig(t, elsewhere+rightConfig)
	cfg, err := LoadKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(path)
	if cfg.DataDir != filepath.Join(dir, "data") || cfg.HashKeyFile != filepath.Join(dir, "nowhere/hash.key") || cfg.Home.Namespace != "here" || cfg.Keys != KeysInKubernetes {
		t.Errorf("%+v", cfg)
	}
	for name, wrong := range map[string]string{"dataDir: is missing": "home: {}\n", "keys.store: kubernetes needs home": "dataDir: data\nkeys: {store: kubernetes}\n", "unknown field": "datadir: data\n"} {
		if _, err := LoadKeys(writeConfig(t, wrong)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %s", err, name)
		}
	}
}

// Whoever replaces a kubeconfig, or the token in the file that it names, does not have
// to restart the server.
func TestTheClientFollowsItsKubeconfig(t *testing.T) {
	token := make(chan string, 1)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token <- r.Header.Get("Authorization")
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"kind":"Secret","apiVersion":"v1","metadata":{"name":"any"}}`)
	}))
	defer server.Close()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	write := func(token string, authority []byte) {
		t.Helper()
		content := fmt.Sprintf("{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],\n"+
			"clusters: [{name: c, cluster: {server: %q, certificate-authority: ca.crt}}], users: [{name: u, user: {token: %s}}]}", server.URL, token)
		for name, content := range map[string]string{path: content, filepath.Join(filepath.Dir(path), "ca.crt"): string(authority)} {
			if err := os.WriteFile(name+".new", []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(name+".new", name); err != nil {
				t.Fatal(err)
			}
		}
	}
	right := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	write("first", right)
	home := &Home{Kubeconfig: path, Namespace: "here"}
	client, err := home.Client()
	if err != nil {
		t.Fatal(err)
	}
	ask := func() (string, error) {
		_, err := client.CoreV1().Secrets("here").Get(t.Context(), "any", metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		return <-token, nil
	}
	expect := func(want string) {
		t.Helper()
		if got, err := ask(); err != nil || got != "Bearer "+want {
			t.Errorf("it came with %q: %v; want %q", got, err, want)
		}
	}
	expect("first")
	write("the-second-one", right)
	expect("the-second-one")
	// What can't be used changes nothing.
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect("the-second-one")
	// The authority is followed as well; this one did not sign the server.
	write("third", anotherAuthority(t))
	if _, err := ask(); err == nil {
		t.Error("a server whose authority is another one was believed")
	} else if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		t.Error(err)
	}
	write("fourth", right)
	expect("fourth")
}

// anotherAuthority makes the certificate of one that signed nothing.
func anotherAuthority(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// Whoever may write in the home namespace may take the names of the server's own
// Secrets, so that no pattern is to lead there.
func TestTheHomeNamespaceIsGrantedByItsNameAlone(t *testing.T) {
	for name, tt := range map[string]struct {
		home, patterns, namespace string
		granted                   bool
	}{
		"a pattern means all but it":                                   {"home: {kubeconfig: kubeconfig, namespace: here}\n", `["*"]`, "here", false},
		"a pattern means the others":                                   {"home: {kubeconfig: kubeconfig, namespace: here}\n", `["*"]`, "payments", true},
		"its name means it":                                            {"home: {kubeconfig: kubeconfig, namespace: here}\n", `["*", here]`, "here", true},
		"without a home it is one like others":                         {"", `["*"]`, "here", true},
		"that the running server has, by a configuration with another": {"home: {kubeconfig: kubeconfig, namespace: next}\n", `["*"]`, "running", false},
		"that it has after the next start":                             {"home: {kubeconfig: kubeconfig, namespace: next}\n", `["*"]`, "next", false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := Load(writeConfig(t, tt.home+strings.Replace(rightConfig, `["*"]`, tt.patterns, 1)))
			if err != nil {
				t.Fatal(err)
			}
			cfg.Reserve(&Home{Namespace: "running"})
			var to definition.Target
			if to.Cluster, err = definition.ParseClusterName("production"); err != nil {
				t.Fatal(err)
			}
			if to.Namespace, err = definition.ParseNamespace(tt.namespace); err != nil {
				t.Fatal(err)
			}
			refused := reconcile.Tenant{Clusters: cfg.Tenants[0].Grants}.Reach().Admit(to)
			if granted := refused == nil; granted != tt.granted {
				t.Errorf("granted is %t: %v", granted, refused)
			}
		})
	}
}
