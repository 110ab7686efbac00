package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/audit"
	"secretsync/httpapi/body"
	"secretsync/httpapi/render"
)

func (s *Server) listKeys(x *exchange) (*answer, error) {
	keys, err := s.cfg.KeyStore.Of(x.tenant.Name)
	if err != nil {
		return nil, unavailableNow("the tenant's API keys can't be read now", err)
	}
	for _, key := range x.state.keys {
		if key.Tenant == x.tenant.Name {
			keys = append(keys, key)
		}
	}
	apikey.ByAge(keys)
	body := []byte(`{"items":[`)
	for i, key := range keys {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(s.appendKey(body, x.state, key), '}')
	}
	return &answer{status: http.StatusOK, body: append(body, "]}\n"...)}, nil
}

// createKey answers with the key itself, this once: only its hash is kept.
func (s *Server) createKey(x *exchange) (*answer, error) {
	text, err := x.body()
	if err != nil {
		return nil, err
	}
	now := s.now().UTC().Truncate(time.Second)
	request, err := parseKeyRequest(text, s.now())
	if err != nil {
		return nil, err
	}
	if end := x.key.ExpiresAt; !end.IsZero() && (request.expiresAt.IsZero() || request.expiresAt.After(end)) {
		// Else whoever has a key for a day has one for ever.
		return nil, &definition.FieldError{Field: "expiresAt", Reason: fmt.Sprintf("must be given and not lie after %s, when the key ends that asks: none that it makes outlives it", end.UTC().Format(time.RFC3339Nano))}
	}
	key, plaintext := apikey.New(x.tenant.Name, request.role, request.displayName)
	key.CreatedBy, key.CreatorName, key.CreatedAt = x.key.ID, x.key.DisplayName, now
	key.ExpiresAt, key.ExpiresText = request.expiresAt, request.expiresText
	if err := s.cfg.KeyStore.Add(x.r.Context(), key); err != nil {
		return nil, err
	}
	x.subject, x.did = key.ID, audit.KeyMade
	answerBody := render.String(append(s.appendKey(nil, x.state, &key), `,"key":`...), plaintext)
	return &answer{status: http.StatusCreated, body: append(answerBody, "}\n"...)}, nil
}

func (s *Server) deleteKey(x *exchange) (*answer, error) {
	id, err := apikey.ParseID(x.params.ByName("id"))
	if err != nil {
		return nil, noSuch("API key", x.params.ByName("id"), x.tenant)
	}
	x.subject = id
	if key := x.state.keys[id]; key != nil && key.Tenant == x.tenant.Name {
		return nil, &problem{status: http.StatusConflict, sentence: fmt.Sprintf("API key %q stands in the server's configuration: the operator can remove it there", id)}
	}
	found, err := s.cfg.KeyStore.Remove(x.r.Context(), x.tenant.Name, id)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, noSuch("API key", id, x.tenant)
	}
	x.did = audit.KeyRevoked
	s.endSessions(id)
	s.keyLimits.Forget(id)
	s.usage.Forget(id)
	return &answer{status: http.StatusNoContent}, nil
}

// errNoKeyStore: the program gave the server nowhere to keep keys.
var errNoKeyStore = &problem{status: http.StatusServiceUnavailable, sentence: "this server keeps no API keys of its own; the operator can add one to its configuration", retryAfter: time.Hour}

// noKeys stands in for a store where there is none.
type noKeys struct{}

func (noKeys) Get(string) *apikey.Key                        { return nil }
func (noKeys) Of(gitstore.TenantName) ([]*apikey.Key, error) { return nil, nil }
func (noKeys) Unread() error                                 { return nil }
func (noKeys) Add(context.Context, apikey.Key) error         { return errNoKeyStore }
func (noKeys) Remove(context.Context, gitstore.TenantName, string) (bool, error) {
	return false, nil
}

// appendKey appends what may be told of a key, without the closing brace.
func (s *Server) appendKey(b []byte, st *state, k *apikey.Key) []byte {
	b = render.String(append(b, `{"id":`...), k.ID)
	b = render.String(append(b, `,"displayName":`...), k.DisplayName)
	b = render.String(append(b, `,"role":`...), string(k.Role))
	if k.CreatedBy == "" {
		b = append(b, `,"createdBy":"configuration"`...)
	} else {
		b = render.String(append(b, `,"createdBy":`...), s.creator(st, k))
		b = render.String(append(b, `,"createdByKey":`...), k.CreatedBy)
	}
	b = render.Time(append(b, `,"createdAt":`...), k.CreatedAt)
	b = render.Time(append(b, `,"lastUsedAt":`...), s.usage.Of(k.ID))
	switch {
	case k.ExpiresText != "":
		b = render.String(append(b, `,"expiresAt":`...), k.ExpiresText)
	case !k.ExpiresAt.IsZero():
		b = render.Time(append(b, `,"expiresAt":`...), k.ExpiresAt)
	}
	return b
}

// creator names who made a key in the words that people know him by.
func (s *Server) creator(st *state, k *apikey.Key) string {
	if k.CreatorName != "" {
		return k.CreatorName
	}
	// It was stored before names were.
	if by := st.keys[k.CreatedBy]; by != nil && by.Tenant == k.Tenant {
		return by.DisplayName
	}
	if by := s.cfg.KeyStore.Get(k.CreatedBy); by != nil && by.Tenant == k.Tenant {
		return by.DisplayName
	}
	return k.CreatedBy
}

// usageKept is how often it is written to disk when keys were used last: what a
// crash may lose.
const usageKept = 10 * time.Minute

// keepUsage saves it from time to time till ctx ends.
func (s *Server) keepUsage(ctx context.Context) {
	tick := time.NewTicker(usageKept)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.saveUsage()
		}
	}
}

func (s *Server) saveUsage() {
	exists := func(id string) bool { return s.state.Load().keys[id] != nil || s.cfg.KeyStore.Get(id) != nil }
	if err := s.usage.Save(exists); err != nil {
		s.log.Error("what is told of keys may be old after a restart", "error", err)
	}
}

// keyRequest is the body of POST …/apikeys.
type keyRequest struct {
	displayName string
	role        apikey.Role
	expiresAt   time.Time // zero: never
	expiresText string    // as it was sent
}

func parseKeyRequest(text []byte, now time.Time) (k keyRequest, err error) {
	o, err := body.Parse(text)
	if err != nil {
		return k, err
	}
	if err := o.Only("displayName", "role", "expiresAt"); err != nil {
		return k, err
	}
	if k.displayName, err = body.Field(o, "displayName", apikey.ParseDisplayName); err != nil {
		return k, err
	}
	if k.role, err = body.Field(o, "role", apikey.ParseRole); err != nil {
		return k, err
	}
	k.expiresAt, err = body.Optional(o, "expiresAt", func(s string) (time.Time, error) {
		t, err := apikey.ParseExpiry(s)
		if err == nil && !t.After(now) {
			err = &definition.FieldError{Field: "expiresAt", Reason: "must lie in the future"}
		}
		k.expiresText = s
		return t, err
	})
	return k, err
}
