package event

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/vault/access"
)

// At is where notifications are had, as policies name it.
const At = "sys/events/subscribe/kv*"

// maxSize bounds a notification, in bytes.
const maxSize = 256 << 10

// Ending is why a connection ended, or none came.
type Ending uint8

// The endings.
const (
	Lost        Ending = iota // it may be made again
	Unsupported               // the vault has no such thing
	Unallowed                 // the policy forbids it
)

// Subscribe opens a connection over which the vault tells of every change in its
// KV engines that the token may know of. conn is nil where that fails: then why says what
// to do about it, and detail is for the log.
func Subscribe(ctx context.Context, c *access.Client, token string) (conn *websocket.Conn, why Ending, detail string) {
	within, cancel := context.WithTimeout(ctx, c.Config.Within())
	defer cancel()
	header := http.Header{"X-Vault-Request": {"true"}, "X-Vault-Token": {token}}
	if n := strings.Trim(c.Config.Namespace, "/"); n != "" {
		header["X-Vault-Namespace"] = []string{n}
	}
	to := c.URL(At)
	to.RawQuery = "json=true"
	began := time.Now() // of a request's duration, which no clock of a test decides
	outcome := "ok"
	for redirected := false; ; redirected = true {
		conn, answer, err := websocket.Dial(within, to.String(), &websocket.DialOptions{HTTPClient: c.Way.HTTP, HTTPHeader: header})
		if err == nil {
			conn.SetReadLimit(maxSize)
			c.Told("events", outcome, began)
			return conn, Lost, ""
		}
		status := 0
		if answer != nil {
			status = answer.StatusCode
			if next, ok := access.Redirected(to, status, answer.Header); ok && !redirected {
				to = next
				continue
			}
		}
		switch {
		case errors.Is(ctx.Err(), context.Canceled):
			return nil, Lost, ""
		case status == http.StatusForbidden:
			why, outcome = Unallowed, string(fault.ReasonVaultForbidden)
		case status/100 == 2, status == http.StatusBadRequest, status == http.StatusNotFound, status == http.StatusMethodNotAllowed, status == http.StatusNotImplemented:
			why, outcome = Unsupported, "unsupported"
		case status == http.StatusTooManyRequests:
			outcome = "throttled"
		default:
			outcome = string(fault.ReasonVaultUnavailable)
		}
		c.Told("events", outcome, began)
		return nil, why, fault.Clean(err.Error())
	}
}
