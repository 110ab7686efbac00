package devstack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	vaultapi "github.com/hashicorp/vault/api"
)

// A Vault is a Vault server, initialized and unsealed, with a KV v2 mount "secret" and the auth method approle.
type Vault struct {
	Address   string
	RootToken string
	Client    *vaultapi.Client // with the root token

	stack     *Stack
	port      int
	up        chan struct{} // closed when it is up for the first time
	process   *Process
	unsealKey string
	auditLog  string // path, "" without
}

// prepare makes all that can be known of Vault before it runs.
func (v *Vault) prepare(audit bool) error {
	if audit {
		v.auditLog = filepath.Join(v.stack.Dir, "vault-audit.log")
	}
	if err := os.Mkdir(v.data(), 0o700); err != nil {
		return err
	}
	return v.connect(FreePort())
}

func (v *Vault) data() string { return filepath.Join(v.stack.Dir, "vault") }

func (v *Vault) connect(port int) (err error) {
	v.port = port
	v.Address = fmt.Sprintf("http://127.0.0.1:%d", port)
	v.Client, err = v.NewClient("")
	return err
}

func (v *Vault) create(ctx context.Context) error {
	err := v.stack.onPort(v.port, func(port int) error {
		if port != v.port {
			if err := v.connect(port); err != nil {
				return err
			}
		}
		v.process = v.stack.process("vault", func() []string {
			return []string{v.stack.Binaries.Vault, "-listen", fmt.Sprintf("127.0.0.1:%d", port), "-data", v.data()}
		}, func(ctx context.Context) error {
			return answers(ctx, http.DefaultClient, v.Address+"/v1/sys/seal-status")
		})
		return v.process.Start(ctx)
	})
	if err != nil {
		return err
	}
	initialized, err := v.Client.Sys().InitWithContext(ctx, &vaultapi.InitRequest{SecretShares: 1, SecretThreshold: 1})
	if err != nil {
		return fmt.Errorf("initializing Vault: %w", err)
	}
	v.RootToken, v.unsealKey = initialized.RootToken, initialized.KeysB64[0]
	v.Client.SetToken(v.RootToken)
	if err := v.Unseal(ctx); err != nil {
		return err
	}
	if v.auditLog != "" {
		err := v.Client.Sys().EnableAuditWithOptionsWithContext(ctx, "file", &vaultapi.EnableAuditOptions{
			Type: "file", Options: map[string]string{"file_path": v.auditLog},
		})
		if err != nil {
			return fmt.Errorf("enabling Vault's audit log: %w", err)
		}
	}
	if err := v.Mount(ctx, "secret"); err != nil {
		return err
	}
	if err := v.enable(ctx, "approle"); err != nil {
		return err
	}
	close(v.up)
	return nil
}

// Await returns when Vault is up for the first time, unsealed and with its mount.
func (v *Vault) Await(ctx context.Context) error { return await(ctx, v.up) }

// NewClient returns a client with that token.
func (v *Vault) NewClient(token string) (*vaultapi.Client, error) {
	config := vaultapi.DefaultConfig()
	config.Address = v.Address
	client, err := vaultapi.NewClient(config)
	if err != nil {
		return nil, err
	}
	client.ClearNamespace() // whatever the environment says
	client.SetToken(token)
	return client, nil
}

// Stop kills Vault; its data stay.
func (v *Vault) Stop() { v.process.Stop() }

// Start starts a stopped Vault at the address it had, and unseals it.
func (v *Vault) Start(ctx context.Context) error {
	if err := v.process.Start(ctx); err != nil {
		return err
	}
	return v.Unseal(ctx)
}

// Seal seals Vault: it answers every request with 503 until Unseal.
func (v *Vault) Seal(ctx context.Context) error { return v.Client.Sys().SealWithContext(ctx) }

// Unseal unseals Vault and returns when it answers requests.
func (v *Vault) Unseal(ctx context.Context) error {
	status, err := v.Client.Sys().UnsealWithContext(ctx, v.unsealKey)
	if err != nil {
		return fmt.Errorf("unsealing Vault: %w", err)
	}
	if status.Sealed {
		return errors.New("Vault stays sealed")
	}
	return poll(ctx, func() error { return answers(ctx, http.DefaultClient, v.Address+"/v1/sys/health") })
}

// Mount makes a KV v2 mount and returns when it takes secrets.
func (v *Vault) Mount(ctx context.Context, mount string) error {
	input := &vaultapi.MountInput{Type: "kv", Options: map[string]string{"version": "2"}}
	if err := v.Client.Sys().MountWithContext(ctx, mount, input); err != nil {
		return fmt.Errorf("mounting %s in Vault: %w", mount, err)
	}
	return poll(ctx, func() error { // it says that it is upgrading at first
		_, err := v.Client.Logical().ListWithContext(ctx, mount+"/metadata")
		return err
	})
}

// PutSecret writes a new version of a value and returns its number.
func (v *Vault) PutSecret(ctx context.Context, mount, name string, data map[string]any) (version int, err error) {
	secret, err := v.Client.KVv2(mount).Put(ctx, name, data)
	if err != nil {
		return 0, fmt.Errorf("devstack: writing %s/%s: %w", mount, name, err)
	}
	return secret.VersionMetadata.Version, nil
}

// Policy writes a policy.
func (v *Vault) Policy(ctx context.Context, name, rules string) error {
	return v.Client.Sys().PutPolicyWithContext(ctx, name, rules)
}

// ReadPolicy writes a policy with what secretsync needs for a tenant: reading the values and their metadata under a prefix
// of a KV v2 mount, which may be empty.
func (v *Vault) ReadPolicy(ctx context.Context, name, mount, prefix string) error {
	rules := ""
	for _, kind := range []string{"data", "metadata"} {
		rules += fmt.Sprintf("path %q {\n  capabilities = [\"read\"]\n}\n", path.Join(mount, kind, prefix)+"/*")
	}
	return v.Policy(ctx, name, rules)
}

// Token makes a token with these policies and this lifetime; it can be renewed.
func (v *Vault) Token(ctx context.Context, lifetime time.Duration, policies ...string) (string, error) {
	secret, err := v.Client.Auth().Token().CreateWithContext(ctx, &vaultapi.TokenCreateRequest{
		Policies: policies, TTL: lifetime.String(), NoParent: true,
	})
	if err != nil {
		return "", fmt.Errorf("devstack: making a Vault token: %w", err)
	}
	return secret.Auth.ClientToken, nil
}

// AppRole makes an AppRole with these policies, whose tokens live that long, and returns what one logs in with.
func (v *Vault) AppRole(ctx context.Context, name string, lifetime time.Duration, policies ...string) (roleID, secretID string, err error) {
	role := "auth/approle/role/" + name
	_, err = v.Client.Logical().WriteWithContext(ctx, role, map[string]any{
		"token_policies": policies, "token_ttl": lifetime.String(),
	})
	if err != nil {
		return "", "", fmt.Errorf("devstack: making the AppRole %s: %w", name, err)
	}
	id, err := v.Client.Logical().ReadWithContext(ctx, role+"/role-id")
	if err != nil {
		return "", "", err
	}
	secret, err := v.Client.Logical().WriteWithContext(ctx, role+"/secret-id", nil)
	if err != nil {
		return "", "", err
	}
	return id.Data["role_id"].(string), secret.Data["secret_id"].(string), nil
}

// KubernetesAuth enables the auth method kubernetes at auth/<cluster's name>: Vault asks that cluster whose a service
// account token is.
func (v *Vault) KubernetesAuth(ctx context.Context, c *Cluster) error {
	enabled, err := v.Client.Sys().ListAuthWithContext(ctx)
	if err != nil {
		return fmt.Errorf("devstack: Vault's auth methods: %w", err)
	}
	if enabled[c.Name+"/"] != nil {
		return nil
	}
	err = v.Client.Sys().EnableAuthWithOptionsWithContext(ctx, c.Name, &vaultapi.EnableAuthOptions{Type: "kubernetes"})
	if err != nil {
		return fmt.Errorf("devstack: enabling Kubernetes auth for %s: %w", c.Name, err)
	}
	reviewer, err := c.tokenReviewer(ctx)
	if err != nil {
		return fmt.Errorf("devstack: Vault's own service account in %s: %w", c.Name, err)
	}
	_, err = v.Client.Logical().WriteWithContext(ctx, "auth/"+c.Name+"/config", map[string]any{
		"kubernetes_host": c.URL, "kubernetes_ca_cert": string(c.CA), "token_reviewer_jwt": reviewer,
	})
	return err
}

// KubernetesRole lets a service account of the cluster log in under that role, once there is KubernetesAuth for the
// cluster.
func (v *Vault) KubernetesRole(ctx context.Context, c *Cluster, role, namespace, account string, lifetime time.Duration, policies ...string) error {
	_, err := v.Client.Logical().WriteWithContext(ctx, "auth/"+c.Name+"/role/"+role, map[string]any{
		"bound_service_account_names": account, "bound_service_account_namespaces": namespace,
		"token_policies": policies, "token_ttl": lifetime.String(), "audience": "https://kubernetes.default.svc",
	})
	return err
}

func (v *Vault) enable(ctx context.Context, method string) error {
	err := v.Client.Sys().EnableAuthWithOptionsWithContext(ctx, method, &vaultapi.EnableAuthOptions{Type: method})
	if err != nil {
		return fmt.Errorf("enabling Vault's auth method %s: %w", method, err)
	}
	return nil
}

// poll tries until it succeeds, for 30 seconds at most.
func poll(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%w (last: %s)", ctx.Err(), strings.TrimSpace(err.Error()))
		}
	}
}
