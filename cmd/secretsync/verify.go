package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/auth/approle"
	"github.com/hashicorp/vault/api/auth/kubernetes"
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"secretsync/cmd/secretsync/internal/cli"
	"secretsync/cmd/secretsync/internal/config"
	"secretsync/cmd/secretsync/internal/datafolder"
	"secretsync/reconcile"
	"secretsync/reconcile/verify"
)

// verifyOptions is what the command line of verify says.
type verifyOptions struct {
	config, url string
	tenants     []string
	keyFiles    []string
	output      string
	grace       time.Duration
}

func newVerify() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify --config FILE --url URL --key-file [TENANT=]FILE",
		Short: "Check from outside whether what a server says of its copies is true",
		Long: `Read the definitions, the vaults and the clusters that a server's configuration
names, compare them with what the server says of each target, and print a line for
each thing it says that is not so. Nothing is changed, and no value is shown.

Things move while it looks. A difference counts only if it is still there after
the grace, and one that the server finds out by polling only after a poll interval
more; so it may take that long.

It runs where the server does, beside it: it needs the configuration, the files
that names, and the data folder. A key is needed for each tenant, a readonly one
suffices: --key-file FILE for one tenant, --key-file TENANT=FILE for several, or
the variable SECRETSYNC_KEY, or SECRETSYNC_KEY_TENANT for the tenant of that name
in capitals and with _ for -.

The exit code is 0 if all is so, 1 if something is not, and 2 if something could
not be checked and nothing else was found.`,
		Example: `  secretsync verify --config secretsync.yaml --url http://127.0.0.1:8080 --tenant acme --key-file key
  secretsync verify --config secretsync.yaml --url http://127.0.0.1:8080 --key-file acme=key --key-file umbrella=key2`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := cobra.NoArgs(cmd, args); err != nil {
				return &cli.Exit{Code: 2, Err: err}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := o.verify(cmd)
			if err == nil || errors.Is(err, cli.ErrReported) {
				return err
			}
			return &cli.Exit{Code: 2, Err: err}
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &cli.Exit{Code: 2, Err: err} })
	cmd.Flags().StringVar(&o.config, "config", "", "the server's configuration file")
	cmd.Flags().StringVar(&o.url, "url", "", "where the server is, such as http://127.0.0.1:8080")
	cmd.Flags().StringArrayVar(&o.tenants, "tenant", nil, "a tenant to check, may be given again (default all)")
	cmd.Flags().StringArrayVar(&o.keyFiles, "key-file", nil, "a file that holds a key, or TENANT=FILE; may be given again")
	cmd.Flags().StringVar(&o.output, "output", "text", `"text" or "json"`)
	cmd.Flags().DurationVar(&o.grace, "grace", verify.DefaultGrace, "how long a difference has to last to count")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	_ = cmd.MarkFlagFilename("key-file")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (o *verifyOptions) verify(cmd *cobra.Command) error {
	// Not marked as required: cobra's own complaint would exit with 1, which
	// here means a lie.
	switch {
	case o.config == "":
		return errors.New("--config: name the server's configuration file")
	case o.url == "":
		return errors.New("--url: say where the server is, such as http://127.0.0.1:8080")
	case o.output != "text" && o.output != "json":
		return fmt.Errorf("--output: %q is no form of output; use text or json", o.output)
	case o.grace <= 0:
		return fmt.Errorf("--grace: %v is too short; give a time such as 5s", o.grace)
	}
	cfg, err := config.Load(o.config)
	if err == nil {
		err = datafolder.Check(cfg.DataDir)
	}
	if err != nil {
		return err
	}
	sources, logout, err := o.sources(cfg)
	if err != nil {
		return err
	}
	defer logout(cmd.Context())
	lies, unseen := verify.Check(cmd.Context(), sources)
	if err := o.print(cmd, lies, unseen); err != nil {
		return err
	}
	switch {
	case len(lies) > 0:
		return cli.ErrReported
	case unseen != nil:
		return &cli.Exit{Code: 2, Err: cli.ErrReported}
	}
	return nil
}

func (o *verifyOptions) print(cmd *cobra.Command, lies []verify.Lie, unseen error) error {
	if o.output == "json" {
		answer := struct {
			Lies   []verify.Lie `json:"lies"`
			Unseen []string     `json:"unseen"` // what could not be checked
		}{Lies: lies, Unseen: []string{}}
		if answer.Lies == nil {
			answer.Lies = []verify.Lie{}
		}
		if unseen != nil {
			answer.Unseen = strings.Split(unseen.Error(), "\n")
		}
		encoder := json.NewEncoder(cmd.OutOrStdout())
		encoder.SetIndent("", "  ")
		return encoder.Encode(answer)
	}
	for _, l := range lies {
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), l); err != nil {
			return err
		}
	}
	if unseen != nil {
		for line := range strings.Lines(unseen.Error()) {
			fmt.Fprintf(cmd.ErrOrStderr(), "not checked: %s\n", strings.TrimSpace(line))
		}
	}
	if len(lies) > 0 || unseen != nil {
		return nil
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), "all that the server says is so")
	return err
}

// sources opens what the configuration names. logout gives back the tokens that
// were logged in for.
func (o *verifyOptions) sources(cfg *config.Config) (s verify.Sources, logout func(context.Context), err error) {
	s = verify.Sources{Grace: o.grace, Recovery: o.grace + verify.DefaultGrace, Clusters: make(map[string]verify.Cluster)}
	tenants, err := o.chosen(cfg)
	if err != nil {
		return s, nil, err
	}
	keys, err := o.keys(tenants)
	if err != nil {
		return s, nil, err
	}
	for _, c := range cfg.Clusters {
		// One that can't be opened may be none that any target is in.
		if s.Clusters[c.Name], err = clusterToVerify(c); err != nil {
			s.Clusters[c.Name] = unusable{err}
		}
	}
	var readers []*verify.VaultReader
	for _, t := range tenants {
		var vault verify.Vault
		if reader, err := vaultToVerify(t.Vault); err != nil {
			vault = unusable{err}
		} else {
			vault, readers = reader, append(readers, reader)
		}
		grants := make(map[string]verify.Grant, len(t.Grants))
		for alias, g := range t.Grants {
			grants[alias.String()] = verify.Grant{Cluster: g.Cluster, Namespaces: g.Namespaces, ByName: g.ByName}
		}
		s.Tenants = append(s.Tenants, verify.Tenant{
			Name:     t.Name.String(),
			Head:     verify.OpenRepository(datafolder.Repository(cfg.DataDir, t.Name), t.Repository.Branch.String()),
			Status:   &verify.Server{URL: o.url, Tenant: t.Name.String(), Key: keys[t.Name.String()]},
			Vault:    vault,
			Clusters: grants,
			Interval: cmp.Or(t.PollInterval, cfg.PollInterval),
		})
	}
	return s, func(ctx context.Context) {
		// Also after an interrupt, but not for long.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		for _, r := range readers {
			_ = r.Close(ctx) // a token that can't be given back expires
		}
	}, nil
}

// unusable is a vault or a cluster that can't be asked, and why.
type unusable struct{ err error }

func (u unusable) Value(context.Context, string) (verify.Value, error) {
	return verify.Value{}, u.err
}

func (u unusable) Secret(context.Context, string, string) (*verify.Secret, error) {
	return nil, u.err
}

func (u unusable) Namespace(context.Context, string) (verify.Namespace, error) {
	return verify.Namespace{}, u.err
}

// chosen returns the tenants to check.
func (o *verifyOptions) chosen(cfg *config.Config) ([]config.Tenant, error) {
	if len(o.tenants) == 0 {
		return cfg.Tenants, nil
	}
	var chosen []config.Tenant
	for _, name := range o.tenants {
		i := slices.IndexFunc(cfg.Tenants, func(t config.Tenant) bool { return t.Name.String() == name })
		if i < 0 {
			return nil, fmt.Errorf("--tenant: the configuration has no tenant %q", name)
		}
		chosen = append(chosen, cfg.Tenants[i])
	}
	return chosen, nil
}

// keys finds a key for each tenant.
func (o *verifyOptions) keys(tenants []config.Tenant) (map[string]string, error) {
	files := make(map[string]string)
	for _, f := range o.keyFiles {
		tenant, path, named := strings.Cut(f, "=")
		switch {
		case !named && len(tenants) == 1:
			tenant, path = tenants[0].Name.String(), f
		case !named:
			return nil, fmt.Errorf("--key-file %s: say of which tenant the key is, TENANT=%s: %d tenants are checked", f, f, len(tenants))
		}
		files[tenant] = path
	}
	keys := make(map[string]string)
	for _, t := range tenants {
		name := t.Name.String()
		variable := "SECRETSYNC_KEY_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		key := os.Getenv(variable)
		if key == "" && len(tenants) == 1 {
			key = os.Getenv("SECRETSYNC_KEY")
		}
		if path := files[name]; path != "" {
			content, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("--key-file: %w", err)
			}
			key = string(content)
		}
		if keys[name] = strings.TrimSpace(key); keys[name] == "" {
			return nil, fmt.Errorf("there is no key for tenant %s; give one by --key-file %s=FILE or by %s, or name the tenants to check with --tenant", name, name, variable)
		}
	}
	return keys, nil
}

func clusterToVerify(c reconcile.Cluster) (verify.Cluster, error) {
	var config *rest.Config
	var err error
	if c.Kubeconfig == "" {
		config, err = rest.InClusterConfig()
	} else {
		config, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
			&clientcmd.ClientConfigLoadingRules{ExplicitPath: c.Kubeconfig}, &clientcmd.ConfigOverrides{CurrentContext: c.Context}).ClientConfig()
	}
	if err != nil {
		return nil, err
	}
	return verify.NewClusterReader(config)
}

func vaultToVerify(v reconcile.Vault) (*verify.VaultReader, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: v.ServerName}
	transport.MaxIdleConnsPerHost = verify.DefaultReaders
	if v.CAFile != "" {
		pem, err := os.ReadFile(v.CAFile)
		if err != nil {
			return nil, fmt.Errorf("caFile: %w", err)
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("caFile %s holds no PEM certificate", v.CAFile)
		}
	}
	if v.ClientCertFile != "" {
		own, err := tls.LoadX509KeyPair(v.ClientCertFile, v.ClientKeyFile)
		if err != nil {
			return nil, fmt.Errorf("clientCertFile: %w", err)
		}
		transport.TLSClientConfig.Certificates = []tls.Certificate{own}
	}
	// What stands in the environment is for the Vault programs: it would be sent
	// to tenants' vaults, and what the library can't read of it would stop us.
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "VAULT_") {
			if err := os.Unsetenv(name); err != nil {
				return nil, err
			}
		}
	}
	client, err := api.NewClient(&api.Config{Address: v.Address, HttpClient: &http.Client{Transport: transport}, MaxRetries: 1})
	if err != nil {
		return nil, err
	}
	if v.Namespace != "" {
		client.SetNamespace(strings.Trim(v.Namespace, "/"))
	}
	var login api.AuthMethod
	switch {
	case v.TokenFile != "":
		content, err := os.ReadFile(v.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("token: %w", err)
		}
		client.SetToken(strings.TrimSpace(string(content)))
	case v.AppRole != nil:
		login, err = approle.NewAppRoleAuth(v.AppRole.RoleID, &approle.SecretID{FromFile: v.AppRole.SecretIDFile}, approle.WithMountPath(v.AppRole.Mount))
	case v.Kubernetes != nil:
		login, err = kubernetes.NewKubernetesAuth(v.Kubernetes.Role, kubernetes.WithMountPath(v.Kubernetes.Mount), kubernetes.WithServiceAccountTokenPath(v.Kubernetes.TokenFile))
	}
	if err != nil {
		return nil, err
	}
	return verify.NewVaultReader(client, login, v.Mount, v.Prefix), nil
}

func (u unusable) Namespaces(context.Context) (map[string]verify.Namespace, error) {
	return nil, u.err
}
