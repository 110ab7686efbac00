package forge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// api sends requests to a forge's REST API and sorts what comes back.
type api struct {
	base        string // without a slash at its end
	host        string
	credentials Credentials
	client      *http.Client
	timeout     time.Duration
	clock       clock.PassiveClock
	// authorize puts a token into a request's header.
	authorize func(h http.Header, token string)
	header    map[string]string // that each request carries

	mu    sync.Mutex
	until time.Time        // before which nothing is sent
	tags  map[string]entry // what was answered to a GET, by its address
}

// entry is an answer that may be asked for again.
type entry struct {
	etag  string
	value any
	more  bool
}

const (
	// maxAnswer bounds one answer: fifty pull requests of GitHub are one megabyte.
	maxAnswer = 8 << 20
	// maxTags is more than there are pages of pull requests.
	maxTags = 32
	// Between these a pause is believed.
	minPause, maxPause = time.Second, time.Hour
)

func newAPI(c Config, base string) *api {
	transport := c.Transport
	if transport == nil {
		own := http.DefaultTransport.(*http.Transport).Clone()
		own.Proxy = nil // what the environment of the server says is not for all tenants
		own.MaxResponseHeaderBytes = 64 << 10
		transport = own
	}
	a := &api{
		base: base, credentials: c.Credentials, timeout: c.Timeout, clock: c.Clock,
		client:    &http.Client{Transport: transport, CheckRedirect: neverRedirect},
		authorize: bearer, tags: map[string]entry{},
	}
	if u, err := url.Parse(base); err == nil {
		a.host = u.Host
	}
	if a.timeout == 0 {
		a.timeout = defaultTimeout
	}
	if a.clock == nil {
		a.clock = clock.RealClock{}
	}
	return a
}

// neverRedirect has the redirect itself be the answer. Followed, a POST would
// become a GET, which would look like a success; and a token is for one host.
func neverRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func bearer(h http.Header, token string) { h.Set("Authorization", "Bearer "+token) }

// apiBase is the address that the paths of a forge's API come behind. A path that
// the forge's own address has is taken off the repository's.
func apiBase(c Config, at project) (string, project, error) {
	address := c.URL
	if address == "" {
		address = usualBase(c.Kind, at)
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return "", at, errors.New("the forge's URL is none; write one such as https://forge.example.org")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", at, errors.New("the forge's URL has a password, a query or a fragment; write scheme, host and path alone")
	}
	if u.Scheme == "http" && !c.Insecure && !loopback(u.Hostname()) {
		return "", at, errors.New("the forge's URL is plain http, which shows the token to everybody on the way; use https, or say insecure: true")
	}
	path := strings.Trim(u.Path, "/")
	suffix := map[Kind]string{GitHub: "api/v3", GitLab: "api/v4", Gitea: "api/v1", Forgejo: "api/v1", Bitbucket: "2.0"}[c.Kind]
	if c.Kind == GitHub && strings.HasPrefix(u.Host, "api.") {
		suffix = "" // github.com, and the clouds of GitHub Enterprise
	}
	site := strings.Trim(strings.TrimSuffix(path, suffix), "/")
	if u.Hostname() == at.host && site != "" {
		at.path = strings.TrimPrefix(at.path, site+"/")
	}
	return strings.TrimRight(u.Scheme+"://"+u.Host+"/"+strings.Trim(site+"/"+suffix, "/"), "/"), at, nil
}

func usualBase(kind Kind, at project) string {
	switch known, _ := KindOf(at.host); {
	case kind == GitHub && known == GitHub:
		return "https://api.github.com"
	case kind == Bitbucket && known == Bitbucket:
		return "https://api.bitbucket.org"
	case kind == Azure && known == Azure:
		return "https://" + azureHost
	case known == kind:
		return "https://" + strings.TrimPrefix(at.host, "altssh.")
	}
	scheme, host := "https", at.host
	if at.scheme == "http" {
		scheme = "http"
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if at.port != "" {
		host += ":" + at.port
	}
	return scheme + "://" + host
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// send does a request with a JSON body, if in is not nil, and decodes the answer
// into out, if that is not nil.
func (a *api) send(ctx context.Context, what, method, path string, query url.Values, in, out any) error {
	_, err := a.do(ctx, what, method, path, query, in, out, "")
	return err
}

// page gets one page of a list, and tells whether its header names a next one.
// What did not change since it was asked for last is not sent again.
func page[T any](ctx context.Context, a *api, what, path string, query url.Values) (list T, more bool, err error) {
	address := path + "?" + query.Encode()
	a.mu.Lock()
	known := a.tags[address]
	a.mu.Unlock()
	header, err := a.do(ctx, what, http.MethodGet, path, query, nil, &list, known.etag)
	if errors.Is(err, errNotModified) {
		return known.value.(T), known.more, nil
	}
	if err != nil {
		return list, false, err
	}
	more = hasNext(header)
	if etag := header.Get("Etag"); etag != "" {
		a.mu.Lock()
		defer a.mu.Unlock()
		if len(a.tags) >= maxTags {
			clear(a.tags)
		}
		a.tags[address] = entry{etag, list, more}
	}
	return list, more, nil
}

// hasNext reports whether an answer's Link field (RFC 8288) names a next page.
// Where that lies is not asked: pages are counted.
func hasNext(h http.Header) bool {
	return strings.Contains(strings.Join(h["Link"], ","), `rel="next"`)
}

var errNotModified = errors.New("not modified")

func (a *api) do(ctx context.Context, what, method, path string, query url.Values, in, out any, etag string) (http.Header, error) {
	fail := func(kind, cause error) error { return &Error{Host: a.host, What: what, Kind: kind, cause: cause} }
	if pause := a.pause(); pause > 0 {
		return nil, &Error{Host: a.host, What: what, Kind: ErrThrottled, Pause: pause}
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return nil, fail(ErrRefused, err)
		}
	}
	for again := false; ; again = true {
		token, err := a.credentials.Token(ctx)
		if err != nil {
			if e, ok := errors.AsType[*Error](err); ok { // of the request for a token
				return nil, e
			}
			if ctx.Err() != nil { // others were buying one
				return nil, fail(ErrUnavailable, err)
			}
			return nil, fail(ErrDenied, err)
		}
		response, err := a.request(ctx, method, path, query, body, etag, token)
		if err != nil {
			return nil, fail(ErrUnavailable, err)
		}
		header, err := a.read(response, what, token, out)
		// A token that was made for a time may be dead before it.
		perishable, ok := a.credentials.(interface{ forget(token string) })
		if e, isError := errors.AsType[*Error](err); ok && !again && isError && e.Status == http.StatusUnauthorized {
			perishable.forget(token)
			continue
		}
		return header, err
	}
}

func (a *api) request(ctx context.Context, method, path string, query url.Values, body []byte, etag, token string) (*http.Response, error) {
	address := a.base + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, withoutAddress(err)
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "secretsync")
	for name, value := range a.header {
		request.Header.Set(name, value)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if etag != "" {
		request.Header.Set("If-None-Match", etag)
	}
	a.authorize(request.Header, token)
	response, err := a.client.Do(request)
	return response, withoutAddress(err)
}

// withoutAddress leaves out the method and the address, which the error around it
// tells in other words.
func withoutAddress(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// read sorts an answer, and decodes it if it is a success.
func (a *api) read(response *http.Response, what, token string, out any) (http.Header, error) {
	defer response.Body.Close()
	e := &Error{Host: a.host, What: what, Status: response.StatusCode}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	success := response.StatusCode >= 200 && response.StatusCode < 300
	switch {
	case response.StatusCode == http.StatusNotModified:
		return response.Header, errNotModified
	case err != nil:
		e.Kind, e.cause = ErrUnavailable, withoutAddress(err)
		return nil, e
	case len(body) > maxAnswer:
		e.Kind, e.Words = ErrUnavailable, fmt.Sprintf("the answer is over %d MiB", maxAnswer>>20)
		return nil, e
	case success && out == nil:
		return response.Header, nil
	case success:
		if err := json.Unmarshal(body, out); err != nil {
			e.Kind, e.Words = ErrUnavailable, "the answer is not the JSON that is wanted; is the forge's URL right?"
			return nil, e
		}
		return response.Header, nil
	}
	if e.Words = words(body); token != "" {
		e.Words = strings.ReplaceAll(e.Words, token, "[token]")
	}
	e.Words = clean(e.Words)
	if pause, ok := a.pauseOf(response); ok {
		e.Kind, e.Pause = ErrThrottled, pause
		a.mu.Lock()
		a.until = a.clock.Now().Add(pause)
		a.mu.Unlock()
		return nil, e
	}
	if e.Kind = kindOfStatus(response.StatusCode); response.StatusCode >= 300 && response.StatusCode < 400 {
		e.Kind, e.Words = ErrRefused, "it has moved; write its new address into the configuration"
		if response.StatusCode == http.StatusFound { // to a page to log in at: Azure DevOps, GitLab
			e.Kind, e.Words = ErrDenied, "it asks to log in"
		}
	}
	return nil, e
}

// pause is how long nothing is sent yet.
func (a *api) pause() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.until.Sub(a.clock.Now())
}

// pauseOf tells whether an answer asks for a pause, and for how long. GitHub says
// 403 as well, with Retry-After or with no request left until a time.
func (a *api) pauseOf(response *http.Response) (time.Duration, bool) {
	h := response.Header
	left := h.Get("X-RateLimit-Remaining")
	switch response.StatusCode {
	case http.StatusTooManyRequests:
	case http.StatusServiceUnavailable:
		if h.Get("Retry-After") == "" {
			return 0, false
		}
	case http.StatusForbidden:
		if h.Get("Retry-After") == "" && left != "0" {
			return 0, false
		}
	default:
		return 0, false
	}
	now := a.clock.Now()
	pause := time.Minute // as GitHub's documentation advises where nothing is said
	if s := h.Get("Retry-After"); s != "" {
		if n, err := strconv.Atoi(s); err == nil {
			pause = time.Duration(min(max(n, 0), int(maxPause/time.Second))) * time.Second
		} else if at, err := http.ParseTime(s); err == nil {
			pause = at.Sub(now)
		}
	} else {
		for _, name := range []string{"X-RateLimit-Reset", "RateLimit-Reset"} {
			if n, err := strconv.ParseInt(h.Get(name), 10, 64); err == nil && n > 1<<30 {
				pause = time.Unix(n, 0).Sub(now)
				break
			}
		}
	}
	return min(max(pause, minPause), maxPause), true
}

// words finds what a forge says in an answer that is no success: each has a form
// of its own for that.
func words(body []byte) string {
	var answer any
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	var said []string
	var visit func(v any, depth int)
	visit = func(v any, depth int) {
		if depth > 4 || len(said) > 8 {
			return
		}
		switch v := v.(type) {
		case string:
			said = append(said, v)
		case []any:
			for _, each := range v {
				visit(each, depth+1)
			}
		case map[string]any:
			plain := true
			for _, name := range []string{"message", "error", "error_description", "detail", "errors"} {
				if each, ok := v[name]; ok {
					plain = false
					visit(each, depth+1)
				}
			}
			if plain && depth > 0 { // GitLab: {"message": {"title": ["is too long"]}}
				for _, name := range slices.Sorted(maps.Keys(v)) {
					if list, ok := v[name].([]any); ok {
						said = append(said, name)
						visit(list, depth+1)
					}
				}
			}
		}
	}
	visit(answer, 0)
	return strings.Join(said, ": ")
}

// segment escapes one segment of a path.
func segment(s string) string { return url.PathEscape(s) }

// startsWith reports whether a comment begins with a mark, whatever white space
// the forge put before it.
func startsWith(body, mark string) bool { return strings.HasPrefix(strings.TrimSpace(body), mark) }

// sameText compares as forges keep text: the end of lines and of the text is
// theirs.
func sameText(a, b string) bool {
	normal := func(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")) }
	return normal(a) == normal(b)
}
