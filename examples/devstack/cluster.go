package devstack

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	authentication "k8s.io/api/authentication/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// User is the name under which secretsync comes to a cluster, as examples/rbac.yaml has it.
const User = "secretsync"

// A Cluster is a kube-apiserver with its own data and its own users.
type Cluster struct {
	Name            string
	URL             string
	CA              []byte               // PEM, of the server's certificate
	Admin           kubernetes.Interface // may do everything, without client-side limits
	AdminConfig     *rest.Config
	AdminKubeconfig string       // path
	Config          *rest.Config // the user secretsync, with the rights of examples/rbac.yaml
	Kubeconfig      string       // path; the same

	stack     *Stack
	authority *authority
	port      int
	up        chan struct{} // closed when it is up for the first time
	process   *Process
	auditLog  string // path, "" without
	life      int    // how often it began with empty data
}

// prepare makes all that can be known of the cluster before it runs.
func (c *Cluster) prepare(audit bool) error {
	if audit {
		c.auditLog = c.file("audit.log")
		if err := os.WriteFile(c.file("audit-policy.yaml"), []byte(auditPolicy), 0o600); err != nil {
			return err
		}
	}
	if err := c.issue(); err != nil {
		return err
	}
	return c.connect(FreePort())
}

func (c *Cluster) create(ctx context.Context) error {
	err := c.stack.onPort(c.port, func(port int) error {
		if port != c.port {
			if err := c.connect(port); err != nil {
				return err
			}
		}
		c.process = c.stack.process("kube-apiserver-"+c.Name, func() []string { return c.argv(port) }, c.ready)
		return c.process.Start(ctx)
	})
	if err != nil {
		return err
	}
	if err := c.grant(ctx); err != nil {
		return err
	}
	close(c.up)
	return nil
}

// Await returns when the cluster is up for the first time.
func (c *Cluster) Await(ctx context.Context) error { return await(ctx, c.up) }

// file is the path of a file of the cluster's.
func (c *Cluster) file(name string) string { return filepath.Join(c.stack.Dir, c.Name+"-"+name) }

// issue makes the authority, the server's certificate and the key for service account tokens.
func (c *Cluster) issue() (err error) {
	if c.authority, err = newAuthority(c.Name); err != nil {
		return err
	}
	c.CA = c.authority.pem
	server, err := c.authority.server()
	if err != nil {
		return err
	}
	signing, err := newSigningKey()
	if err != nil {
		return err
	}
	return errors.Join(
		server.write(c.stack.Dir, c.Name+"-server"),
		os.WriteFile(c.file("ca.crt"), c.CA, 0o600),
		os.WriteFile(c.file("service-accounts.key"), signing, 0o600))
}

func (c *Cluster) connect(port int) (err error) {
	c.port = port
	c.URL = fmt.Sprintf("https://127.0.0.1:%d", port)
	if c.AdminKubeconfig, c.AdminConfig, err = c.NewUser("admin", "system:masters"); err != nil {
		return err
	}
	if c.Kubeconfig, c.Config, err = c.NewUser(User); err != nil {
		return err
	}
	unlimited := rest.CopyConfig(c.AdminConfig)
	unlimited.QPS = -1
	c.Admin, err = kubernetes.NewForConfig(unlimited)
	return err
}

func (c *Cluster) argv(port int) []string {
	argv := []string{c.stack.Binaries.APIServer,
		"--etcd-servers", c.stack.etcdURL,
		"--etcd-prefix", fmt.Sprintf("/%s-%d", c.Name, c.life),
		"--bind-address", "127.0.0.1", "--secure-port", fmt.Sprint(port),
		"--endpoint-reconciler-type", "none", // the loopback address may not be advertised
		"--tls-cert-file", c.file("server.crt"), "--tls-private-key-file", c.file("server.key"),
		"--client-ca-file", c.file("ca.crt"),
		"--service-account-key-file", c.file("service-accounts.key"),
		"--service-account-signing-key-file", c.file("service-accounts.key"),
		"--service-account-issuer", "https://kubernetes.default.svc",
		"--service-cluster-ip-range", "10.0.0.0/24",
		"--authorization-mode", "RBAC",
		"--disable-admission-plugins", "ServiceAccount",
		"--profiling=false",
	}
	if c.auditLog != "" {
		argv = append(argv, "--audit-policy-file", c.file("audit-policy.yaml"), "--audit-log-path", c.auditLog,
			"--audit-log-mode", "blocking") // an answered request is in the log
	}
	return argv
}

func (c *Cluster) ready(ctx context.Context) error {
	client := c.Admin.CoreV1().RESTClient().(*rest.RESTClient).Client
	return answers(ctx, client, c.URL+"/readyz")
}

// grant gives the user secretsync what examples/rbac.yaml says.
func (c *Cluster) grant(ctx context.Context) error {
	content, err := os.ReadFile(filepath.Join(c.stack.Binaries.Root, "examples/rbac.yaml"))
	if err != nil {
		return err
	}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("examples/rbac.yaml: %w", err)
		}
		object, _, err := scheme.Codecs.UniversalDeserializer().Decode(document, nil, nil)
		if err != nil {
			return fmt.Errorf("examples/rbac.yaml: %w", err)
		}
		if err := c.apply(ctx, object); err != nil {
			return fmt.Errorf("applying examples/rbac.yaml to %s: %w", c.Name, err)
		}
	}
}

func (c *Cluster) apply(ctx context.Context, object runtime.Object) (err error) {
	switch object := object.(type) {
	case *rbac.ClusterRole:
		_, err = c.Admin.RbacV1().ClusterRoles().Create(ctx, object, meta.CreateOptions{})
	case *rbac.ClusterRoleBinding:
		_, err = c.Admin.RbacV1().ClusterRoleBindings().Create(ctx, object, meta.CreateOptions{})
	default:
		return fmt.Errorf("nobody expected a %T there", object)
	}
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// NewUser issues a client certificate for a user of these groups, who may do nothing until something is bound to the name,
// and returns the path of a kubeconfig with it.
func (c *Cluster) NewUser(name string, groups ...string) (kubeconfig string, config *rest.Config, err error) {
	client, err := c.authority.client(name, groups...)
	if err != nil {
		return "", nil, err
	}
	return c.writeKubeconfig(name, c.URL, clientcmdapi.AuthInfo{ClientCertificateData: client.certificate, ClientKeyData: client.key})
}

func (c *Cluster) writeKubeconfig(name, url string, user clientcmdapi.AuthInfo) (string, *rest.Config, error) {
	config := clientcmdapi.NewConfig()
	config.Clusters[c.Name] = &clientcmdapi.Cluster{Server: url, CertificateAuthorityData: c.CA}
	config.AuthInfos[name] = &user
	config.Contexts[c.Name] = &clientcmdapi.Context{Cluster: c.Name, AuthInfo: name}
	config.CurrentContext = c.Name
	path := c.file(name + ".kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return "", nil, err
	}
	restConfig, err := clientcmd.BuildConfigFromFlags("", path)
	return path, restConfig, err
}

// Stop kills the API server; its data stay.
func (c *Cluster) Stop() { c.process.Stop() }

// Start starts a stopped API server with the data and the address it had.
func (c *Cluster) Start(ctx context.Context) error { return c.process.Start(ctx) }

// StartEmpty starts a stopped API server at the address it had, as a cluster that was never used.
func (c *Cluster) StartEmpty(ctx context.Context) error {
	c.life++
	if err := c.process.Start(ctx); err != nil {
		return err
	}
	return c.grant(ctx)
}

// CreateNamespace makes the namespaces that aren't there yet.
func (c *Cluster) CreateNamespace(ctx context.Context, names ...string) error {
	for _, name := range names {
		namespace := &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: name}}
		_, err := c.Admin.CoreV1().Namespaces().Create(ctx, namespace, meta.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("devstack: namespace %s in %s: %w", name, c.Name, err)
		}
	}
	return nil
}

// TerminateNamespace begins to delete a namespace. It stays Terminating until DeleteNamespace.
func (c *Cluster) TerminateNamespace(ctx context.Context, name string) error {
	return c.Admin.CoreV1().Namespaces().Delete(ctx, name, meta.DeleteOptions{})
}

// DeleteNamespace deletes a namespace with its Secrets, as the controller manager of a whole cluster does; when it returns
// the namespace is gone.
func (c *Cluster) DeleteNamespace(ctx context.Context, name string) error {
	if err := c.TerminateNamespace(ctx, name); err != nil && !apierrors.IsConflict(err) {
		return err
	}
	err := c.Admin.CoreV1().Secrets(name).DeleteCollection(ctx, meta.DeleteOptions{}, meta.ListOptions{})
	if err != nil {
		return err
	}
	namespace, err := c.Admin.CoreV1().Namespaces().Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return err
	}
	namespace.Spec.Finalizers = nil
	_, err = c.Admin.CoreV1().Namespaces().Finalize(ctx, namespace, meta.UpdateOptions{})
	return err
}

// ServiceAccountToken returns a token of a service account, which is made if need be.
func (c *Cluster) ServiceAccountToken(ctx context.Context, namespace, name string, lifetime time.Duration) (string, error) {
	accounts := c.Admin.CoreV1().ServiceAccounts(namespace)
	_, err := accounts.Create(ctx, &core.ServiceAccount{ObjectMeta: meta.ObjectMeta{Name: name}}, meta.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return "", err
	}
	seconds := int64(lifetime / time.Second)
	request := &authentication.TokenRequest{Spec: authentication.TokenRequestSpec{ExpirationSeconds: &seconds}}
	answer, err := accounts.CreateToken(ctx, name, request, meta.CreateOptions{})
	if err != nil {
		return "", err
	}
	return answer.Status.Token, nil
}

// tokenReviewer returns a token of a service account that may ask the cluster whose a token is.
func (c *Cluster) tokenReviewer(ctx context.Context) (string, error) {
	const name, namespace = "vault", "kube-system"
	token, err := c.ServiceAccountToken(ctx, namespace, name, 24*time.Hour)
	if err != nil {
		return "", err
	}
	return token, c.apply(ctx, &rbac.ClusterRoleBinding{
		ObjectMeta: meta.ObjectMeta{Name: "vault-token-reviewer"},
		RoleRef:    rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "ClusterRole", Name: "system:auth-delegator"},
		Subjects:   []rbac.Subject{{Kind: rbac.ServiceAccountKind, Name: name, Namespace: namespace}},
	})
}
