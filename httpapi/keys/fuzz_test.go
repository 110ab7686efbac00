package keys

import (
	"encoding/json"
	"testing"
	"time"

	"secretsync/httpapi/apikey"
	"secretsync/httpapi/problem/problemtest"
)

func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"displayName":"Ada","role":"admin","expiresAt":"2099-01-01T00:00:00+01:00"}`))
	f.Add([]byte(`{"displayName":"Ada <x>","role":"readonly","expiresAt":null}`))
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, body []byte) {
		k, err := parseRequest(body, now)
		if err != nil {
			problemtest.RefusedWell(t, err)
			return
		}
		if _, err := apikey.ParseDisplayName(k.displayName); err != nil {
			t.Error(err)
		}
		if _, err := apikey.ParseRole(string(k.role)); err != nil {
			t.Error(err)
		}
		if !k.expiresAt.IsZero() && k.expiresAt.Before(now) {
			t.Errorf("expires at %s, which is past", k.expiresAt)
		}
		// What is stored comes back as it was.
		line := (&Keys{Usage: new(apikey.Usage)}).appendKey(nil, &apikey.Key{ID: "ak-aaaa", DisplayName: k.displayName, Role: k.role, CreatedAt: now, ExpiresAt: k.expiresAt, ExpiresText: k.expiresText})
		var back struct{ DisplayName, ExpiresAt string }
		if err := json.Unmarshal(append(line, '}'), &back); err != nil || back.DisplayName != k.displayName || back.ExpiresAt != k.expiresText {
			t.Errorf("rendered as %s: %v", line, err)
		}
	})
}
