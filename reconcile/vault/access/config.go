// Package access owns how a vault is reached and logged in to: the configuration of a
// tenant's vault and the files that it names, connections, one request and its failure, the
// rate that a mount takes, logins and the tokens they give.
//
//	config.go, files.go    what the operator says, and what stands in the files it names
//	way.go                 connections, one for all who reach a vault in the same way
//	client.go, failure.go  one request, and what we make of an answer that is none
//	limit.go               how many requests a mount takes
//	login.go, grants.go    a token: had, renewed, asked after, given back; shared
//
// It makes the requests that it is asked for and decides nothing about when: that is the
// broker's.
//
// What it guarantees:
//   - A message of a [Failure], which tenants read, holds neither addresses nor paths of the
//     operator's machine, and no token or credential; those addresses and paths are in its
//     Detail, for the log.
//   - Variables of the Vault programs in the environment change nothing.
//   - Of brokers with one login one request is under way at a time, and a token is given
//     back when the last of them lets it go.
package access

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"
)

// DefaultTimeout bounds a request where the configuration does not say.
const DefaultTimeout = 15 * time.Second

// Config says where a tenant's values lie and how to log in. Exactly one of
// Token, TokenFile, AppRole, Kubernetes, JWT and Cert is set. The files that it
// names are followed: what changes in them is taken in within one interval.
type Config struct {
	Address   string // such as https://vault.example.org:8200
	Namespace string // of Vault Enterprise or OpenBao; empty is the root
	Mount     string // of a KV version 2 engine, such as "secret" or "teams/payments"
	Prefix    string // path below the mount that the tenant is confined to; empty is the whole mount

	CAFile         string // PEM bundle that signs the server's certificate; empty is the system's
	ServerName     string // expected in the certificate; empty is the address's host
	ClientCertFile string // PEM certificate shown to the server, and its key; both or none
	ClientKeyFile  string

	// AuthNamespace is the namespace to log in at, if it is another than
	// Namespace; "root" is the root.
	AuthNamespace string

	Token      string // a token as it is
	TokenFile  string // a file with nothing but a token
	AppRole    *AppRole
	Kubernetes *KubernetesAuth
	JWT        *JWTAuth
	Cert       *CertAuth

	// Events has the vault's event notifications followed, where it has them
	// (Vault Enterprise): a path is then read as soon as it changed. The polls go on.
	Events bool

	// Timeout bounds each request. Zero is DefaultTimeout.
	Timeout time.Duration
	// Connections bounds the connections for reads. Zero is as many as reads
	// may be under way.
	Connections int
	// RequestsPerSecond bounds the reads a second of this tenant. Zero is no
	// bound but the vault's own, which is found by its answers.
	RequestsPerSecond float64
}

// AppRole logs in with a role id and a secret id.
type AppRole struct {
	Mount        string // empty is "approle"
	RoleID       string
	SecretID     string // with neither this nor the file, none is sent
	SecretIDFile string
	// Wrapped says that the secret id is response-wrapped: what is given is a
	// wrapping token, which is unwrapped once.
	Wrapped bool
}

// KubernetesAuth logs in with a service account token.
type KubernetesAuth struct {
	Mount     string // empty is "kubernetes"
	Role      string
	TokenFile string // empty is the pod's own token
}

// JWTAuth logs in with a JSON Web Token (auth method "jwt", without a browser).
type JWTAuth struct {
	Mount     string // empty is "jwt"
	Role      string // empty is the mount's default role
	TokenFile string
}

// CertAuth logs in with Config.ClientCertFile.
type CertAuth struct {
	Mount string // empty is "cert"
	Role  string // empty lets the vault choose by the certificate
}

// Clone returns a configuration that shares nothing with this one.
func (c Config) Clone() Config {
	c.AppRole, c.Kubernetes, c.JWT, c.Cert = clone(c.AppRole), clone(c.Kubernetes), clone(c.JWT), clone(c.Cert)
	return c
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	return new(*p)
}

// Check finds mistakes in the configuration itself. It never looks at a file.
func (c Config) Check() error {
	address, err := url.Parse(c.Address)
	if err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https" || address.User != nil || address.RawQuery != "" || address.Fragment != "" {
		return fmt.Errorf("vault address %q: write it as https://host:port", c.Address)
	}
	if strings.Trim(c.Mount, "/") == "" {
		return errors.New("vault mount: name the mount of the KV version 2 engine")
	}
	for field, p := range map[string]string{
		"mount": c.Mount, "prefix": c.Prefix, "namespace": c.Namespace, "authNamespace": c.AuthNamespace, "login mount": c.loginMount(),
	} {
		if err := checkPath(field, p); err != nil {
			return err
		}
	}
	if (c.ClientCertFile == "") != (c.ClientKeyFile == "") {
		return errors.New("vault: give clientCertFile and clientKeyFile, or neither")
	}
	if c.Timeout < 0 || c.Connections < 0 || c.RequestsPerSecond < 0 {
		return errors.New("vault: timeout, connections and requestsPerSecond must not be negative")
	}
	return c.checkLogin()
}

func (c Config) checkLogin() error {
	n := 0
	for _, given := range []bool{c.Token != "", c.TokenFile != "", c.AppRole != nil, c.Kubernetes != nil, c.JWT != nil, c.Cert != nil} {
		if given {
			n++
		}
	}
	switch {
	case n != 1:
		return fmt.Errorf("vault: %d ways to log in are given; give exactly one of token, tokenFile, appRole, kubernetes, jwt and cert", n)
	case c.AppRole != nil && c.AppRole.RoleID == "":
		return errors.New("vault appRole: roleID is missing")
	case c.AppRole != nil && c.AppRole.SecretID != "" && c.AppRole.SecretIDFile != "":
		return errors.New("vault appRole: give secretID or secretIDFile, not both")
	case c.AppRole != nil && c.AppRole.Wrapped && c.AppRole.SecretID == "" && c.AppRole.SecretIDFile == "":
		return errors.New("vault appRole: wrapped needs a secretID or a secretIDFile that holds the wrapping token")
	case c.Kubernetes != nil && c.Kubernetes.Role == "":
		return errors.New("vault kubernetes: role is missing")
	case c.JWT != nil && c.JWT.TokenFile == "":
		return errors.New("vault jwt: tokenFile is missing")
	case c.Cert != nil && c.ClientCertFile == "":
		return errors.New("vault cert: clientCertFile and clientKeyFile are missing")
	case c.Cert != nil && !strings.HasPrefix(c.Address, "https://"):
		return errors.New("vault cert: a client certificate needs an https address")
	}
	return nil
}

// checkPath refuses paths of the operator's that would not stay what they say.
func checkPath(field, p string) error {
	if p = strings.Trim(p, "/"); p == "" {
		return nil
	}
	if path.Clean(p) != p || strings.HasPrefix(p, "..") || strings.ContainsAny(p, "?#%\\") || strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return fmt.Errorf("vault %s %q: write it without '.' and '..' segments, spaces, '?', '#', '%%' and '\\'", field, p)
	}
	return nil
}

// loginMount is where the auth method is mounted, "" for tokens.
func (c Config) loginMount() string {
	or := func(mount, def string) string {
		if mount = strings.Trim(mount, "/"); mount != "" {
			return mount
		}
		return def
	}
	switch {
	case c.AppRole != nil:
		return or(c.AppRole.Mount, "approle")
	case c.Kubernetes != nil:
		return or(c.Kubernetes.Mount, "kubernetes")
	case c.JWT != nil:
		return or(c.JWT.Mount, "jwt")
	case c.Cert != nil:
		return or(c.Cert.Mount, "cert")
	}
	return ""
}

// LoginNamespace is the namespace that the token lives in.
func (c Config) LoginNamespace() string {
	switch n := strings.Trim(c.AuthNamespace, "/"); n {
	case "":
		return strings.Trim(c.Namespace, "/")
	case "root":
		return ""
	default:
		return n
	}
}

// Within is how long a request may take.
func (c Config) Within() time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return DefaultTimeout
}

// Place is where the values lie: Address, Namespace, Mount and Prefix.
func (c Config) Place() [4]string {
	return [4]string{c.Address, strings.Trim(c.Namespace, "/"), strings.Trim(c.Mount, "/"), strings.Trim(c.Prefix, "/")}
}

// Connection is what a connection is made by.
func (c Config) Connection() [5]string {
	return [5]string{c.Address, c.CAFile, c.ServerName, c.ClientCertFile, c.ClientKeyFile}
}

// Credentials is the part of the configuration that says how to log in.
func (c Config) Credentials() any {
	login := Config{Token: c.Token, TokenFile: c.TokenFile, AppRole: c.AppRole, Kubernetes: c.Kubernetes, JWT: c.JWT, Cert: c.Cert}
	if c.Cert != nil {
		login.ClientCertFile, login.ClientKeyFile = c.ClientCertFile, c.ClientKeyFile
	}
	return login
}
