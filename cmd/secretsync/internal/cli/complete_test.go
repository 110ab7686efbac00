package cli

import (
	"strings"
	"testing"

	"secretsync/cmd/secretsync/internal/cli/place"
)

func TestCompletionSaysNothingOfWhatFails(t *testing.T) {
	nobody(t)
	for name, url := range map[string]string{"no server": "", "a server that is not there": "http://127.0.0.1:1"} {
		t.Setenv(place.URLVariable, url)
		t.Setenv(place.TenantVariable, "acme")
		t.Setenv(place.KeyVariable, "kupe_canary")
		stdout, stderr, code := run(t, "", "__complete", "get", "")
		if code != 0 || !strings.HasPrefix(stdout, ":4") || strings.Contains(stdout+stderr, "canary") || strings.Contains(stderr, "refused") {
			t.Errorf("%s: %d\n%s%s", name, code, stdout, stderr)
		}
	}
}
