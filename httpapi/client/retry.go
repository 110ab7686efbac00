package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"
)

const (
	// defaultPatience is how long a request is repeated if nobody says otherwise.
	defaultPatience = 30 * time.Second
	// firstPause is how long the server is left alone after a first failure that does
	// not say how long; it doubles, up to longestPause.
	firstPause   = 250 * time.Millisecond
	longestPause = 5 * time.Second
	// mostWithoutAnswer is how often a server is tried that does not answer at all: it
	// may not be there.
	mostWithoutAnswer = 3
)

// brokenError is an answer that did not come whole.
type brokenError struct{ error }

func (e *brokenError) Unwrap() error { return e.error }

// do makes a request, and repeats it as [Client.Patience] says.
func (c *Client) do(ctx context.Context, of *call) (*answer, error) {
	var body []byte
	if of.in != nil {
		var err error
		if body, err = json.Marshal(of.in); err != nil {
			return nil, err
		}
	}
	patience := c.Patience
	if patience == 0 {
		patience = defaultPatience
	}
	end := time.Now().Add(patience)
	unclear := false
	for tries, pause := 1, firstPause; ; tries, pause = tries+1, min(2*pause, longestPause) {
		a, err := c.once(ctx, of, body)
		if err == nil {
			return a, nil
		}
		told, _ := errors.AsType[*Error](err)
		if told != nil {
			told.Repeated = unclear
		}
		outcome := outcomeOf(err, told)
		switch {
		case ctx.Err() != nil, outcome == settled, outcome == open && !of.repeatable(), told == nil && tries == mostWithoutAnswer:
			if told == nil && outcome == open && !of.repeatable() {
				err = fmt.Errorf("%w; whether it was done nevertheless is not known: look what stands before you ask again", err)
			}
			return nil, err
		}
		unclear = unclear || outcome == open
		// A little more than is asked for, so that those who were told the same at
		// the same time don't come back at the same time.
		asked := pause
		if told != nil {
			if d, ok := RetryAfter(told.Header, time.Now()); ok {
				asked = d
			}
		}
		asked += rand.N(pause/2 + 1)
		if time.Now().Add(asked).After(end) {
			return nil, err
		}
		if c.Waiting != nil {
			c.Waiting(err, asked)
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(asked):
		}
	}
}

// repeatable reports whether a request may be made again after one of no clear
// outcome.
func (of *call) repeatable() bool {
	return of.safe || of.method == http.MethodGet || of.header.Get("If-Match") != ""
}

// outcome is what is known of a request that failed.
type outcome int

const (
	settled outcome = iota // the same again would come to the same
	undone                 // nothing was done, and it may do better later
	open                   // it may have been done or not
)

// undoneHeader is in an answer of 503, such as while the tenant comes to another replica,
// if the request surely was not done.
const undoneHeader = "X-Secretsync-Undone"

func outcomeOf(err error, told *Error) outcome {
	if told != nil {
		if told.Header.Get(undoneHeader) == "true" {
			return undone
		}
		switch told.Status {
		case http.StatusTooManyRequests:
			return undone
		case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return open
		}
		return settled
	}
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
			return settled // a name that does not exist
		}
		return undone
	}
	if _, broken := errors.AsType[*brokenError](err); broken {
		return open
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		if _, isNet := errors.AsType[net.Error](wrapped.Err); isNet || isBroken(wrapped.Err) {
			return open
		}
	}
	return settled // no URL, a certificate that nobody vouches for
}

// RetryAfter returns how long an answer's Retry-After asks to wait, in either of its
// two forms: seconds, or a time.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	value := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now)), true
	}
	return 0, false
}

// isBroken reports whether a connection ended before an answer came.
func isBroken(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
