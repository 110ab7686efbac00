package keys

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
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/problem"
	"secretsync/httpapi/render"
)

// Keys answers what is asked of the API keys of all tenants.
type Keys struct {
	Store Store // those that were made through the API
	// Configured are those of the configuration, of all tenants, by their id.
	Configured func() map[string]*apikey.Key
	Usage      *apikey.Usage
	Now        func() time.Time
	// Revoked is told of each key that is gone, so that nothing goes on in its name.
	Revoked func(id string)
}

// Store keeps the keys that were made through the API.
type Store interface {
	Reader
	Writer
}

// Reader knows the keys that were made through the API, without waiting.
type Reader interface {
	// Get finds a key by its id; nil: no such key is known.
	Get(id string) *apikey.Key
	// Of returns a tenant's keys, in no order. It fails where they can't be read.
	Of(gitstore.TenantName) ([]*apikey.Key, error)
}

// Writer makes and revokes keys, durably before it returns. What can't be done now is
// [gitstore.ErrUnavailable].
type Writer interface {
	Add(context.Context, apikey.Key) error
	// Remove reports whether the tenant had such a key.
	Remove(ctx context.Context, tenant gitstore.TenantName, id string) (bool, error)
}

// List tells all of a tenant's keys, with nothing by which one could be made.
func (k *Keys) List(x *exchange.Exchange) (*exchange.Answer, error) {
	keys, err := k.Store.Of(x.Tenant.Name)
	if err != nil {
		return nil, problem.UnavailableNow("the tenant's API keys can't be read now", err)
	}
	for _, key := range k.Configured() {
		if key.Tenant == x.Tenant.Name {
			keys = append(keys, key)
		}
	}
	apikey.ByAge(keys)
	body := []byte(`{"items":[`)
	for i, key := range keys {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(k.appendKey(body, key), '}')
	}
	return &exchange.Answer{Status: http.StatusOK, Body: append(body, "]}\n"...)}, nil
}

// Create answers with the key itself, this once: only its hash is kept.
func (k *Keys) Create(x *exchange.Exchange) (*exchange.Answer, error) {
	text, err := x.Body()
	if err != nil {
		return nil, err
	}
	now := k.Now().UTC().Truncate(time.Second)
	asked, err := parseRequest(text, k.Now())
	if err != nil {
		return nil, err
	}
	if end := x.Key.ExpiresAt; !end.IsZero() && (asked.expiresAt.IsZero() || asked.expiresAt.After(end)) {
		// Else whoever has a key for a day has one for ever.
		return nil, &definition.FieldError{Field: "expiresAt", Reason: fmt.Sprintf("must be given and not lie after %s, when the key ends that asks: none that it makes outlives it", end.UTC().Format(time.RFC3339Nano))}
	}
	key, plaintext := apikey.New(x.Tenant.Name, asked.role, asked.displayName)
	key.CreatedBy, key.CreatorName, key.CreatedAt = x.Key.ID, x.Key.DisplayName, now
	key.ExpiresAt, key.ExpiresText = asked.expiresAt, asked.expiresText
	if err := k.Store.Add(x.Request.Context(), key); err != nil {
		return nil, err
	}
	x.Subject, x.Did = key.ID, audit.KeyMade
	answerBody := render.String(append(k.appendKey(nil, &key), `,"key":`...), plaintext)
	return &exchange.Answer{Status: http.StatusCreated, Body: append(answerBody, "}\n"...)}, nil
}

// Delete revokes a key, at once.
func (k *Keys) Delete(x *exchange.Exchange) (*exchange.Answer, error) {
	id, err := apikey.ParseID(x.Params.ByName("id"))
	if err != nil {
		return nil, x.NoSuch("API key", x.Params.ByName("id"))
	}
	x.Subject = id
	if key := k.Configured()[id]; key != nil && key.Tenant == x.Tenant.Name {
		return nil, &problem.Problem{Status: http.StatusConflict, Sentence: fmt.Sprintf("API key %q stands in the server's configuration: the operator can remove it there", id)}
	}
	found, err := k.Store.Remove(x.Request.Context(), x.Tenant.Name, id)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, x.NoSuch("API key", id)
	}
	x.Did = audit.KeyRevoked
	k.Revoked(id)
	k.Usage.Forget(id)
	return &exchange.Answer{Status: http.StatusNoContent}, nil
}

// errNoStore: the program gave the server nowhere to keep keys.
var errNoStore = &problem.Problem{Status: http.StatusServiceUnavailable, Sentence: "this server keeps no API keys of its own; the operator can add one to its configuration", RetryAfter: time.Hour}

// None stands in for a store where there is none.
type None struct{}

// Get knows no key.
func (None) Get(string) *apikey.Key { return nil }

// Of knows that a tenant has none.
func (None) Of(gitstore.TenantName) ([]*apikey.Key, error) { return nil, nil }

// Unread says that this is all there is to know.
func (None) Unread() error { return nil }

// CatchUp has nothing to do.
func (None) CatchUp(context.Context) error { return nil }

// Add fails, and says what to do.
func (None) Add(context.Context, apikey.Key) error { return errNoStore }

// Remove finds none.
func (None) Remove(context.Context, gitstore.TenantName, string) (bool, error) { return false, nil }

// appendKey appends what may be told of a key, without the closing brace.
func (k *Keys) appendKey(b []byte, key *apikey.Key) []byte {
	b = render.String(append(b, `{"id":`...), key.ID)
	b = render.String(append(b, `,"displayName":`...), key.DisplayName)
	b = render.String(append(b, `,"role":`...), string(key.Role))
	if key.CreatedBy == "" {
		b = append(b, `,"createdBy":"configuration"`...)
	} else {
		b = render.String(append(b, `,"createdBy":`...), k.creator(key))
		b = render.String(append(b, `,"createdByKey":`...), key.CreatedBy)
	}
	b = render.Time(append(b, `,"createdAt":`...), key.CreatedAt)
	b = render.Time(append(b, `,"lastUsedAt":`...), k.Usage.Of(key.ID))
	switch {
	case key.ExpiresText != "":
		b = render.String(append(b, `,"expiresAt":`...), key.ExpiresText)
	case !key.ExpiresAt.IsZero():
		b = render.Time(append(b, `,"expiresAt":`...), key.ExpiresAt)
	}
	return b
}

// creator names who made a key in the words that people know him by.
func (k *Keys) creator(key *apikey.Key) string {
	if key.CreatorName != "" {
		return key.CreatorName
	}
	// It was stored before names were.
	if by := k.Configured()[key.CreatedBy]; by != nil && by.Tenant == key.Tenant {
		return by.DisplayName
	}
	if by := k.Store.Get(key.CreatedBy); by != nil && by.Tenant == key.Tenant {
		return by.DisplayName
	}
	return key.CreatedBy
}

// SaveUsage writes down when keys were used last, of those that there are.
func (k *Keys) SaveUsage() error {
	configured := k.Configured()
	return k.Usage.Save(func(id string) bool { return configured[id] != nil || k.Store.Get(id) != nil })
}

// request is the body of POST …/apikeys.
type request struct {
	displayName string
	role        apikey.Role
	expiresAt   time.Time // zero: never
	expiresText string    // as it was sent
}

func parseRequest(text []byte, now time.Time) (k request, err error) {
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
