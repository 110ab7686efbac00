// Package scratch makes a tenant of what a person has at hand: the context of
// a kubeconfig, and an address and a token of a vault. It owns the folder in
// which that tenant's configuration, credentials and data lie.
//
// What it guarantees: nobody but its user can read the folder, nothing outside
// of it is written, and the credentials in it are copies, so that what a person
// changes meanwhile (another context, another login) changes nothing here.
package scratch

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"secretsync/cmd/secretsync/internal/datafolder"
	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
)

// Tenant and Cluster are the names that things have in the scratch tenant.
const (
	Tenant  = "dev"
	Cluster = "here"
)

// Given is what a person says. Where it is empty, what the tools of Kubernetes
// and Vault go by counts.
type Given struct {
	Kubeconfig string // default: KUBECONFIG, then ~/.kube/config
	Context    string // default: the current one
	Vault      string // its address; default: VAULT_ADDR
	Mount      string // of the KV v2 engine
	Prefix     string // below which paths are; may be empty
	Listen     string // address of the API
}

// Made is the tenant, ready to be served.
type Made struct {
	Dir        string
	Config     string // its configuration file
	Repository string // where its bare repository will be
	Context    string // of the kubeconfig
	Server     string // of the cluster
	Vault      string
	Namespace  string // that of the context
	Key        string // an admin key
}

// Make writes the tenant into dir, which must be there. Environment is that of
// the process: it is asked for what Given leaves open.
func Make(dir string, given Given, environment func(string) string) (*Made, error) {
	made := &Made{Dir: dir, Config: filepath.Join(dir, "secretsync.yaml"), Repository: filepath.Join(datafolder.Repositories(filepath.Join(dir, "data")), Tenant+".git")}
	kubeconfig, err := made.cluster(given)
	if err != nil {
		return nil, err
	}
	token, err := made.vault(given, environment)
	if err != nil {
		return nil, err
	}
	authority := environment("VAULT_CACERT")
	if authority != "" {
		if authority, err = filepath.Abs(authority); err != nil {
			return nil, fmt.Errorf("VAULT_CACERT: %w", err)
		}
	}
	key, plaintext := apikey.New(gitstore.TenantName{}, apikey.Admin, "You")
	made.Key = plaintext
	var config bytes.Buffer
	err = configuration.Execute(&config, map[string]any{
		"Listen": given.Listen, "Vault": made.Vault, "Namespace": environment("VAULT_NAMESPACE"), "Authority": authority,
		"Mount": given.Mount, "Prefix": given.Prefix, "Tenant": Tenant, "Cluster": Cluster, "Key": key,
	})
	if err != nil {
		return nil, err
	}
	for name, content := range map[string][]byte{made.Config: config.Bytes(), filepath.Join(dir, "kubeconfig"): kubeconfig, filepath.Join(dir, "vault-token"): []byte(token)} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// cluster finds the context and returns a kubeconfig of nothing else.
func (m *Made) cluster(given Given) ([]byte, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = given.Kubeconfig
	raw, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: given.Context}).RawConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	if given.Context != "" {
		raw.CurrentContext = given.Context
	}
	named := raw.Contexts[raw.CurrentContext]
	switch {
	case len(raw.Contexts) == 0:
		return nil, errors.New("no kubeconfig was found; name one with --kubeconfig or in KUBECONFIG")
	case raw.CurrentContext == "":
		return nil, errors.New("the kubeconfig has no current context; choose one with --context")
	case named == nil || raw.Clusters[named.Cluster] == nil:
		return nil, fmt.Errorf("the kubeconfig has no context %q with a cluster; kubectl config get-contexts lists those there are", raw.CurrentContext)
	}
	m.Context, m.Namespace = raw.CurrentContext, named.Namespace
	m.Server = raw.Clusters[named.Cluster].Server
	if m.Namespace == "" {
		m.Namespace = "default"
	}
	if err := clientcmdapi.MinifyConfig(&raw); err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	// What its files hold goes in, too: they are relative to where it lay.
	if err := clientcmdapi.FlattenConfig(&raw); err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	return clientcmd.Write(raw)
}

// vault finds the address and returns the token.
func (m *Made) vault(given Given, environment func(string) string) (token string, err error) {
	if m.Vault = given.Vault; m.Vault == "" {
		m.Vault = environment("VAULT_ADDR")
	}
	if m.Vault == "" {
		return "", errors.New("no vault is known; name its address with --vault-addr or in VAULT_ADDR")
	}
	if token = strings.TrimSpace(environment("VAULT_TOKEN")); token != "" {
		return token, nil
	}
	// Where vault login leaves it.
	content, err := os.ReadFile(filepath.Join(environment("HOME"), ".vault-token"))
	if err != nil {
		return "", errors.New("no vault token is known; put one in VAULT_TOKEN, or run vault login")
	}
	return strings.TrimSpace(string(content)), nil
}

// Text is written as JSON writes it, which YAML reads as the same text.
var configuration = template.Must(template.New("").Parse(`# Made by secretsync dev, to try things. examples/secretsync.yaml in the source has
# every field; a tenant for real has a login of its own in the vault, a user of
# its own in the cluster, and namespaces that it is granted.
listen: {{printf "%q" .Listen}}
dataDir: data
pollInterval: 5s
log: {level: warn}
vault:
  address: {{printf "%q" .Vault}}
{{- with .Namespace}}
  namespace: {{printf "%q" .}}{{end}}
{{- with .Authority}}
  caFile: {{printf "%q" .}}{{end}}
  mount: {{printf "%q" .Mount}}
{{- with .Prefix}}
  prefix: {{printf "%q" .}}{{end}}
  auth: {token: {file: vault-token}}
clusters:
  {{.Cluster}}: {kubeconfig: kubeconfig}
tenants:
  {{.Tenant}}:
    clusters:
      {{.Cluster}}: {namespaces: ["*"]}
    keys:
      - {id: {{.Key.ID}}, displayName: {{printf "%q" .Key.DisplayName}}, role: {{.Key.Role}}, hash: "{{.Key.Hash}}"}
`))
