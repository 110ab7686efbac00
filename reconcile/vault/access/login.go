package access

import (
	"context"
	"net/http"
	"time"

	"github.com/hashicorp/vault/api"
)

// Grant is a token with what the vault says of it.
type Grant struct {
	Token     string
	TTL       time.Duration // zero: it never expires, or nothing is known of it
	Renewable bool
	Leased    bool      // had by a login, so it is ours to give back
	At        time.Time // when TTL was told
}

// Unwrapped remembers what a wrapping token held: it can be asked only once.
type Unwrapped struct{ token, secretID string }

// MaxLookup bounds the small requests about the token itself.
const MaxLookup = 5 * time.Second

// login gets a token the way the configuration says.
func (c *Client) login(ctx context.Context, known *Unwrapped) (Grant, *Failure) {
	var body map[string]any
	switch cfg := &c.Config; {
	case cfg.Token != "":
		return c.take(ctx, cfg.Token)
	case cfg.TokenFile != "":
		token, bad := file{"tokenFile", cfg.TokenFile}.word()
		if bad != nil {
			return Grant{}, bad
		}
		return c.take(ctx, token)
	case cfg.AppRole != nil:
		secretID, bad := c.secretID(ctx, known)
		if bad != nil {
			return Grant{}, bad
		}
		body = map[string]any{"role_id": cfg.AppRole.RoleID}
		if secretID != "" {
			body["secret_id"] = secretID
		}
	case cfg.Kubernetes != nil:
		jwt, bad := file{"kubernetes.tokenFile", cfg.Kubernetes.tokenFile()}.word()
		if bad != nil {
			return Grant{}, bad
		}
		body = map[string]any{"role": cfg.Kubernetes.Role, "jwt": jwt}
	case cfg.JWT != nil:
		jwt, bad := file{"jwt.tokenFile", cfg.JWT.TokenFile}.word()
		if bad != nil {
			return Grant{}, bad
		}
		body = map[string]any{"role": cfg.JWT.Role, "jwt": jwt}
	case cfg.Cert != nil:
		body = map[string]any{}
		if cfg.Cert.Role != "" {
			body["name"] = cfg.Cert.Role
		}
	}
	answer, f := c.Do(ctx, Request{
		Kind: "login", What: "the login", Method: http.MethodPost, Path: "auth/" + c.Config.loginMount() + "/login",
		Namespace: c.Config.LoginNamespace(), body: body,
	})
	if f != nil {
		return Grant{}, refusedLogin(f)
	}
	defer answer.Release()
	if answer.Status == http.StatusNotFound {
		said, _ := SaidIn(answer)
		return Grant{}, Forbidden("HTTP 404 "+said, "Vault has no auth method at auth/%s; check the mount of the tenant's login", c.Config.loginMount())
	}
	secret, err := api.ParseSecret(answer.Body)
	switch {
	case err != nil:
		return Grant{}, Unavailable(err.Error(), "Vault's answer to the login is not understood; it is asked again")
	case secret == nil || secret.Auth == nil || secret.Auth.ClientToken == "":
		return Grant{}, Forbidden("no token in the answer", "Vault gives no token for the tenant's login; it may ask for a second factor, which secretsync has none of")
	}
	g := granted(secret)
	g.Token, g.Leased = secret.Auth.ClientToken, true
	return g, nil
}

// refusedLogin gives a failed login the words of one. A 400 may be a wrong
// secret id as well as a standby's: whichever it is, it is tried again.
func refusedLogin(f *Failure) *Failure {
	if f.Kind == Denied || f.Kind == InvalidToken || f.Kind == Doubtful && f.status == http.StatusBadRequest {
		g := Forbidden(f.Detail, "Vault refuses the tenant's login (%d); check the role, its credentials and the mount of the auth method", f.status)
		g.status = f.status
		return g
	}
	return f
}

// take accepts a token that somebody gave us, and asks what it is. A token that
// may not ask after itself is taken as it is: its first read tells.
func (c *Client) take(ctx context.Context, token string) (Grant, *Failure) {
	g, f := c.Lookup(ctx, token, MaxLookup)
	switch {
	case f == nil:
	case f.Kind == InvalidToken:
		return Grant{}, f.Saying("Vault refuses the tenant's token; give it a valid one")
	case f.Kind == Denied:
		// It may not look; perhaps it may renew itself, which tells as much.
		if g, f = c.renew(ctx, token); f != nil && f.Kind == InvalidToken {
			return Grant{}, f.Saying("Vault refuses the tenant's token; give it a valid one")
		} else if f != nil {
			g = Grant{}
		}
	default:
		return Grant{}, f
	}
	g.Token = token
	return g, nil
}

// secretID is what the AppRole logs in with.
func (c *Client) secretID(ctx context.Context, known *Unwrapped) (string, *Failure) {
	role := c.Config.AppRole
	id := role.SecretID
	if id == "" && role.SecretIDFile != "" {
		var bad *Failure
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
	answer, f := c.Do(ctx, Request{
		Kind: "unwrap", What: "the wrapped secret id", Method: http.MethodPost, Path: "sys/wrapping/unwrap",
		Token: id, Namespace: c.Config.LoginNamespace(),
	})
	if f != nil && (f.status == http.StatusBadRequest || f.Kind == Denied || f.Kind == InvalidToken) {
		return "", Forbidden(f.Detail, "Vault does not unwrap the tenant's secret id: the wrapping token was used before or has expired; wrap a new secret id, and find out who used this one")
	} else if f != nil {
		return "", f
	}
	defer answer.Release()
	secret, err := api.ParseSecret(answer.Body)
	if err != nil || secret == nil {
		return "", Unavailable("unwrap: no secret in the answer", "Vault's answer to the unwrapping of the secret id is not understood; it is asked again")
	}
	secretID, _ := secret.Data["secret_id"].(string)
	if secretID == "" {
		return "", Forbidden("unwrap: no secret_id in the answer", "what the tenant's wrapping token holds is no secret id; wrap the answer of the role's secret-id endpoint")
	}
	*known = Unwrapped{id, secretID}
	return secretID, nil
}

// Lookup asks after a token. It is also the probe: it needs no permission
// beyond the default policy, and touches the vault's storage.
func (c *Client) Lookup(ctx context.Context, token string, within time.Duration) (Grant, *Failure) {
	return c.aboutToken(ctx, Request{Kind: "lookup", What: "the token", Method: http.MethodGet, Path: "auth/token/lookup-self", Token: token, timeout: min(within, c.Config.Within())})
}

// renew prolongs a token.
func (c *Client) renew(ctx context.Context, token string) (Grant, *Failure) {
	return c.aboutToken(ctx, Request{Kind: "renew", What: "the token's renewal", Method: http.MethodPost, Path: "auth/token/renew-self", Token: token, body: map[string]any{}})
}

// Revoke gives a token back. It is a courtesy: a vault that does not answer at
// once is left to let it expire.
func (c *Client) Revoke(ctx context.Context, token string) *Failure {
	answer, f := c.Do(ctx, Request{Kind: "revoke", What: "the token", Method: http.MethodPost, Path: "auth/token/revoke-self", Token: token, Namespace: c.Config.LoginNamespace(), body: map[string]any{}, timeout: time.Second})
	if f == nil {
		answer.Release()
	}
	return f
}

func (c *Client) aboutToken(ctx context.Context, r Request) (Grant, *Failure) {
	r.Namespace = c.Config.LoginNamespace()
	answer, f := c.Do(ctx, r)
	if f != nil {
		return Grant{}, f
	}
	defer answer.Release()
	secret, err := api.ParseSecret(answer.Body)
	if err != nil || secret == nil || secret.Data == nil && secret.Auth == nil || answer.Status == http.StatusNotFound {
		return Grant{}, Unavailable(r.Kind+": not understood", "Vault's answer about the token is not understood; it is asked again")
	}
	return granted(secret), nil
}

func granted(secret *api.Secret) Grant {
	ttl, err := secret.TokenTTL()
	if err != nil {
		return Grant{}
	}
	renewable, _ := secret.TokenIsRenewable()
	return Grant{TTL: ttl, Renewable: renewable && ttl > 0}
}
