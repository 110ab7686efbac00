package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	"secretsync/examples/devstack"
	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
)

// world is what one story plays in: a server with a configuration and a data
// folder of its own, before the shared vault and clusters.
type world struct {
	dir    string
	url    string
	prefix string // of what this world keeps in the vault that all share
	stack  *devstack.Stack
	keys   map[string]string // by actor: admin, reader, neighbour
	server *exec.Cmd
	exited chan error // receives what the server's Wait returns
	log    *os.File

	program string // the server; empty: of this tree
}

// patience bounds every wait for an event that must come.
const patience = 60 * time.Second

var worldConfig = template.Must(template.New("").Parse(`listen: {{.Listen}}
dataDir: data
pollInterval: 2s
log: {level: debug}
limits: {requestsPerSecond: 10000}
vault:
  address: {{.Vault}}
  mount: secret
  auth:
    token: {file: vault-token}
clusters:
  production: {kubeconfig: {{.Production}}}
  staging: {kubeconfig: {{.Staging}}}
tenants:
{{- range .Tenants}}
  {{.Name}}:
    displayName: {{.Name}}
    vault: {prefix: {{$.Prefix}}/{{.Name}}}
    clusters:
      production: {namespaces: ["*"]}
      staging: {namespaces: ["*"]}
    keys:
    {{- range .Keys}}
      - {id: {{.ID}}, displayName: {{.DisplayName}}, role: {{.Role}}, hash: "{{.Hash}}"}
    {{- end}}
{{- end}}
`))

// newWorld writes the configuration; the server starts with [world.serve].
func newWorld(dir string, stack *devstack.Stack) (*world, error) {
	// The server gives its port up and takes it again several times in a story;
	// nobody is given this one meanwhile, as of those that the kernel hands out.
	address := fmt.Sprintf("127.0.0.1:%d", devstack.FreePort())

	w := &world{dir: dir, url: "http://" + address, prefix: strings.ToLower(rand.Text()), stack: stack, keys: map[string]string{}}
	type tenant struct {
		Name string
		Keys []apikey.Key
	}
	tenants := []*tenant{{Name: "acme"}, {Name: "umbrella"}}
	for _, k := range []struct {
		actor  string
		tenant int
		role   apikey.Role
	}{{"admin", 0, apikey.Admin}, {"reader", 0, apikey.Readonly}, {"neighbour", 1, apikey.Admin}} {
		key, plaintext := apikey.New(gitstore.TenantName{}, k.role, "The "+k.actor)
		w.keys[k.actor] = plaintext
		tenants[k.tenant].Keys = append(tenants[k.tenant].Keys, key)
	}
	var config bytes.Buffer
	err := worldConfig.Execute(&config, map[string]any{
		"Listen":     address,
		"Vault":      stack.Vault.Address,
		"Production": stack.Cluster("production").Kubeconfig,
		"Staging":    stack.Cluster("staging").Kubeconfig,
		"Tenants":    tenants,
		"Prefix":     w.prefix,
	})
	if err != nil {
		return nil, err
	}
	token, err := w.vaultToken()
	if err != nil {
		return nil, err
	}
	for name, content := range map[string]string{"secretsync.yaml": config.String(), "vault-token": token} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// configure adds settings to the configuration, each a line or several.
func (w *world) configure(t *testing.T, settings ...string) {
	t.Helper()
	path := filepath.Join(w.dir, "secretsync.yaml")
	content := readFile(t, path) + strings.Join(append(settings, ""), "\n")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// vaultToken makes a token that may read what both tenants keep.
func (w *world) vaultToken() (string, error) {
	ctx := context.Background()
	if err := w.stack.Vault.ReadPolicy(ctx, w.prefix, "secret", w.prefix); err != nil {
		return "", err
	}
	return w.stack.Vault.Token(ctx, time.Hour, w.prefix)
}

// put makes a new version of a value, at a path that begins with its tenant.
func (w *world) put(path string, data map[string]any) error {
	_, err := w.stack.Vault.PutSecret(context.Background(), "secret", w.prefix+"/"+path, data)
	return err
}

func (w *world) environment() []string {
	neighbours, _ := filepath.Abs("testdata/neighbours")
	return []string{
		"NEIGHBOURS=" + neighbours,
		"SECRETSYNC=" + w.url,
		"KEY=" + w.keys["admin"],
		"XDG_CONFIG_HOME=" + filepath.Join(w.dir, "config"), // nobody is logged in there
		"CREDENTIALS=" + credentialHelper(w.keys["admin"]), "READER=" + credentialHelper(w.keys["reader"]),
		"GIT_TERMINAL_PROMPT=0",
		"REPOSITORY=" + w.repository("acme"),
		"PREFIX=" + w.prefix + "/acme", // of acme's values in the mount secret
		"KUBECONFIG=" + w.stack.Cluster("production").AdminKubeconfig,
		"GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Dana", "GIT_AUTHOR_EMAIL=dana@example.com",
		"GIT_COMMITTER_NAME=Dana", "GIT_COMMITTER_EMAIL=dana@example.com",
	}
}

// credentialHelper has git give a key as the password.
func credentialHelper(key string) string {
	return "!f() { echo username=anybody; echo password=" + key + "; }; f"
}

func (w *world) repository(tenant string) string {
	return filepath.Join(w.dir, "data", "repositories", tenant+".git")
}

// serve starts the server and waits until it is ready.
func (w *world) serve() error {
	if err := w.launch(); err != nil {
		return err
	}
	return w.awaitReady()
}

// launch starts it, and does not wait till it is ready.
func (w *world) launch() error {
	if w.server != nil {
		return errors.New("the server runs already")
	}
	log, err := os.OpenFile(filepath.Join(w.dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	server := exec.Command(cmp.Or(w.program, "secretsync"), "serve", "--config", filepath.Join(w.dir, "secretsync.yaml"))
	server.Stderr, server.Stdout = log, log
	if err := server.Start(); err != nil {
		log.Close()
		return err
	}
	exited := make(chan error, 1)
	go func() { exited <- server.Wait() }()
	w.server, w.exited, w.log = server, exited, log
	return nil
}

func (w *world) awaitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		response, err := http.Get(w.url + "/readyz")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-w.exited:
			w.exited <- err
			content, _ := os.ReadFile(w.log.Name())
			return fmt.Errorf("the server ended: %v\n%s", err, content)
		case <-ctx.Done():
			return fmt.Errorf("the server is not ready after %v", patience)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop sends a signal and waits for the end. After SIGTERM the server must end
// in order.
func (w *world) stop(signal syscall.Signal) error {
	if w.server == nil {
		return errors.New("the server does not run")
	}
	if err := w.server.Process.Signal(signal); err != nil {
		return err
	}
	err := <-w.exited
	w.server = nil
	w.log.Close()
	if signal == syscall.SIGTERM && err != nil {
		return fmt.Errorf("after SIGTERM the server ended with %w", err)
	}
	return nil
}

// end stops what still runs.
func (w *world) end() {
	if w.server != nil {
		_ = w.stop(syscall.SIGKILL)
	}
}

// answer is one answer of the server.
type answer struct {
	status int
	header http.Header
	body   string
}

// call makes one request of the API as an actor.
func (w *world) call(actor, method, path, body, ifMatch string) (*answer, error) {
	return w.callBy(http.DefaultClient, actor, method, path, body, ifMatch)
}

func (w *world) callBy(client *http.Client, actor, method, path, body, ifMatch string) (*answer, error) {
	request, err := http.NewRequest(method, w.url+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if key := w.keys[actor]; key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if ifMatch != "" {
		request.Header.Set("If-Match", ifMatch)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return &answer{response.StatusCode, response.Header, string(content)}, err
}
