package remote

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// shortestPause is for how long a host is left alone that doesn't say for how long.
const shortestPause = 30 * time.Second

// pauseOf returns for how long a host wants to be left alone that has refused a
// request. It is said by status 429; by 503 with Retry-After; and by 403 where a
// rate limit is used up, or with Retry-After, as GitHub does it.
func pauseOf(res *http.Response, now time.Time) (time.Duration, bool) {
	after, said := retryAfter(res.Header, now)
	if pause, ok := limitReached(res.Header, now); ok && !said {
		after, said = pause, true
	}
	switch res.StatusCode {
	case http.StatusTooManyRequests:
		if !said {
			after = shortestPause
		}
		return after, true
	case http.StatusServiceUnavailable, http.StatusForbidden:
		return after, said
	}
	return 0, false
}

// retryAfter reads Retry-After, seconds or a date (RFC 9110, 10.2.3).
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return max(time.Second, time.Duration(seconds)*time.Second), true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(time.Second, at.Sub(now)), true
	}
	return 0, false
}

// limitReached reads X-RateLimit-Remaining and -Reset as GitHub and Gitea send
// them, and RateLimit-… as GitLab does. A reset is a time, in seconds since
// 1970; a small number is taken for seconds from now, as some have it.
func limitReached(h http.Header, now time.Time) (time.Duration, bool) {
	for _, prefix := range []string{"X-RateLimit-", "RateLimit-"} {
		if remaining, err := strconv.ParseInt(h.Get(prefix+"Remaining"), 10, 64); err != nil || remaining > 0 {
			continue
		}
		reset, err := strconv.ParseInt(h.Get(prefix+"Reset"), 10, 40)
		switch {
		case err != nil || reset < 0:
			return shortestPause, true
		case reset < 1e9:
			return max(time.Second, time.Duration(reset)*time.Second), true
		}
		return max(time.Second, time.Unix(reset, 0).Sub(now)), true
	}
	return 0, false
}
