package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"secretsync/httpapi/console/session"
)

// API is the HTTP contract in process.
type API interface {
	// SignIn tells whose a key is. A failure is an [*Error], and counts against the
	// address as a wrong key does anywhere.
	SignIn(r *http.Request, key string) (Identity, error)
	// SignedOut takes note that somebody ended his session.
	SignedOut(r *http.Request, who Identity)
	// Do makes one call of the contract as who signed in, on behalf of a request to
	// the console; it does not fail otherwise than by its status.
	Do(r *http.Request, who Identity, call Call) Answer
	// Changed is closed when any status of the tenant may be another one.
	Changed(who Identity) <-chan struct{}
}

// Identity is a key that was right, without the key.
type Identity = session.Identity

// Call is a request of the contract.
type Call struct {
	Method string
	Path   string // below the tenant's, with the query
	Match  string // If-Match; empty: none
	Body   []byte // JSON; nil: none
}

// Answer is what the contract answers.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Error is an answer that is none of success, in its own words.
type Error struct {
	Status   int
	Sentence string
}

func (e *Error) Error() string { return e.Sentence }

// errSessionOver: the key that signed in opens nothing any more.
var errSessionOver = errors.New("the session is over")

// visit is one request of somebody who is signed in.
type visit struct {
	c   *Console
	r   *http.Request
	s   *session.Session
	who Identity
	ctx context.Context
	// status is that of a page which says why a form did nothing; 0: it did.
	status int
}

// do makes a call and decodes its answer into v, if there is one and v is not nil.
func (v *visit) do(call Call, into any) (Answer, error) {
	a := v.c.api.Do(v.r, v.who, call)
	switch {
	case a.Status == http.StatusUnauthorized:
		v.c.sessions.End(v.s)
		return a, errSessionOver
	case a.Status >= 400:
		var told struct {
			Error string `json:"error"`
		}
		if err := json.Unmarshal(a.Body, &told); err != nil || told.Error == "" {
			told.Error = "the server answered " + http.StatusText(a.Status)
		}
		return a, &Error{Status: a.Status, Sentence: told.Error}
	}
	if into == nil || len(a.Body) == 0 {
		return a, nil
	}
	if err := json.Unmarshal(a.Body, into); err != nil {
		return a, fmt.Errorf("console: an answer can't be read: %w", err)
	}
	return a, nil
}

func (v *visit) get(path string, into any) error {
	_, err := v.do(Call{Method: http.MethodGet, Path: path}, into)
	return err
}

// secretPath is where a definition is in the contract. Names were parsed: none holds
// what has to be escaped.
func secretPath(name string) string { return "/secrets/" + url.PathEscape(name) }

// isStatus reports whether an error is the contract's with that status.
func isStatus(err error, status int) bool {
	told, ok := errors.AsType[*Error](err)
	return ok && told.Status == status
}
