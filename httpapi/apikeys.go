package httpapi

import (
	"fmt"
	"net/http"
	"time"

	"secretsync/gitstore/definition"
)

func (s *Server) listKeys(x *exchange) (*answer, error) {
	keys := s.cfg.KeyStore.of(x.tenant.Name)
	for _, key := range x.state.keys {
		if key.Tenant == x.tenant.Name {
			keys = append(keys, key)
		}
	}
	byAge(keys)
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
	body, err := x.body()
	if err != nil {
		return nil, err
	}
	now := s.now().UTC().Truncate(time.Second)
	request, err := parseKeyRequest(body, s.now())
	if err != nil {
		return nil, err
	}
	if end := x.key.ExpiresAt; !end.IsZero() && (request.expiresAt.IsZero() || request.expiresAt.After(end)) {
		// Else whoever has a key for a day has one for ever.
		return nil, &definition.FieldError{Field: "expiresAt", Reason: fmt.Sprintf("must be given and not lie after %s, when the key ends that asks: none that it makes outlives it", end.UTC().Format(time.RFC3339Nano))}
	}
	if s.cfg.KeyStore == nil {
		return nil, errNoKeyStore
	}
	key, plaintext := NewKey(x.tenant.Name, request.role, request.displayName)
	key.CreatedBy, key.CreatorName, key.CreatedAt = x.key.ID, x.key.DisplayName, now
	key.ExpiresAt, key.ExpiresText = request.expiresAt, request.expiresText
	if err := s.cfg.KeyStore.add(key); err != nil {
		return nil, err
	}
	x.subject = key.ID
	answerBody := appendString(append(s.appendKey(nil, x.state, &key), `,"key":`...), plaintext)
	return &answer{status: http.StatusCreated, body: append(answerBody, "}\n"...)}, nil
}

func (s *Server) deleteKey(x *exchange) (*answer, error) {
	id, err := ParseKeyID(x.params.ByName("id"))
	if err != nil {
		return nil, noSuch("API key", x.params.ByName("id"), x.tenant)
	}
	x.subject = id
	if key := x.state.keys[id]; key != nil && key.Tenant == x.tenant.Name {
		return nil, &problem{status: http.StatusConflict, sentence: fmt.Sprintf("API key %q stands in the server's configuration: the operator can remove it there", id)}
	}
	found, err := s.cfg.KeyStore.remove(x.tenant.Name, id)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, noSuch("API key", id, x.tenant)
	}
	s.budgets.forget(id)
	s.usage.forget(id)
	return &answer{status: http.StatusNoContent}, nil
}

// errNoKeyStore: the program gave the server nowhere to keep keys.
var errNoKeyStore = &problem{status: http.StatusServiceUnavailable, sentence: "this server keeps no API keys of its own; the operator can add one to its configuration", retryAfter: time.Hour}

// appendKey appends what may be told of a key, without the closing brace.
func (s *Server) appendKey(b []byte, st *state, k *Key) []byte {
	b = appendString(append(b, `{"id":`...), k.ID)
	b = appendString(append(b, `,"displayName":`...), k.DisplayName)
	b = appendString(append(b, `,"role":`...), string(k.Role))
	if k.CreatedBy == "" {
		b = append(b, `,"createdBy":"configuration"`...)
	} else {
		b = appendString(append(b, `,"createdBy":`...), s.creator(st, k))
		b = appendString(append(b, `,"createdByKey":`...), k.CreatedBy)
	}
	b = appendTime(append(b, `,"createdAt":`...), k.CreatedAt)
	b = appendTime(append(b, `,"lastUsedAt":`...), s.usage.of(k.ID))
	switch {
	case k.ExpiresText != "":
		b = appendString(append(b, `,"expiresAt":`...), k.ExpiresText)
	case !k.ExpiresAt.IsZero():
		b = appendTime(append(b, `,"expiresAt":`...), k.ExpiresAt)
	}
	return b
}

// creator names who made a key in the words that people know him by.
func (s *Server) creator(st *state, k *Key) string {
	if k.CreatorName != "" {
		return k.CreatorName
	}
	// It was stored before names were.
	if by := st.keys[k.CreatedBy]; by != nil && by.Tenant == k.Tenant {
		return by.DisplayName
	}
	if by := s.cfg.KeyStore.get(k.CreatedBy); by != nil && by.Tenant == k.Tenant {
		return by.DisplayName
	}
	return k.CreatedBy
}
