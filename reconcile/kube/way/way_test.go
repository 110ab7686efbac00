package way

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const kubeconfig = `apiVersion: v1
kind: Config
current-context: x
clusters: [{name: x, cluster: {server: 'https://10.1.2.3:6443'}}]
users: [{name: x, user: {token: one}}]
contexts: [{name: x, context: {cluster: x, user: x}}]
`

func written(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWhyThereIsNoWayIsToldWithoutAFileOrAnAddress(t *testing.T) {
	for name, test := range map[string]struct {
		content, context, says string
	}{
		"nothing in it":           {" \n", "", "is empty"},
		"no YAML":                 {"{", "", "is malformed"},
		"a context that is not":   {kubeconfig, "y", "does not lead to a cluster"},
		"no server":               {strings.Replace(kubeconfig, "https://10.1.2.3:6443", "", 1), "", "does not lead to a cluster"},
		"an authority's file":     {strings.Replace(kubeconfig, "6443'", "6443', certificate-authority: /nowhere/ca", 1), "", "does not lead to a cluster"},
		"a token's file":          {strings.Replace(kubeconfig, "token: one", "tokenFile: /nowhere/token", 1), "", "does not lead to a cluster"},
		"a certificate, no key":   {strings.Replace(kubeconfig, "token: one", "client-certificate-data: bm9uZQ==", 1), "", "does not lead to a cluster"},
		"nothing is wrong at all": {kubeconfig, "x", ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := written(t, "kubeconfig", test.content)
			_, err := Read(Source{Kubeconfig: path, Context: test.context})
			if test.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			blocked := new(Blocked)
			if !errors.As(err, &blocked) || !strings.Contains(err.Error(), test.says) || blocked.Detail == nil {
				t.Fatalf("%v", err)
			}
			for _, hidden := range []string{path, "10.1.2.3", "/nowhere"} {
				if strings.Contains(err.Error(), hidden) {
					t.Errorf("it tells %s: %v", hidden, err)
				}
			}
		})
	}
	if _, err := Read(Source{Kubeconfig: filepath.Join(t.TempDir(), "none")}); err == nil || err.Error() != "its kubeconfig does not exist" {
		t.Errorf("%v", err)
	}
}

func TestAWayIsAnotherIfAnythingButATokenInAFileIs(t *testing.T) {
	token := written(t, "token", "one\n")
	way := func(change func(*rest.Config)) *Way {
		cfg := &rest.Config{Host: "https://10.1.2.3", BearerTokenFile: token}
		if change != nil {
			change(cfg)
		}
		w, err := Read(Source{REST: cfg})
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	first := way(nil)
	if first.Token != "one" || first.REST.BearerToken != "" || first.REST.BearerTokenFile != "" {
		t.Errorf("%q, and the library reads %q by itself", first.Token, first.REST.BearerTokenFile)
	}
	if err := os.WriteFile(token, []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	if again := way(nil); !first.Same(again) || again.Token != "two" {
		t.Errorf("a token that was exchanged makes another way, or is not read: %q", again.Token)
	}
	for name, change := range map[string]func(*rest.Config){
		"another server":          func(c *rest.Config) { c.Host = "https://10.1.2.4" },
		"another user":            func(c *rest.Config) { c.Impersonate.UserName = "somebody" },
		"another authority":       func(c *rest.Config) { c.CAData = []byte("x") },
		"a token that is no file": func(c *rest.Config) { c.BearerTokenFile, c.BearerToken = "", "one" },
	} {
		if first.Same(way(change)) {
			t.Errorf("%s: it is the same", name)
		}
	}
	if err := os.WriteFile(token, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(Source{REST: &rest.Config{Host: "https://10.1.2.3", BearerTokenFile: token}}); err == nil || !strings.Contains(err.Error(), "token file") {
		t.Errorf("an empty token file: %v", err)
	}
}

func TestWhatAPluginMayAnswer(t *testing.T) {
	const version = "client.authentication.k8s.io/v1"
	status := func(status string) string {
		return `{"kind":"ExecCredential","apiVersion":"` + version + `","status":` + status + `}`
	}
	for name, test := range map[string]struct{ answer, says string }{
		"a token":                       {status(`{"token":"x"}`), ""},
		"a certificate and its key":     {status(`{"clientCertificateData":"c","clientKeyData":"k"}`), ""},
		"a token that expires":          {status(`{"token":"x","expirationTimestamp":"2026-01-02T03:04:05Z"}`), ""},
		"no JSON":                       {"x", "no JSON object"},
		"another kind":                  {`{"kind":"Pod"}`, "no ExecCredential"},
		"another version":               {`{"kind":"ExecCredential","apiVersion":"v2"}`, "not of version"},
		"nothing to log in with":        {status(`{}`), "neither a token nor a certificate"},
		"a certificate without a key":   {status(`{"clientCertificateData":"c"}`), "not both"},
		"a key beside a token, no pair": {status(`{"token":"x","clientKeyData":"k"}`), "not both"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := parseCredentials([]byte(test.answer), version)
			if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
				t.Fatalf("%v", err)
			}
			if expires := strings.Contains(test.answer, "expiration"); c.Expires.Equal(time.Time{}) == expires {
				t.Errorf("it expires %s", c.Expires)
			}
		})
	}
}

func TestAPluginThatIsNotInstalledIsToldSo(t *testing.T) {
	w := &Way{Plugin: &clientcmdapi.ExecConfig{Command: "/nowhere/plugin"}}
	if _, err := w.Ask(t.Context(), time.Minute); err == nil || err.Error() != "its credential plugin is not installed" {
		t.Errorf("%v", err)
	}
}
