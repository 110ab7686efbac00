package access

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"secretsync/reconcile/fault"
)

// Every status and cause, what it is taken for, and whether nobody has to act.
func TestEveryAnswerHasItsReason(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		header http.Header
		kind   Kind
		reason fault.Reason
		again  bool
		after  time.Duration
		says   string
	}{
		{name: "a bad request of a standby that does not know the token yet", status: 400, body: `{"errors":["missing client token"]}`, kind: Doubtful, reason: fault.ReasonVaultUnavailable, again: true, says: "answered 400"},
		{name: "a mount that is being upgraded", status: 400, body: `{"errors":["Upgrading from non-versioned to versioned data. This backend will be unavailable for a brief period and will resume service shortly."]}`, kind: Doubtful, reason: fault.ReasonVaultUnavailable, again: true, says: "being upgraded"},
		{name: "plain HTTP to Go's TLS port", status: 400, body: "Client sent an HTTP request to an HTTPS server.\n", kind: Doubtful, reason: fault.ReasonVaultUnavailable, again: true, says: "HTTPS, not plain HTTP"},
		{name: "plain HTTP to nginx's TLS port", status: 400, body: "<html>The plain HTTP request was sent to HTTPS port</html>", kind: Doubtful, reason: fault.ReasonVaultUnavailable, again: true, says: "HTTPS, not plain HTTP"},
		{name: "a proxy that wants a login", status: 401, body: "<html>", kind: Denied, reason: fault.ReasonVaultForbidden, says: "something before Vault answered 401"},
		{name: "not authorized", status: 401, body: `{"errors":["x"]}`, kind: Denied, reason: fault.ReasonVaultForbidden, says: `allow "read" on it`},
		{name: "the policy says no", status: 403, body: `{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`, kind: Denied, reason: fault.ReasonVaultForbidden, says: `allow "read" on it`},
		{name: "the token is refused", status: 403, body: `{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}`, kind: InvalidToken, reason: fault.ReasonVaultForbidden, says: "token"},
		{name: "a firewall's page", status: 403, body: "<html>blocked</html>", kind: Denied, reason: fault.ReasonVaultForbidden, says: "something before Vault answered 403"},
		{name: "a method that is not there", status: 405, body: `{"errors":["unsupported operation"]}`, kind: Answered, reason: fault.ReasonVaultForbidden, says: "check the tenant's vault settings"},
		{name: "a request that took too long to arrive", status: 408, kind: Doubtful, reason: fault.ReasonVaultUnavailable, again: true},
		{name: "gone", status: 410, kind: Answered, reason: fault.ReasonVaultForbidden},
		{name: "a node that lags behind", status: 412, kind: Doubtful, reason: fault.ReasonVaultUnavailable, again: true},
		{name: "a path that is too long", status: 414, kind: Answered, reason: fault.ReasonVaultForbidden},
		{name: "a misdirected request", status: 421, kind: Doubtful, reason: fault.ReasonVaultUnavailable, again: true},
		{name: "too early", status: 425, kind: Doubtful, reason: fault.ReasonVaultUnavailable, again: true},
		{name: "too many requests", status: 429, header: http.Header{"Retry-After": {"7"}}, kind: Throttled, reason: fault.ReasonVaultUnavailable, again: true, after: 7 * time.Second},
		{name: "too many requests for long", status: 429, header: http.Header{"Retry-After": {"86400"}}, kind: Throttled, reason: fault.ReasonVaultUnavailable, again: true, after: time.Minute},
		{name: "too many requests until a date", status: 429, header: http.Header{"Retry-After": {"Wed, 21 Oct 2026 07:28:00 GMT"}}, kind: Throttled, reason: fault.ReasonVaultUnavailable, again: true},
		{name: "a disaster recovery standby", status: 472, kind: Doubtful, reason: fault.ReasonVaultUnavailable, again: true},
		{name: "a performance standby", status: 473, kind: Doubtful, reason: fault.ReasonVaultUnavailable, again: true},
		{name: "an error of its own", status: 500, body: `{"errors":["1 error occurred:\n\t* internal error\n\n"]}`, kind: Doubtful, reason: fault.ReasonVaultUnavailable, again: true},
		{name: "a gateway without Vault", status: 502, body: "<html>10.1.2.3 refused", kind: Doubtful, reason: fault.ReasonVaultUnavailable, again: true},
		{name: "sealed", status: 503, body: `{"errors":["Vault is sealed"]}`, header: http.Header{"Retry-After": {"3"}}, kind: Doubtful, reason: fault.ReasonVaultUnavailable, again: true, after: 3 * time.Second, says: "sealed"},
		{name: "unavailable", status: 503, kind: Doubtful, reason: fault.ReasonVaultUnavailable, again: true},
		{name: "a gateway that waited in vain", status: 504, kind: Doubtful, reason: fault.ReasonVaultUnavailable, again: true},
		{name: "sent elsewhere once too often", status: 307, kind: Doubtful, reason: fault.ReasonVaultUnavailable, again: true},
		{name: "a status that nobody knows", status: 499, kind: Doubtful, reason: fault.ReasonVaultUnavailable, again: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answer := &Reply{Status: test.status, header: test.header, Body: bytes.NewBufferString(test.body)}
			f := explain(answer, &Request{What: "secret/acme/db"})
			if f.Kind != test.kind || f.Reason != test.reason || f.Again != test.again || f.After != test.after || f.State != fault.Error || f.status != test.status {
				t.Errorf("%+v", f)
			}
			if !strings.Contains(f.Message, test.says) || !strings.Contains(f.Detail, fmt.Sprint(test.status)) {
				t.Errorf("message %q, detail %q", f.Message, f.Detail)
			}
			for _, foreign := range []string{"10.1.2.3", "errors occurred", "<html", "\n"} {
				if strings.Contains(f.Message, foreign) {
					t.Errorf("the message passes on what the other side said: %q", f.Message)
				}
			}
		})
	}
}

func TestEveryCauseBelowHTTPIsToldWithoutTheNetworkBehindIt(t *testing.T) {
	dial := func(err error) error {
		return &url.Error{Op: "Get", URL: "https://10.1.2.3:8200/v1/x", Err: &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 8200}, Err: err}}
	}
	for _, test := range []struct {
		name string
		err  error
		says string
	}{
		{"a deadline", context.DeadlineExceeded, "no answer in time"},
		{"a time-out of the system", dial(os.ErrDeadlineExceeded), "no answer in time"},
		{"refused", dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "connection is refused"},
		{"no route", dial(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), "no route"},
		{"reset", dial(os.NewSyscallError("read", syscall.ECONNRESET)), "broke off"},
		{"cut short", io.ErrUnexpectedEOF, "broke off"},
		{"a name that is not resolved", dial(&net.DNSError{Err: "no such host", Name: "vault.internal", Server: "10.9.9.9:53"}), "name is not resolved"},
		{"an unknown authority", &url.Error{Op: "Get", URL: "https://10.1.2.3", Err: x509.UnknownAuthorityError{}}, "not trusted"},
		{"another name", x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"vault.internal"}}, Host: "10.1.2.3"}, "another name"},
		{"expired", x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired}, "expired"},
		{"something else", dial(errors.New("10.1.2.3 via proxy.internal: boo")), "the connection failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := unanswered(test.err, "secret/acme/db")
			if f.Kind != Doubtful || f.Reason != fault.ReasonVaultUnavailable || !f.Again || !strings.Contains(f.Message, test.says) {
				t.Errorf("%+v", f)
			}
			for _, inner := range []string{"10.", "internal", "8200"} {
				if strings.Contains(f.Message, inner) {
					t.Errorf("%q", f.Message)
				}
			}
		})
	}
}
