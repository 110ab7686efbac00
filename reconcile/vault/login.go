package vault

import (
	"context"
	"net/http"
	"time"

	"github.com/hashicorp/vault/api"
)

// grant is a token with what the vault says of it.
type grant struct {
	token     string
	ttl       time.Duration // zero: it never expires, or nothing is known of it
	renewable bool
	leased    bool      // had by a login, so it is ours to give back
	at        time.Time // when ttl was told
}

// unwrapped remembers what a wrapping token held: it can be asked only once.
type unwrapped struct{ token, secretID string }

// maxLookup bounds the small requests about the token itself.
const maxLookup = 5 * time.Second

// login gets a token the way the configuration says.
func (c *client) login(ctx context.Context, known *unwrapped) (grant, *failure) {
	var body map[string]any
	switch cfg := &c.cfg; {
	case cfg.Token != "":
		return c.take(ctx, cfg.Token)
	case cfg.TokenFile != "":
		token, bad := file{"tokenFile", cfg.TokenFile}.word()
		if bad != nil {
			return grant{}, bad
		}
		return c.take(ctx, token)
	case cfg.AppRole != nil:
		secretID, bad := c.secretID(ctx, known)
		if bad != nil {
			return grant{}, bad
		}
		body = map[string]any{"role_id": cfg.AppRole.RoleID}
		if secretID != "" {
			body["secret_id"] = secretID
		}
	case cfg.Kubernetes != nil:
		jwt, bad := file{"kubernetes.tokenFile", cfg.Kubernetes.tokenFile()}.word()
		if bad != nil {
			return grant{}, bad
		}
		body = map[string]any{"role": cfg.Kubernetes.Role, "jwt": jwt}
	case cfg.JWT != nil:
		jwt, bad := file{"jwt.tokenFile", cfg.JWT.TokenFile}.word()
		if bad != nil {
			return grant{}, bad
		}
		body = map[string]any{"role": cfg.JWT.Role, "jwt": jwt}
	case cfg.Cert != nil:
		body = map[string]any{}
		if cfg.Cert.Role != "" {
			body["name"] = cfg.Cert.Role
		}
	}
	answer, f := c.do(ctx, request{
		kind: "login", what: "the login", method: http.MethodPost, path: "auth/" + c.cfg.loginMount() + "/login",
		namespace: c.cfg.loginNamespace(), body: body,
	})
	if f != nil {
		return grant{}, refusedLogin(f)
	}
	defer answer.release()
	if answer.status == http.StatusNotFound {
		said, _ := saidIn(answer)
		return grant{}, forbidden("HTTP 404 "+said, "Vault has no auth method at auth/%s; check the mount of the tenant's login", c.cfg.loginMount())
	}
	secret, err := api.ParseSecret(answer.body)
	switch {
	case err != nil:
		return grant{}, unavailable(err.Error(), "Vault's answer to the login is not understood; it is asked again")
	case secret == nil || secret.Auth == nil || secret.Auth.ClientToken == "":
		return grant{}, forbidden("no token in the answer", "Vault gives no token for the tenant's login; it may ask for a second factor, which secretsync has none of")
	}
	g := granted(secret)
	g.token, g.leased = secret.Auth.ClientToken, true
	return g, nil
}

// refusedLogin gives a failed login the words of one. A 400 may be a wrong
// secret id as well as a standby's: whichever it is, it is tried again.
func refusedLogin(f *failure) *failure {
	if f.kind == denied || f.kind == invalidToken || f.kind == doubtful && f.status == http.StatusBadRequest {
		g := forbidden(f.detail, "Vault refuses the tenant's login (%d); check the role, its credentials and the mount of the auth method", f.status)
		g.status = f.status
		return g
	}
	return f
}

// take accepts a token that somebody gave us, and asks what it is. A token that
// may not ask after itself is taken as it is: its first read tells.
func (c *client) take(ctx context.Context, token string) (grant, *failure) {
	g, f := c.lookup(ctx, token, maxLookup)
	switch {
	case f == nil:
	case f.kind == invalidToken:
		return grant{}, f.as("Vault refuses the tenant's token; give it a valid one")
	case f.kind == denied:
		// It may not look; perhaps it may renew itself, which tells as much.
		if g, f = c.renew(ctx, token); f != nil && f.kind == invalidToken {
			return grant{}, f.as("Vault refuses the tenant's token; give it a valid one")
		} else if f != nil {
			g = grant{}
		}
	default:
		return grant{}, f
	}
	g.token = token
	return g, nil
}

// secretID is what the AppRole logs in with.
func (c *client) secretID(ctx context.Context, known *unwrapped) (string, *failure) {
	role := c.cfg.AppRole
	id := role.SecretID
	if id == "" && role.SecretIDFile != "" {
		var bad *failure
		if id, bad = (file{"appRole.secretIDFile", role.SecretIDFile}).word(); bad != nil {
			return "", bad
		}
	}
	if !role.Wrapped {
		return id, nil
	}
	if known.token == id {
		return known.secretID, nil
	}
	answer, f := c.do(ctx, request{
		kind: "unwrap", what: "the wrapped secret id", method: http.MethodPost, path: "sys/wrapping/unwrap",
		token: id, namespace: c.cfg.loginNamespace(),
	})
	if f != nil && (f.status == http.StatusBadRequest || f.kind == denied || f.kind == invalidToken) {
		return "", forbidden(f.detail, "Vault does not unwrap the tenant's secret id: the wrapping token was used before or has expired; wrap a new secret id, and find out who used this one")
	} else if f != nil {
		return "", f
	}
	defer answer.release()
	secret, err := api.ParseSecret(answer.body)
	if err != nil || secret == nil {
		return "", unavailable("unwrap: no secret in the answer", "Vault's answer to the unwrapping of the secret id is not understood; it is asked again")
	}
	secretID, _ := secret.Data["secret_id"].(string)
	if secretID == "" {
		return "", forbidden("unwrap: no secret_id in the answer", "what the tenant's wrapping token holds is no secret id; wrap the answer of the role's secret-id endpoint")
	}
	*known = unwrapped{id, secretID}
	return secretID, nil
}

// lookup asks after a token. It is also the probe: it needs no permission
// beyond the default policy, and touches the vault's storage.
func (c *client) lookup(ctx context.Context, token string, within time.Duration) (grant, *failure) {
	return c.aboutToken(ctx, request{kind: "lookup", what: "the token", method: http.MethodGet, path: "auth/token/lookup-self", token: token, timeout: min(within, c.cfg.timeout())})
}

// renew prolongs a token.
func (c *client) renew(ctx context.Context, token string) (grant, *failure) {
	return c.aboutToken(ctx, request{kind: "renew", what: "the token's renewal", method: http.MethodPost, path: "auth/token/renew-self", token: token, body: map[string]any{}})
}

// revoke gives a token back. It is a courtesy: a vault that does not answer at
// once is left to let it expire.
func (c *client) revoke(ctx context.Context, token string) *failure {
	answer, f := c.do(ctx, request{kind: "revoke", what: "the token", method: http.MethodPost, path: "auth/token/revoke-self", token: token, namespace: c.cfg.loginNamespace(), body: map[string]any{}, timeout: time.Second})
	if f == nil {
		answer.release()
	}
	return f
}

func (c *client) aboutToken(ctx context.Context, r request) (grant, *failure) {
	r.namespace = c.cfg.loginNamespace()
	answer, f := c.do(ctx, r)
	if f != nil {
		return grant{}, f
	}
	defer answer.release()
	secret, err := api.ParseSecret(answer.body)
	if err != nil || secret == nil || secret.Data == nil && secret.Auth == nil || answer.status == http.StatusNotFound {
		return grant{}, unavailable(r.kind+": not understood", "Vault's answer about the token is not understood; it is asked again")
	}
	return granted(secret), nil
}

func granted(secret *api.Secret) grant {
	ttl, err := secret.TokenTTL()
	if err != nil {
		return grant{}
	}
	renewable, _ := secret.TokenIsRenewable()
	return grant{ttl: ttl, renewable: renewable && ttl > 0}
}
