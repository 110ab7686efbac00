package vault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"secretsync/reconcile/fault"
)

// failure is a fault of one exchange with the vault, with what we make of it.
// Its fault's message may be read by the tenant and holds only words of ours;
// what the other side or the machine said is the detail, for the log.
type failure struct {
	fault.Fault
	kind    failureKind
	status  int     // of the answer; 0 where there was none
	version Version // of an answer that says that the newest version is gone
	detail  string
	tooLong bool
}

type failureKind uint8

const (
	// answered: the vault answered, and what it said concerns this path only.
	answered failureKind = iota
	// doubtful: it may be that the vault does not work, or just this request.
	doubtful
	// throttled: too many requests; nothing is wrong.
	throttled
	// denied: policy or token do not allow it.
	denied
	// invalidToken: the token itself is not accepted.
	invalidToken
)

// outcome is a word for the metrics; f may be nil.
func (f *failure) outcome() string {
	switch {
	case f == nil:
		return "ok"
	case f.kind == throttled:
		return "throttled"
	}
	return string(f.Reason)
}

// as gives the failure's fault other words.
func (f *failure) as(format string, args ...any) *failure {
	other := *f
	other.Message = fault.New(f.State, f.Reason, format, args...).Message
	return &other
}

func failed(kind failureKind, f *fault.Fault, detail string) *failure {
	return &failure{Fault: *f, kind: kind, detail: fault.Clean(detail)}
}

func unavailable(detail, format string, args ...any) *failure {
	return failed(doubtful, fault.Transient(fault.Error, fault.ReasonVaultUnavailable, format, args...), detail)
}

func forbidden(detail, format string, args ...any) *failure {
	return failed(answered, fault.New(fault.Error, fault.ReasonVaultForbidden, format, args...), detail)
}

func tooLarge(format string, args ...any) *failure {
	return failed(answered, fault.New(fault.Error, fault.ReasonValueTooLarge, format, args...), "")
}

func notFound(at string) *failure {
	return failed(answered, fault.New(fault.Pending, fault.ReasonValueNotFound, "no value at %s in the vault yet; write one, or mend secretPath", at), "")
}

// unanswered tells of a request that came to no answer.
func unanswered(err error, what string) *failure {
	f := unavailable(err.Error(), "Vault does not answer for %s: %s; it is asked again", what, cause(err))
	f.tooLong = errors.Is(err, errTooLong)
	return f
}

// cause names what went wrong below HTTP in words of ours: errors of the
// network hold addresses and names of the operator's.
func cause(err error) string {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		alert     tls.AlertError
		header    tls.RecordHeaderError
		dns       *net.DNSError
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded), os.IsTimeout(err):
		return "no answer in time"
	case errors.As(err, &authority):
		return "its certificate is signed by an authority that is not trusted here; check caFile"
	case errors.As(err, &host):
		return "its certificate is for another name; check address and serverName"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate has expired or is not valid yet"
	case errors.As(err, &invalid):
		return "its certificate is not valid"
	case errors.As(err, &alert), strings.Contains(err.Error(), "remote error: tls:"):
		return "it refuses the TLS handshake; check the client certificate"
	case errors.As(err, &header), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "it speaks plain HTTP, not HTTPS; check the address"
	case errors.As(err, &dns):
		return "its host name is not resolved"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection is refused"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "there is no route to it"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the connection broke off"
	}
	return "the connection failed"
}

// saidIn returns what the vault says is wrong, and whether the answer is in
// the vault's form at all: what is not may be a page of a proxy's. An empty one
// may be anybody's.
func saidIn(answer *reply) (said string, vaults bool) {
	body := answer.body.Bytes()
	if len(body) == 0 {
		return "", true
	}
	var form struct {
		Errors []string `json:"errors"`
	}
	if err := json.Unmarshal(body, &form); err != nil {
		return string(body[:min(len(body), 200)]), false
	}
	return strings.Join(form.Errors, "; "), true
}

// explain turns an answer that is neither 2xx nor 404 into a failure. Only
// known phrases of what the vault said come into the message: it may tell of the
// network and the machines behind it.
//
//	status                               kind       reason            again
//	400 plain HTTP to a TLS port         doubtful   VaultUnavailable  yes
//	400 otherwise                        doubtful   VaultUnavailable  yes: standbys and upgrading mounts say so
//	401, 403                             denied     VaultForbidden    after a fresh login
//	403 "invalid token"                  invalid    VaultForbidden    after a login
//	405, 406, 410, 411, 413, 414, 415    answered   VaultForbidden    no
//	3xx, 408, 412, 421, 425, 472, 473    doubtful   VaultUnavailable  yes
//	429                                  throttled  VaultUnavailable  yes, after Retry-After
//	5xx, any other                       doubtful   VaultUnavailable  yes
func explain(answer *reply, r *request) *failure {
	said, vaults := saidIn(answer)
	lower := strings.ToLower(said)
	code := answer.status
	detail := strings.TrimSpace("HTTP " + strconv.Itoa(code) + " " + said)
	var f *failure
	switch {
	case code == http.StatusBadRequest && strings.Contains(lower, "upgrading from non-versioned"):
		f = unavailable(detail, "the mount in Vault is being upgraded to KV version 2; it is asked again")
	case code == http.StatusBadRequest && !vaults && strings.Contains(lower, "http request to an https"), code == http.StatusBadRequest && !vaults && strings.Contains(lower, "plain http request was sent to https port"):
		f = unavailable(detail, "Vault speaks HTTPS, not plain HTTP; check the address")
	case code == http.StatusServiceUnavailable && strings.Contains(lower, "sealed"):
		f = unavailable(detail, "Vault is sealed; it is asked again until it is unsealed")
	case code == http.StatusTooManyRequests:
		f = unavailable(detail, "Vault answered 429 (too many requests) for %s; it is asked again, more slowly", r.what)
		f.kind = throttled
	case code == http.StatusForbidden && strings.Contains(lower, "invalid token"):
		f = forbidden(detail, "Vault does not accept the tenant's token for %s; give it a valid one", r.what)
		f.kind = invalidToken
	case (code == http.StatusForbidden || code == http.StatusUnauthorized) && !vaults:
		f = forbidden(detail, "something before Vault answered %d for %s; it must let these requests pass", code, r.what)
		f.kind = denied
	case code == http.StatusForbidden, code == http.StatusUnauthorized:
		f = forbidden(detail, "Vault denies reading %s (%d); allow \"read\" on it in the policy of the tenant's role", r.what, code)
		f.kind = denied
	case code == http.StatusMethodNotAllowed, code == http.StatusNotAcceptable, code == http.StatusGone, code == http.StatusLengthRequired,
		code == http.StatusRequestEntityTooLarge, code == http.StatusRequestURITooLong, code == http.StatusUnsupportedMediaType:
		f = forbidden(detail, "Vault answered %d for %s; check the tenant's vault settings", code, r.what)
	default:
		f = unavailable(detail, "Vault answered %d for %s; it is asked again", code, r.what)
	}
	f.status = code
	if f.Again {
		f.After = retryAfter(answer.header)
	}
	return f
}

// retryAfter reads how long the other side asks to wait, at most a minute.
func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, time.Minute)
}
