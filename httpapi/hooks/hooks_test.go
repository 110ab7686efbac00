package hooks_test

import (
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"secretsync/gitstore/forge"
	"secretsync/httpapi/hooks"
)

type hints int

func (h *hints) Hint() { *h++ }

// receive has a hook with a secret take a delivery of a GitLab.
func receive(h *hooks.Hook, event, token string, at time.Time) (forge.Event, error) {
	r := httptest.NewRequest("POST", "/", strings.NewReader("{}"))
	r.Header.Set("X-Gitlab-Event", event)
	r.Header.Set("X-Gitlab-Token", token)
	return h.Receive(r, at)
}

func secretFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestADeliveryIsPassedOnToWhomItConcerns(t *testing.T) {
	for event, want := range map[string][2]hints{
		"Push Hook":          {1, 1}, // of the repository, of pull requests
		"Merge Request Hook": {1, 1},
		"System Hook":        {1, 1},
		"Wiki Page Hook":     {0, 0},
	} {
		t.Run(event, func(t *testing.T) {
			var got [2]hints
			h := hooks.New(forge.GitLab, secretFile(t, "s"), &got[0], &got[1])
			if _, err := receive(h, event, "s", time.Now()); err != nil || got != want {
				t.Errorf("hints %v, %v; want %v", got, err, want)
			}
			if _, err := receive(h, event, "S", time.Now()); !errors.Is(err, forge.ErrNotGenuine) || got != want {
				t.Errorf("with a wrong token: hints %v, %v", got, err)
			}
			if _, err := receive(hooks.New(forge.GitLab, secretFile(t, "s"), &got[0], nil), event, "s", time.Now()); err != nil {
				t.Errorf("without anybody for pull requests: %v", err)
			}
		})
	}
}

func TestAHookThatIsNotThereBelievesNothing(t *testing.T) {
	if _, err := receive(nil, "Push Hook", "", time.Now()); !errors.Is(err, forge.ErrNotGenuine) {
		t.Errorf("no hook: %v", err)
	}
	var none hints
	h := hooks.New(forge.GitLab, filepath.Join(t.TempDir(), "nowhere"), &none, nil)
	if _, err := receive(h, "Push Hook", "", time.Now()); !errors.Is(err, forge.ErrNotGenuine) || !errors.Is(err, hooks.ErrUnreadable) || none != 0 {
		t.Errorf("a secret that can't be read: %v", err)
	}
}

func TestASecretThatIsReplacedCountsAtOnce(t *testing.T) {
	var got hints
	path := secretFile(t, "old")
	h := hooks.New(forge.GitLab, path, &got, nil)
	for _, step := range []struct {
		file, token string
		believed    bool
	}{{"old", "old", true}, {"new\nold\n", "old", true}, {"new\nold\n", "new", true}, {"new\n", "old", false}, {"new\n", "new", true}} {
		if err := os.WriteFile(path, []byte(step.file), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := receive(h, "Push Hook", step.token, time.Now()); (err == nil) != step.believed {
			t.Errorf("with %q in the file, %q: %v", step.file, step.token, err)
		}
	}
}

func TestAFloodOfDeliveriesIsBounded(t *testing.T) {
	var got hints
	h, at := hooks.New(forge.GitLab, secretFile(t, "s"), &got, nil), time.Unix(1e9, 0)
	refused := 0
	for range 1000 {
		if _, err := receive(h, "Push Hook", "s", at); err != nil {
			tooMany, ok := errors.AsType[*hooks.TooMany](err)
			if !ok || tooMany.Wait <= 0 {
				t.Fatal(err)
			}
			refused++
		}
	}
	if got < 10 || got > 100 || int(got)+refused != 1000 {
		t.Errorf("of 1000 at once %d were taken and %d refused", got, refused)
	}
	if _, err := receive(h, "Push Hook", "s", at.Add(time.Second)); err != nil {
		t.Errorf("a second later: %v", err)
	}
}
