package console

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// restless is an API in which something changes as often as it is asked, up to a number.
type restless struct {
	mu      sync.Mutex
	left    int
	changed chan struct{}
}

func (*restless) SignIn(*http.Request, string) (Identity, error) { return Identity{}, nil }
func (*restless) SignedOut(*http.Request, Identity)              {}
func (a *restless) Do(*http.Request, Identity, Call) Answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.left > 0 {
		a.left--
		close(a.changed)
		a.changed = make(chan struct{})
	}
	return Answer{Status: http.StatusOK}
}
func (a *restless) Changed(Identity) <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.changed
}

// A change that came while the one before was told was not told: the page stayed as it
// was until something else happened.
func TestWhatChangesWhileAChangeIsToldIsToldAsWell(t *testing.T) {
	a := &restless{left: 2, changed: make(chan struct{})}
	c, err := New(a, time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, cookie := c.sessions.Begin(Identity{Tenant: "acme", KeyID: "ak-one"})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.Serve(w, r, false) }))
	t.Cleanup(server.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/console/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: "secretsync", Value: cookie})
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	told := 0
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		switch lines.Text() {
		case "retry: 5000":
			a.Do(nil, Identity{}, Call{})
		case "event: change":
			if told++; told == 2 {
				return
			}
		}
	}
	t.Errorf("%d of 2 changes were told: %v", told, lines.Err())
}
