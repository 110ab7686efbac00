package telemetry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// How long is waited between attempts at a batch, if the collector does not say.
const (
	firstPause   = time.Second
	longestPause = 15 * time.Second
)

// laterError is of a batch that may be taken later.
type laterError struct {
	error
	after time.Duration // as the collector says; 0: it does not
}

func (e *laterError) Unwrap() error { return e.error }

// send posts a batch until it is taken or refused, for [keepTrying] at most. It returns what
// the collector says of what it took.
func (e *exporter) send(ctx context.Context, body []byte) (partial, error) {
	waited := time.Duration(0)
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		said, err := e.post(ctx, body)
		if err == nil {
			return said, nil
		}
		e.tellFailing(err)
		later, ok := errors.AsType[*laterError](err)
		if !ok {
			return partial{}, err
		}
		wait := later.after
		if wait == 0 {
			wait = pause/2 + rand.N(pause) // so that not all come back at once
		}
		if waited += wait; waited > keepTrying || e.pause(ctx, wait) != nil {
			return partial{}, err
		}
	}
}

// sleep waits, unless the batch has no more time or the program ends.
func (e *exporter) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-e.ending.Done():
		return e.ending.Err()
	}
}

// judge makes an error of an answer that does not take the batch. Which ones may take it
// later is the specification's: OTLP/HTTP, "Retryable Response Codes".
func judge(answer *http.Response, now time.Time) error {
	err := fmt.Errorf("it answers %s", answer.Status)
	switch answer.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return &laterError{err, retryAfter(answer.Header.Get("Retry-After"), now)}
	}
	return err
}

// retryAfter reads the header: seconds, or a time (RFC 9110, section 10.2.3). 0: it says
// nothing that can be understood.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 16); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
