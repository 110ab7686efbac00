package reconcile

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

// maxAnswer bounds what is read of an answer. A value of 1 MiB may be escaped
// to several times that.
const maxAnswer = 16 << 20

// vaultClient speaks the few requests we make with one tenant's vault. It knows
// nothing of when to make them: that is session's.
type vaultClient struct {
	api     *api.Client
	http    *http.Client
	at      string // host, for messages
	mount   string
	prefix  string
	timeout time.Duration
	metrics *metrics
}

func newVaultClient(cfg Vault, connections int, m *metrics) (*vaultClient, error) {
	address, err := url.Parse(cfg.Address)
	if err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https" {
		return nil, fmt.Errorf("vault address %q: write it as https://host:port", cfg.Address)
	}
	mount, err := cleanPath("mount", cfg.Mount)
	if err != nil {
		return nil, err
	}
	if mount == "" {
		return nil, errors.New("vault mount: name the mount of the KV version 2 engine")
	}
	prefix, err := cleanPath("prefix", cfg.Prefix)
	if err != nil {
		return nil, err
	}
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cfg.ServerName}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("vault caFile: %w", err)
		}
		tlsConfig.RootCAs = x509.NewCertPool()
		if !tlsConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("vault caFile %s holds no PEM certificate", cfg.CAFile)
		}
	}
	timeout := cfg.Timeout
	if timeout == 0 {
		timeout = DefaultRequestTimeout
	}
	dialer := &net.Dialer{Timeout: min(timeout, 10*time.Second), KeepAlive: 30 * time.Second}
	connection := &http.Client{
		// HTTP/1.1 on purpose: with many small reads at once, connections of
		// their own are faster than streams that share one.
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           dialer.DialContext,
			TLSClientConfig:       tlsConfig,
			TLSHandshakeTimeout:   min(timeout, 10*time.Second),
			ResponseHeaderTimeout: timeout,
			MaxIdleConns:          connections,
			MaxIdleConnsPerHost:   connections,
			IdleConnTimeout:       90 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	client, err := api.NewClient(&api.Config{
		Address:    cfg.Address,
		MaxRetries: 0, // when to try again is session's business
		HttpClient: connection,
	})
	if err != nil {
		return nil, fmt.Errorf("vault %s: %w", address.Host, err)
	}
	// The library takes these from the environment of the process, where they
	// would reach into every tenant.
	client.ClearToken()
	client.ClearNamespace()
	if cfg.Namespace != "" {
		client.SetNamespace(strings.Trim(cfg.Namespace, "/"))
	}
	return &vaultClient{api: client, http: connection, at: address.Host, mount: mount, prefix: prefix, timeout: timeout, metrics: m}, nil
}

// cleanPath refuses paths of the operator's that would not stay what they say.
func cleanPath(field, p string) (string, error) {
	p = strings.Trim(p, "/")
	if p == "" {
		return "", nil
	}
	if path.Clean(p) != p || strings.HasPrefix(p, "..") || strings.ContainsAny(p, "?#%\\") {
		return "", fmt.Errorf("vault %s %q: write it without '.' and '..' segments, '?', '#', '%%' and '\\'", field, p)
	}
	return p, nil
}

// full is where a secretPath lies, as people write it to the vault program.
func (c *vaultClient) full(secretPath string) string { return path.Join(c.mount, c.prefix, secretPath) }

func (c *vaultClient) readData(ctx context.Context, secretPath string) (*value, *fault) {
	at := c.full(secretPath)
	body, found, fault := c.read(ctx, "data", path.Join(c.mount, "data", c.prefix, secretPath), at)
	if fault != nil {
		return nil, fault
	}
	return parseData(body, found, at)
}

func (c *vaultClient) readMetadata(ctx context.Context, secretPath string, now time.Time) (version, *fault) {
	at := c.full(secretPath)
	body, found, fault := c.read(ctx, "metadata", path.Join(c.mount, "metadata", c.prefix, secretPath), at)
	switch {
	case fault != nil:
		return version{}, fault
	case !found:
		return version{}, notFound(at)
	}
	return parseMetadata(body, at, now)
}

// read gets one path. found is false for a 404, which may have a body.
func (c *vaultClient) read(ctx context.Context, kind, request, at string) (body []byte, found bool, f *fault) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	began := time.Now()
	defer func() { c.metrics.vaultRequest(kind, f, time.Since(began)) }()

	response, err := c.api.Logical().ReadRawWithContext(ctx, request)
	if response != nil {
		defer response.Body.Close()
	}
	if err != nil {
		var refusal *api.ResponseError
		if errors.As(err, &refusal) && refusal.StatusCode == http.StatusNotFound {
			if route := strings.Join(refusal.Errors, " "); strings.Contains(route, "no handler for route") {
				return nil, false, vaultForbidden("no secrets engine is mounted at %s/ in Vault at %s; mount a KV version 2 engine there or mend the tenant's mount", c.mount, c.at)
			}
			body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
			if err != nil {
				return nil, false, c.explain(err, at, response)
			}
			return body, false, nil
		}
		return nil, false, c.explain(err, at, response)
	}
	body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, false, c.explain(err, at, response)
	case len(body) == maxAnswer:
		return nil, false, &fault{state: Error, reason: ReasonValueTooLarge, message: fmt.Sprintf("Vault's answer for %s is over %d bytes; a Kubernetes Secret holds at most %d", at, maxAnswer, maxSecretData)}
	}
	return body, true, nil
}

// explain turns an error of the vault library into words.
func (c *vaultClient) explain(err error, what string, response *api.Response) *fault {
	var f *fault
	if errors.As(err, &f) {
		return f
	}
	var refusal *api.ResponseError
	if !errors.As(err, &refusal) {
		return unavailable("Vault at %s does not answer for %s: %s; it is asked again", c.at, what, netCause(err))
	}
	said := ""
	// What is not Vault's own form of error may be a proxy's page.
	if !refusal.RawError && len(refusal.Errors) > 0 {
		said = ": " + clean(strings.Join(refusal.Errors, "; "))
	}
	switch code := refusal.StatusCode; {
	case code == http.StatusBadRequest && strings.Contains(said, "Upgrading from non-versioned"):
		return unavailable("mount %s in Vault at %s is being upgraded to KV version 2; it is asked again", c.mount, c.at)
	case code == http.StatusServiceUnavailable && strings.Contains(strings.ToLower(said), "sealed"):
		return unavailable("Vault at %s is sealed; it is asked again until it is unsealed", c.at)
	case code == http.StatusTooManyRequests, code == http.StatusPreconditionFailed, code == http.StatusRequestTimeout, code >= 472 && code <= 473, code >= 500:
		f := unavailable("Vault at %s answered %d for %s%s; it is asked again", c.at, code, what, said)
		if response != nil {
			if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
				f.after = min(time.Duration(seconds)*time.Second, time.Minute)
			}
		}
		return f
	case code == http.StatusForbidden:
		return vaultForbidden("Vault at %s denies reading %s; allow \"read\" on it in the policy of the tenant's role%s", c.at, what, said)
	default:
		return vaultForbidden("Vault at %s answered %d for %s%s; check the tenant's vault settings", c.at, code, what, said)
	}
}

// netCause names what went wrong below HTTP, without the address around it.
func netCause(err error) string {
	if errors.Is(err, context.DeadlineExceeded) || os.IsTimeout(err) {
		return "no answer in time"
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return "the connection broke off"
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return clean(op.Err.Error())
	}
	var outer *url.Error
	if errors.As(err, &outer) && outer.Err != nil {
		return clean(outer.Err.Error())
	}
	return clean(err.Error())
}

// version1 asks whether the mount is a KV version 1 engine: its paths answer
// 404 to every request of ours, as if no value were there.
func (c *vaultClient) version1(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	mount, err := c.api.Logical().ReadWithContext(ctx, "sys/internal/ui/mounts/"+c.mount)
	if err != nil || mount == nil || mount.Data["type"] != "kv" {
		return false
	}
	options, _ := mount.Data["options"].(map[string]any)
	return options["version"] != "2"
}

// tokenState is what Vault says of our token.
type tokenState struct {
	ttl       time.Duration // zero never expires
	renewable bool
}

// lookup asks after our own token. It is also the probe: it needs no
// permission of ours beyond the default policy, and touches Vault's storage.
func (c *vaultClient) lookup(ctx context.Context) (tokenState, *fault) {
	ctx, cancel := context.WithTimeout(ctx, min(c.timeout, 5*time.Second))
	defer cancel()
	began := time.Now()
	secret, err := c.api.Auth().Token().LookupSelfWithContext(ctx)
	var f *fault
	if err != nil {
		f = c.explain(err, "the token", nil)
	}
	c.metrics.vaultRequest("lookup", f, time.Since(began))
	if f != nil {
		return tokenState{}, f
	}
	ttl, err := secret.TokenTTL()
	if err != nil {
		return tokenState{}, unavailable("Vault's answer about the token is not understood; it is asked again")
	}
	renewable, _ := secret.TokenIsRenewable()
	return tokenState{ttl: ttl, renewable: renewable}, nil
}

// renew prolongs our token.
func (c *vaultClient) renew(ctx context.Context) (tokenState, *fault) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	began := time.Now()
	secret, err := c.api.Auth().Token().RenewSelfWithContext(ctx, 0)
	var f *fault
	if err != nil {
		f = c.explain(err, "the token's renewal", nil)
	}
	c.metrics.vaultRequest("renew", f, time.Since(began))
	if f != nil {
		return tokenState{}, f
	}
	return stateOf(secret), nil
}

func stateOf(secret *api.Secret) tokenState {
	if secret == nil || secret.Auth == nil {
		return tokenState{}
	}
	return tokenState{ttl: time.Duration(secret.Auth.LeaseDuration) * time.Second, renewable: secret.Auth.Renewable}
}
