package forge

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Event is what a delivery tells of. It only says where it is worth looking:
// what is true is asked of Git and of the forge's API.
type Event string

// The events that matter here.
const (
	EventPush   Event = "push"         // a branch may have moved
	EventPull   Event = "pull_request" // something happened to a pull request
	EventPing   Event = "ping"         // the forge tries whether it is heard
	EventOther  Event = "other"        // of no interest
	EventEither Event = "any"          // the sender does not say in a header: look at everything
)

// ErrNotGenuine says that a delivery has no signature or token that holds. It
// does not say which of that it was: who guesses learns nothing.
var ErrNotGenuine = errors.New("the delivery is not signed with this hook's secret")

const (
	// MaxDelivery bounds the body of a delivery; GitHub sends 25 MiB at most.
	MaxDelivery = 32 << 20
	// clockSkew is how old a signed time may be, and how far ahead, as Standard
	// Webhooks advises.
	clockSkew = 5 * time.Minute
	// mostSecrets is how many secrets one file may hold.
	mostSecrets = 4
)

// Secrets are those that a hook's deliveries may be signed with: more than one
// while a secret is replaced by another.
type Secrets [][]byte

// ReadSecrets reads a file with a secret on each line. Its errors name the file
// and never what it holds.
func ReadSecrets(path string) (Secrets, error) {
	content, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	var secrets Secrets
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line != "" {
			secrets = append(secrets, []byte(line))
		}
	}
	switch {
	case len(secrets) == 0:
		return nil, fmt.Errorf("%s: is empty; it should hold the hook's secret", path)
	case len(content) > maxTokenFile, len(secrets) > mostSecrets:
		return nil, fmt.Errorf("%s: holds more than %d secrets, or %d bytes; it should hold the hook's secret, and others on lines of their own while that is replaced", path, mostSecrets, maxTokenFile)
	}
	return secrets, nil
}

// Check reads a delivery to its end and returns what it tells of, if it is
// signed with one of the secrets: the forge says what happened in a header, so
// that of the body nothing is kept and nothing is believed.
//
//	kind             signed by                                        event in
//	github           X-Hub-Signature-256: sha256=<hex>                X-GitHub-Event
//	gitlab           webhook-signature (Standard Webhooks), or        X-Gitlab-Event
//	                 X-Gitlab-Token: <secret>
//	gitea, forgejo   X-Forgejo-Signature, X-Gitea-Signature: <hex>    X-Gitea-Event
//	bitbucket        X-Hub-Signature: sha256=<hex>                    X-Event-Key
//	azure            Authorization: Basic, the secret as password     -
//	generic          webhook-signature (Standard Webhooks),           -
//	                 X-Hub-Signature-256, or
//	                 Authorization: Bearer <secret>
//
// A signature is HMAC-SHA256 of the body. That of Standard Webhooks covers an id
// and a time as well, and one that is older than five minutes does not hold. The
// others can be sent again by whoever has seen one: it tells to look once more,
// and nothing else. A failure is [ErrNotGenuine], or that of reading the body.
func Check(kind Kind, secrets Secrets, header http.Header, body io.Reader, now time.Time) (Event, error) {
	found := evidenceOf(kind, header, now)
	var macs []mac
	for _, secret := range secrets {
		for _, p := range found {
			macs = append(macs, p.begin(secret))
		}
	}
	into := make([]io.Writer, len(macs))
	for i := range macs {
		into[i] = macs[i].hash
	}
	read, err := io.Copy(io.MultiWriter(into...), io.LimitReader(body, MaxDelivery+1))
	if err != nil {
		return "", err
	}
	genuine := 0
	for i := range macs {
		genuine |= macs[i].holds()
	}
	if genuine != 1 || read > MaxDelivery {
		return "", ErrNotGenuine
	}
	return eventOf(kind, header), nil
}

// evidence is one way in which a delivery can show that its sender has the secret.
type evidence struct {
	signatures [][]byte // HMAC-SHA256 of prefix and body; empty: token counts
	prefix     string
	token      []byte // the secret itself
	standard   bool   // the key may be written as Standard Webhooks has it
}

// mac is a evidence that is being held against one secret.
type mac struct {
	evidence
	hash   hash.Hash
	secret []byte
}

func (p evidence) begin(secret []byte) mac {
	key := secret
	if coded, ok := strings.CutPrefix(string(secret), "whsec_"); p.standard && ok {
		if decoded, err := base64.StdEncoding.DecodeString(coded); err == nil {
			key = decoded
		}
	}
	m := mac{p, hmac.New(sha256.New, key), secret}
	io.WriteString(m.hash, p.prefix)
	return m
}

// holds is 1 if the evidence does, else 0; it takes the same time.
func (m mac) holds() (is int) {
	sum := m.hash.Sum(nil)
	for _, signature := range m.signatures {
		is |= subtle.ConstantTimeCompare(sum, signature)
	}
	given, want := sha256.Sum256(m.token), sha256.Sum256(m.secret)
	return is | subtle.ConstantTimeCompare(given[:], want[:])&b2i(len(m.token) > 0)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// evidenceOf finds what a delivery of a kind is signed by. There is always one, so
// that what is not signed at all takes as long as what is.
func evidenceOf(kind Kind, h http.Header, now time.Time) []evidence {
	var found []evidence
	add := func(p evidence, ok bool) {
		if ok {
			found = append(found, p)
		}
	}
	switch kind {
	case GitHub:
		add(hexEvidence(h, "X-Hub-Signature-256", "sha256="))
	case GitLab:
		add(standardEvidence(h, now))
		add(tokenEvidence(h.Get("X-Gitlab-Token")))
	case Gitea, Forgejo:
		add(hexEvidence(h, "X-Forgejo-Signature", ""))
		add(hexEvidence(h, "X-Gitea-Signature", ""))
	case Bitbucket:
		add(hexEvidence(h, "X-Hub-Signature", "sha256="))
	case Azure:
		_, password, _ := (&http.Request{Header: h}).BasicAuth()
		add(tokenEvidence(password))
	case Generic:
		add(standardEvidence(h, now))
		add(hexEvidence(h, "X-Hub-Signature-256", "sha256="))
		scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
		if strings.EqualFold(scheme, "Bearer") {
			add(tokenEvidence(strings.TrimSpace(token)))
		}
	}
	if len(found) == 0 {
		return []evidence{{}}
	}
	return found
}

func tokenEvidence(token string) (evidence, bool) {
	return evidence{token: []byte(token)}, token != ""
}

// hexEvidence is a signature in hexadecimal.
func hexEvidence(h http.Header, name, prefix string) (evidence, bool) {
	coded, ok := strings.CutPrefix(h.Get(name), prefix)
	signature, err := hex.DecodeString(coded)
	return evidence{signatures: [][]byte{signature}}, ok && err == nil && len(signature) == sha256.Size
}

// mostSignatures is how many signatures one delivery may bear, as Standard
// Webhooks allows while a secret is replaced.
const mostSignatures = 4

// standardEvidence is what https://www.standardwebhooks.com has: the id, the time
// and the body are signed.
func standardEvidence(h http.Header, now time.Time) (evidence, bool) {
	id, sent := h.Get("Webhook-Id"), h.Get("Webhook-Timestamp")
	unix, err := strconv.ParseInt(sent, 10, 64)
	if err != nil || id == "" || now.Sub(time.Unix(unix, 0)).Abs() > clockSkew {
		return evidence{}, false
	}
	p := evidence{prefix: id + "." + sent + ".", standard: true}
	for _, signature := range strings.Fields(h.Get("Webhook-Signature")) {
		coded, ok := strings.CutPrefix(signature, "v1,")
		if raw, err := base64.StdEncoding.DecodeString(coded); ok && err == nil && len(p.signatures) < mostSignatures {
			p.signatures = append(p.signatures, raw)
		}
	}
	return p, len(p.signatures) > 0
}

// eventOf finds what a genuine delivery tells of.
func eventOf(kind Kind, h http.Header) Event {
	switch kind {
	case GitHub:
		return eventNamed(h.Get("X-GitHub-Event"))
	case Gitea, Forgejo:
		return eventNamed(h.Get("X-Gitea-Event"))
	case GitLab:
		return eventNamed(h.Get("X-Gitlab-Event"))
	case Bitbucket:
		return eventNamed(h.Get("X-Event-Key"))
	}
	return EventEither
}

// eventNamed knows the words of all forges; none uses one for something else.
func eventNamed(name string) Event {
	switch name {
	case "push", "create", "delete", // GitHub, Gitea
		"Push Hook",                      // GitLab
		"repo:push", "repo:refs_changed": // Bitbucket Cloud, Data Center
		return EventPush
	case "ping", "diagnostics:ping":
		return EventPing
	case "Merge Request Hook", "pull_request", "pull_request_sync":
		return EventPull
	case "System Hook", "": // GitLab's covers everything
		return EventEither
	}
	if strings.HasPrefix(name, "pullrequest:") || strings.HasPrefix(name, "pr:") {
		return EventPull
	}
	return EventOther
}
