package forge_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"secretsync/gitstore/forge"
)

var delivered = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func sign(secret, what string) []byte {
	m := hmac.New(sha256.New, []byte(secret))
	io.WriteString(m, what)
	return m.Sum(nil)
}

func hexSign(secret, what string) string { return hex.EncodeToString(sign(secret, what)) }

func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

func standard(secret, id, sent, body string) http.Header {
	return headers("webhook-id", id, "webhook-timestamp", sent, "webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(sign(secret, id+"."+sent+"."+body)))
}

func TestADeliveryIsBelievedIfItIsSigned(t *testing.T) {
	const secret, body = "it is hooked", `{"ref":"refs/heads/main"}`
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("anybody:"+secret))
	whsec := "whsec_" + base64.StdEncoding.EncodeToString([]byte("thirty-two bytes of key material"))
	twice := standard("another", "msg_1", "1795608000", body)
	twice.Set("Webhook-Signature", twice.Get("Webhook-Signature")+" "+standard(secret, "msg_1", "1795608000", body).Get("Webhook-Signature"))
	for name, c := range map[string]struct {
		kind    forge.Kind
		secrets []string // default: secret
		header  http.Header
		want    forge.Event // empty: it is not believed
	}{
		"a push to GitHub":                               {forge.GitHub, nil, headers("X-GitHub-Event", "push", "X-Hub-Signature-256", "sha256="+hexSign(secret, body)), forge.EventPush},
		"a pull request on GitHub":                       {forge.GitHub, nil, headers("X-GitHub-Event", "pull_request", "X-Hub-Signature-256", "sha256="+hexSign(secret, body)), forge.EventPull},
		"GitHub's ping":                                  {forge.GitHub, nil, headers("X-GitHub-Event", "ping", "X-Hub-Signature-256", "sha256="+hexSign(secret, body)), forge.EventPing},
		"a star on GitHub":                               {forge.GitHub, nil, headers("X-GitHub-Event", "star", "X-Hub-Signature-256", "sha256="+hexSign(secret, body)), forge.EventOther},
		"GitHub, signed with another secret":             {forge.GitHub, nil, headers("X-GitHub-Event", "push", "X-Hub-Signature-256", "sha256="+hexSign("other", body)), ""},
		"GitHub, another body":                           {forge.GitHub, nil, headers("X-GitHub-Event", "push", "X-Hub-Signature-256", "sha256="+hexSign(secret, body+" ")), ""},
		"GitHub, its old signature only":                 {forge.GitHub, nil, headers("X-GitHub-Event", "push", "X-Hub-Signature", "sha1=da39a3ee5e6b4b0d3255bfef95601890afd80709"), ""},
		"GitHub, not signed":                             {forge.GitHub, nil, headers("X-GitHub-Event", "push"), ""},
		"GitHub, signed with nothing":                    {forge.GitHub, nil, headers("X-GitHub-Event", "push", "X-Hub-Signature-256", "sha256="), ""},
		"GitHub, a token in place of a signature":        {forge.GitHub, nil, headers("X-GitHub-Event", "push", "X-Gitlab-Token", secret, "Authorization", "Bearer "+secret), ""},
		"GitHub, while the secret is replaced":           {forge.GitHub, []string{"the new one", secret}, headers("X-GitHub-Event", "push", "X-Hub-Signature-256", "sha256="+hexSign(secret, body)), forge.EventPush},
		"a push to GitLab, by token":                     {forge.GitLab, nil, headers("X-Gitlab-Event", "Push Hook", "X-Gitlab-Token", secret), forge.EventPush},
		"a merge request on GitLab":                      {forge.GitLab, nil, headers("X-Gitlab-Event", "Merge Request Hook", "X-Gitlab-Token", secret), forge.EventPull},
		"GitLab's system hook":                           {forge.GitLab, nil, headers("X-Gitlab-Event", "System Hook", "X-Gitlab-Token", secret), forge.EventEither},
		"GitLab, another token":                          {forge.GitLab, nil, headers("X-Gitlab-Event", "Push Hook", "X-Gitlab-Token", secret+"x"), ""},
		"GitLab, signed":                                 {forge.GitLab, []string{whsec}, standard("thirty-two bytes of key material", "msg_1", "1795608000", body), forge.EventEither},
		"a push to Gitea":                                {forge.Gitea, nil, headers("X-Gitea-Event", "push", "X-Gitea-Signature", hexSign(secret, body)), forge.EventPush},
		"a new commit of a pull request on Gitea":        {forge.Gitea, nil, headers("X-Gitea-Event", "pull_request_sync", "X-Gitea-Signature", hexSign(secret, body)), forge.EventPull},
		"a push to Forgejo":                              {forge.Forgejo, nil, headers("X-Gitea-Event", "push", "X-Forgejo-Signature", hexSign(secret, body)), forge.EventPush},
		"Gitea, half a signature":                        {forge.Gitea, nil, headers("X-Gitea-Event", "push", "X-Gitea-Signature", hexSign(secret, body)[:32]), ""},
		"a push to Bitbucket":                            {forge.Bitbucket, nil, headers("X-Event-Key", "repo:push", "X-Hub-Signature", "sha256="+hexSign(secret, body)), forge.EventPush},
		"a push to Bitbucket Data Center":                {forge.Bitbucket, nil, headers("X-Event-Key", "repo:refs_changed", "X-Hub-Signature", "sha256="+hexSign(secret, body)), forge.EventPush},
		"a pull request on Bitbucket":                    {forge.Bitbucket, nil, headers("X-Event-Key", "pullrequest:updated", "X-Hub-Signature", "sha256="+hexSign(secret, body)), forge.EventPull},
		"a pull request on Bitbucket Data Center":        {forge.Bitbucket, nil, headers("X-Event-Key", "pr:opened", "X-Hub-Signature", "sha256="+hexSign(secret, body)), forge.EventPull},
		"Azure DevOps, whatever it is":                   {forge.Azure, nil, headers("Authorization", basic), forge.EventEither},
		"Azure DevOps, without a password":               {forge.Azure, nil, headers("Authorization", "Basic YW55Ym9keTo="), ""},
		"a script with a token":                          {forge.Generic, nil, headers("Authorization", "Bearer "+secret), forge.EventEither},
		"a script with an empty token":                   {forge.Generic, nil, headers("Authorization", "Bearer "), ""},
		"a script that signs":                            {forge.Generic, nil, headers("X-Hub-Signature-256", "sha256="+hexSign(secret, body)), forge.EventEither},
		"Standard Webhooks, with a plain secret":         {forge.Generic, nil, standard(secret, "msg_1", "1795608000", body), forge.EventEither},
		"Standard Webhooks, one of two signatures holds": {forge.Generic, nil, twice, forge.EventEither},
		"Standard Webhooks, a replay of six minutes ago": {forge.Generic, nil, standard(secret, "msg_1", "1795607640", body), ""},
		"Standard Webhooks, from the future":             {forge.Generic, nil, standard(secret, "msg_1", "1795608360", body), ""},
		"Standard Webhooks, the time is no number":       {forge.Generic, nil, standard(secret, "msg_1", "now", body), ""},
		"Standard Webhooks, without an id":               {forge.Generic, nil, standard(secret, "", "1795608000", body), ""},
		"no secret at all":                               {forge.Generic, []string{}, headers("Authorization", "Bearer "), ""},
	} {
		t.Run(name, func(t *testing.T) {
			secrets := forge.Secrets{[]byte(secret)}
			if c.secrets != nil {
				secrets = nil
				for _, s := range c.secrets {
					secrets = append(secrets, []byte(s))
				}
			}
			event, err := forge.Check(c.kind, secrets, c.header, strings.NewReader(body), delivered)
			if event != c.want || (c.want == "") != errors.Is(err, forge.ErrNotGenuine) {
				t.Errorf("it is %q, %v; want %q", event, err, c.want)
			}
		})
	}
}

func TestADeliveryIsReadToItsEndAndNoFurtherThanTheLimit(t *testing.T) {
	h := headers("Authorization", "Bearer s")
	broken := errors.New("cut off")
	if _, err := forge.Check(forge.Generic, forge.Secrets{[]byte("s")}, h, iotest.ErrReader(broken), delivered); !errors.Is(err, broken) {
		t.Errorf("a body that is cut off: %v", err)
	}
	endless := &counting{r: neverEnding{}}
	if _, err := forge.Check(forge.Generic, forge.Secrets{[]byte("s")}, h, endless, delivered); !errors.Is(err, forge.ErrNotGenuine) || endless.n > forge.MaxDelivery+1 {
		t.Errorf("of an endless body %d bytes were read: %v", endless.n, err)
	}
}

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

type counting struct {
	r io.Reader
	n int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func TestAFileOfSecrets(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		want    int
		err     string
	}{
		"one, with the line break of an editor": {"s3cret\n", 1, ""},
		"an old one and a new one":              {"new\r\n\nold\n", 2, ""},
		"nothing":                               {"\n \n", 0, "is empty"},
		"far too many":                          {"a\nb\nc\nd\ne\n", 0, "more than 4 secrets"},
		"a file of something else":              {strings.Repeat("x", 20<<10), 0, "16384 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			secrets, err := forge.ReadSecrets(path)
			if len(secrets) != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%d secrets, %v", len(secrets), err)
			}
			if err != nil && strings.Contains(err.Error(), "xxx") {
				t.Error("the error tells what the file holds")
			}
		})
	}
}

// Whatever is sent: without the secret nothing is believed, and nothing breaks.
func FuzzCheck(f *testing.F) {
	f.Add("github", "X-Hub-Signature-256", "sha256=00", []byte("{}"))
	f.Add("generic", "Webhook-Signature", "v1,AAAA v1,", []byte("{}"))
	f.Add("azure", "Authorization", "Basic OjE=", []byte(""))
	f.Fuzz(func(t *testing.T, kind, name, value string, body []byte) {
		k, err := forge.ParseHookKind(kind)
		if err != nil {
			return
		}
		h := headers(name, value, "Webhook-Id", value, "Webhook-Timestamp", "1795608000")
		if event, err := forge.Check(k, forge.Secrets{[]byte("a secret that nobody guesses: cd6fb1")}, h, bytes.NewReader(body), delivered); err == nil {
			t.Errorf("believed: %s", event)
		}
	})
}
