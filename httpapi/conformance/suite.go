// Package conformance holds any server of the HTTP contract to each sentence of
// it, from outside. It shares nothing with the server: what the contract says is
// written down here a second time, as a client reads it.
package conformance

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Suite is the suite with the server that it is run against. It leaves behind
// nothing but the commits of what it created and deleted again, and all its
// targets name a cluster that nobody has, so nothing is synced anywhere.
type Suite struct {
	URL    string // of the server, such as https://secretsync.example.org
	Tenant string
	Key    string       // an admin key of that tenant
	Client *http.Client // nil: one with a timeout of 30 s
}

// Check is the outcome of one check: what was held against the server, and
// what was found if it is not so.
type Check struct {
	Name string // a sentence
	Err  error  // nil: it holds
}

// Run performs every check, in order, and reports each as it ends. It fails
// only where the suite can't be run at all, such as with a key that is not
// accepted; failed tells how many checks did.
func (c *Suite) Run(ctx context.Context, report func(Check)) (failed int, err error) {
	client := c.Client
	if client == nil {
		client = &http.Client{Timeout: 30 * time.Second}
	}
	// The suite judges redirects, it does not follow them.
	plain := *client
	plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	run := &probe{
		ctx: ctx, client: &plain, base: strings.TrimRight(c.URL, "/"), tenant: c.Tenant, key: c.Key,
		prefix: "conformance-" + randomHex(4) + "-",
	}
	if err := run.admit(); err != nil {
		return 0, err
	}
	defer run.cleanUp()
	for _, check := range checks {
		if ctx.Err() != nil {
			return failed, ctx.Err()
		}
		err := run.check(check.run)
		if err != nil {
			failed++
		}
		report(Check{check.name, err})
	}
	return failed, nil
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// sentence is one of the contract, and how it is checked.
type sentence struct {
	name string
	run  func(*probe)
}

// checks is the suite; the other files hold its parts.
var checks = slices.Concat(secretChecks, conditionChecks, batchChecks, shapeChecks, inputChecks, accessChecks, otherChecks)

// probe makes requests on behalf of checks. A check that can't go on ends by
// panicking with stop, which check recovers.
type probe struct {
	ctx              context.Context
	client           *http.Client
	base             string
	tenant, key      string
	prefix           string // of the names of definitions made by this run
	serial           int
	created, keysNew []string // to be removed at the end
	found            []error  // by the running check
}

type stop struct{}

func (p *probe) check(run func(*probe)) (err error) {
	p.found = nil
	defer func() {
		if v := recover(); v != nil && v != (stop{}) {
			panic(v)
		}
		err = errors.Join(p.found...)
	}()
	run(p)
	return nil // replaced above
}

// bad records what does not hold and goes on.
func (p *probe) bad(format string, args ...any) {
	p.found = append(p.found, fmt.Errorf(format, args...))
}

// fatal records it and ends the check.
func (p *probe) fatal(format string, args ...any) {
	p.bad(format, args...)
	panic(stop{})
}

func (p *probe) admit() error {
	return p.check(func(p *probe) {
		if r := p.get(""); r.status != http.StatusOK {
			p.fatal("GET /tenants/%s with the given key answers %d: %s; the suite needs an admin key of that tenant", p.tenant, r.status, r.body)
		}
	})
}

// cleanUp removes what checks left, also when the run was cancelled.
func (p *probe) cleanUp() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), time.Minute)
	defer cancel()
	p.ctx = ctx
	_ = p.check(func(p *probe) { // best effort: the run's outcome stands already
		for _, name := range p.created {
			p.call(http.MethodDelete, "/secrets/"+name, "")
		}
		for _, id := range p.keysNew {
			p.call(http.MethodDelete, "/apikeys/"+id, "")
		}
	})
}

const (
	maxBody    = 1 << 20 // the greatest length of a request's body in bytes
	maxTargets = 100     // as many as a definition may have
)

// splitKey takes a key apart, as the contract writes it: kupe_<id>_<secret>.
func splitKey(key string) (id, secret string, ok bool) {
	rest, ok := strings.CutPrefix(key, "kupe_")
	if !ok {
		return "", "", false
	}
	id, secret, ok = strings.Cut(rest, "_")
	return id, secret, ok && secret != ""
}

// name makes a name that no definition bears yet.
func (p *probe) name() string {
	p.serial++
	return fmt.Sprintf("%s%d", p.prefix, p.serial)
}

// target makes a target that no definition claims, as JSON.
func (p *probe) target() string {
	p.serial++
	return fmt.Sprintf(`{"cluster":"conformance-nowhere","namespace":"%s%d"}`, p.prefix, p.serial)
}

// reply is an answer read whole.
type reply struct {
	call   string
	status int
	header http.Header
	body   []byte
}

// call makes a request below /api/v1/tenants/{tenant} with the admin key. A
// body that is not empty is sent as JSON. A header given replaces one of ours;
// "Name:" removes it.
func (p *probe) call(method, path, body string, extra ...string) reply {
	return p.send(method, "/api/v1/tenants/"+p.tenant+path, body, extra...)
}

func (p *probe) get(path string, extra ...string) reply {
	return p.call(http.MethodGet, path, "", extra...)
}

// send makes a request below the base URL, which may be off: the path is sent
// as it stands. A server that says we ask too much is obeyed.
func (p *probe) send(method, path, body string, extra ...string) reply {
	for {
		r := p.sendOnce(method, path, body, extra...)
		if r.status != http.StatusTooManyRequests {
			return r
		}
		wait, err := strconv.Atoi(r.header.Get("Retry-After"))
		if err != nil || wait < 1 {
			p.fatal("%s: 429 with Retry-After %q", r.call, r.header.Get("Retry-After"))
		}
		select {
		case <-time.After(time.Duration(wait) * time.Second):
		case <-p.ctx.Done():
			p.fatal("%s: %v", r.call, p.ctx.Err())
		}
	}
}

func (p *probe) sendOnce(method, path, body string, extra ...string) reply {
	r, err := http.NewRequestWithContext(p.ctx, method, p.base+path, strings.NewReader(body))
	if err != nil {
		p.fatal("%s %s: %v", method, path, err)
	}
	r.Header.Set("Authorization", "Bearer "+p.key)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range extra {
		name, value, _ := strings.Cut(line, ":")
		r.Header.Del(name)
		if value = strings.TrimSpace(value); value != "" {
			r.Header.Set(name, value)
		}
	}
	response, err := p.client.Do(r)
	if err != nil {
		p.fatal("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		p.fatal("%s %s: %v", method, path, err)
	}
	reply := reply{call: method + " " + path, status: response.StatusCode, header: response.Header, body: content}
	p.everyAnswer(method, reply)
	return reply
}

// everyAnswer checks what the contract says of every answer.
func (p *probe) everyAnswer(method string, r reply) {
	if r.header.Get("X-Request-Id") == "" {
		p.bad("%s: no X-Request-Id", r.call)
	}
	if r.status < 400 || method == http.MethodHead {
		return
	}
	var e map[string]string
	if err := json.Unmarshal(r.body, &e); err != nil || len(e) != 1 || e["error"] == "" {
		p.bad(`%s: %d answers %q; want {"error": "<sentence>"}`, r.call, r.status, r.body)
	}
	if got := r.header.Get("Content-Type"); !strings.HasPrefix(got, "application/json") {
		p.bad("%s: %d has Content-Type %q", r.call, r.status, got)
	}
	for status, header := range map[int]string{401: "WWW-Authenticate", 405: "Allow", 429: "Retry-After", 503: "Retry-After"} {
		if r.status == status && r.header.Get(header) == "" {
			p.bad("%s: %d without %s", r.call, status, header)
		}
	}
}

// want ends the check unless the reply has the status.
func (p *probe) want(r reply, status int) reply {
	if r.status != status {
		p.fatal("%s: %d %s; want %d", r.call, r.status, bytes.TrimSpace(r.body), status)
	}
	return r
}

// refused records if the reply is not the error wanted, whose sentence tells
// what is given in says.
func (p *probe) refused(r reply, status int, says ...string) {
	if r.status != status {
		p.bad("%s: %d %s; want %d", r.call, r.status, bytes.TrimSpace(r.body), status)
		return
	}
	for _, s := range says {
		if !bytes.Contains(r.body, []byte(s)) {
			p.bad("%s: %s does not say %q", r.call, bytes.TrimSpace(r.body), s)
		}
	}
}

// decode reads the reply's body into v and ends the check if it does not fit,
// fields that v does not know included.
func (p *probe) decode(r reply, v any) {
	d := json.NewDecoder(bytes.NewReader(r.body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		p.fatal("%s: %v in %s", r.call, err, r.body)
	}
	if _, err := d.Token(); err != io.EOF {
		p.bad("%s: something follows the JSON value: %s", r.call, r.body)
	}
}

// create makes a definition that is removed at the end of the run.
func (p *probe) create(sync string) SecretBody {
	name := p.name()
	p.created = append(p.created, name)
	r := p.want(p.call(http.MethodPost, "/secrets", fmt.Sprintf(`{"name":%q,"secretPath":"conformance/%s","sync":%s}`, name, name, sync)), http.StatusCreated)
	return p.secret(r)
}

// read gets a definition.
func (p *probe) read(name string) SecretBody {
	return p.secret(p.want(p.get("/secrets/"+name), http.StatusOK))
}

func (p *probe) secret(r reply) (s SecretBody) {
	p.decode(r, &s)
	return s
}

// The bodies of the contract, as a client reads them.
type (
	// SecretBody is a definition.
	SecretBody struct {
		Name       string       `json:"name"`
		SecretPath string       `json:"secretPath"`
		Sync       []targetBody `json:"sync"`
		Status     statusBody   `json:"status"`
		// What a definition may say besides; absent where it does not.
		Type            *string           `json:"type"`
		Mode            *string           `json:"mode"`
		Data            json.RawMessage   `json:"data"`
		Labels          map[string]string `json:"labels"`
		Annotations     map[string]string `json:"annotations"`
		DeletionPolicy  *string           `json:"deletionPolicy"`
		Suspend         *bool             `json:"suspend"`
		RefreshInterval *string           `json:"refreshInterval"`
		ResourceVersion string            `json:"resourceVersion"`
		CreatedAt       string            `json:"createdAt"`
	}
	targetBody struct {
		Cluster    string          `json:"cluster"`
		Namespace  string          `json:"namespace"`
		SecretName *string         `json:"secretName"`
		Selector   json.RawMessage `json:"namespaceSelector"`
		Restart    []string        `json:"restart"`
	}
	statusBody struct {
		Phase      string `json:"phase"`
		Conditions []struct {
			Type               string `json:"type"`
			Status             string `json:"status"`
			Reason             string `json:"reason"`
			Message            string `json:"message"`
			LastTransitionTime string `json:"lastTransitionTime"`
		} `json:"conditions"`
		SyncStatuses []struct {
			Cluster      string          `json:"cluster"`
			Namespace    string          `json:"namespace"`
			Selector     json.RawMessage `json:"namespaceSelector"`
			Restarts     json.RawMessage `json:"restarts"`
			SecretName   string          `json:"secretName"`
			State        string          `json:"state"`
			Reason       string          `json:"reason"`
			Message      string          `json:"message"`
			LastSyncTime string          `json:"lastSyncTime"`
			VaultVersion int             `json:"vaultVersion"`
			Commit       string          `json:"commit"`
			Observed     string          `json:"observedRevision"`
		} `json:"syncStatuses"`
	}
	// KeyBody is an API key; Key stands only in the answer that made it.
	KeyBody struct {
		ID          string `json:"id"`
		DisplayName string `json:"displayName"`
		Role        string `json:"role"`
		CreatedBy   string `json:"createdBy"`
		CreatorKey  string `json:"createdByKey"`
		CreatedAt   string `json:"createdAt"`
		LastUsedAt  string `json:"lastUsedAt"`
		ExpiresAt   string `json:"expiresAt"`
		Key         string `json:"key"`
	}
)
