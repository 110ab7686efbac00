package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"secretsync/examples/devstack"
)

var configuration = template.Must(template.New("").Parse(`listen: 127.0.0.1:{{.Port}}
dataDir: data
pollInterval: {{.PollInterval}}
log: {level: debug}
vault:
  address: {{.Vault}}
clusters:
  production: {kubeconfig: {{.Production}}}
  staging: {kubeconfig: {{.Staging}}}
tenants:
  acme:
    displayName: Acme Inc.
    vault:
      mount: secret
      prefix: acme
      auth:
        appRole: {roleID: {{.RoleID}}, secretIDFile: acme.secret-id}
    clusters:
      production: {namespaces: [default, backend]}
      staging: {namespaces: ["*"]}
    keys:
{{.Key}}`))

// What the server logs in to Vault with. It gets them before there is a Vault, which is told to accept them when it comes up.
const (
	roleID   = "acme-in-the-demo"
	secretID = "not-a-secret-in-the-demo"
)

// startServer makes a key, writes a configuration and starts the server as an operator would.
func (d *demo) startServer(ctx context.Context) (err error) {
	d.dir = filepath.Join(d.stack.Dir, "demo")
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		return err
	}
	key, stanza, err := d.newKey(ctx)
	if err != nil {
		return err
	}
	d.key = key
	port := devstack.FreePort()
	d.url = fmt.Sprintf("http://127.0.0.1:%d", port)
	d.repository = filepath.Join(d.dir, "data", "repositories", tenant+".git")
	var config bytes.Buffer
	err = configuration.Execute(&config, map[string]any{
		"Port": port, "PollInterval": pollInterval, "Vault": d.stack.Vault.Address, "RoleID": roleID, "Key": stanza,
		"Production": d.stack.Cluster("production").Kubeconfig, "Staging": d.stack.Cluster("staging").Kubeconfig,
	})
	if err != nil {
		return err
	}
	path := filepath.Join(d.dir, "secretsync.yaml")
	if err := os.WriteFile(path, config.Bytes(), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(d.dir, "acme.secret-id"), []byte(secretID), 0o600); err != nil {
		return err
	}
	fmt.Printf("\n%s:\n%s\n$ secretsync serve --config %s\n", path, indent(config.String()), path)
	d.server = d.stack.Program("secretsync", []string{d.binary, "serve", "--config", path}, func(ctx context.Context) error {
		_, err := fetch(ctx, d.url+"/readyz")
		return err
	})
	started := time.Now()
	if err := d.server.Start(ctx); err != nil {
		return err
	}
	fmt.Printf("ready after %s\n", time.Since(started).Round(time.Millisecond))
	return nil
}

// admitServer has Vault accept the server's login and let it read the tenant's values.
func (d *demo) admitServer(ctx context.Context) error {
	if err := d.stack.Vault.ReadPolicy(ctx, tenant, "secret", tenant); err != nil {
		return err
	}
	role := "auth/approle/role/" + tenant
	for _, write := range []struct {
		path string
		data map[string]any
	}{
		{role, map[string]any{"token_policies": tenant, "token_ttl": "1h"}},
		{role + "/role-id", map[string]any{"role_id": roleID}},
		{role + "/custom-secret-id", map[string]any{"secret_id": secretID}},
	} {
		if _, err := d.stack.Vault.Client.Logical().WriteWithContext(ctx, write.path, write.data); err != nil {
			return err
		}
	}
	return nil
}

// newKey runs `secretsync key new` and returns the key and the lines of configuration that admit it.
func (d *demo) newKey(ctx context.Context) (key, stanza string, err error) {
	fmt.Println(`$ secretsync key new --name "Platform team" --role admin`)
	output, err := exec.CommandContext(ctx, d.binary, "key", "new", "--name", "Platform team", "--role", "admin").Output()
	if err != nil {
		return "", "", fmt.Errorf("secretsync key new: %w", err)
	}
	key, rest, _ := strings.Cut(string(output), "\n")
	for line := range strings.Lines(rest) {
		if line != "\n" && !strings.HasPrefix(line, "#") {
			stanza += "      " + line
		}
	}
	fmt.Printf("%s…\n", key[:min(len(key), 20)])
	return key, stanza, nil
}

// serverLog returns the end of the server's log, to be told with an error.
func (d *demo) serverLog() string {
	if d.server == nil {
		return ""
	}
	content, _ := os.ReadFile(d.server.Log())
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return "\nthe end of the server's log:\n" + strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// fetch returns the body of an answer with status 200.
func fetch(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, response.Status, bytes.TrimSpace(body))
	}
	return body, err
}
