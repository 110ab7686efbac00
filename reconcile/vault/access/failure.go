package access

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

// Failure is a fault of one exchange with the vault, with what we make of it.
// Its fault's message may be read by the tenant and holds only words of ours;
// what the other side or the machine said is the detail, for the log.
type Failure struct {
	fault.Fault
	Kind    Kind
	status  int // of the answer; 0 where there was none
	Detail  string
	TooLong bool // the answer
}

// Kind is what a failure says of the vault.
type Kind uint8

const (
	// Answered: the vault answered, and what it said concerns this path only.
	Answered Kind = iota
	// Doubtful: it may be that the vault does not work, or just this request.
	Doubtful
	// Throttled: too many requests; nothing is wrong.
	Throttled
	// Denied: policy or token do not allow it.
	Denied
	// InvalidToken: the token itself is not accepted.
	InvalidToken
)

// outcome is a word for the metrics; f may be nil.
func (f *Failure) outcome() string {
	switch {
	case f == nil:
		return "ok"
	case f.Kind == Throttled:
		return "throttled"
	}
	return string(f.Reason)
}

// Saying gives the failure's fault other words.
func (f *Failure) Saying(format string, args ...any) *Failure {
	other := *f
	other.Message = fault.New(f.State, f.Reason, format, args...).Message
	return &other
}

// Failed makes a failure of a fault.
func Failed(kind Kind, f *fault.Fault, detail string) *Failure {
	return &Failure{Fault: *f, Kind: kind, Detail: fault.Clean(detail)}
}

// Unavailable is that the vault may not work.
func Unavailable(detail, format string, args ...any) *Failure {
	return Failed(Doubtful, fault.Transient(fault.Error, fault.ReasonVaultUnavailable, format, args...), detail)
}

// Forbidden is that a person has to mend something.
func Forbidden(detail, format string, args ...any) *Failure {
	return Failed(Answered, fault.New(fault.Error, fault.ReasonVaultForbidden, format, args...), detail)
}

// TooLarge is that a value is too large to be read.
func TooLarge(format string, args ...any) *Failure {
	return Failed(Answered, fault.New(fault.Error, fault.ReasonValueTooLarge, format, args...), "")
}

// NotFound is that no value lies at a path.
func NotFound(at string) *Failure {
	return Failed(Answered, fault.New(fault.Pending, fault.ReasonValueNotFound, "no value at %s in the vault yet; write one, or mend secretPath", at), "")
}

// unanswered tells of a request that came to no answer.
func unanswered(err error, what string) *Failure {
	f := Unavailable(err.Error(), "Vault does not answer for %s: %s; it is asked again", what, cause(err))
	f.TooLong = errors.Is(err, errTooLong)
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

// SaidIn returns what the vault says is wrong, and whether the answer is in
// the vault's form at all: what is not may be a page of a proxy's. An empty one
// may be anybody's.
func SaidIn(answer *Reply) (said string, vaults bool) {
	body := answer.Body.Bytes()
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
func explain(answer *Reply, r *Request) *Failure {
	said, vaults := SaidIn(answer)
	lower := strings.ToLower(said)
	code := answer.Status
	detail := strings.TrimSpace("HTTP " + strconv.Itoa(code) + " " + said)
	var f *Failure
	switch {
	case code == http.StatusBadRequest && strings.Contains(lower, "upgrading from non-versioned"):
		f = Unavailable(detail, "the mount in Vault is being upgraded to KV version 2; it is asked again")
	case code == http.StatusBadRequest && !vaults && strings.Contains(lower, "http request to an https"), code == http.StatusBadRequest && !vaults && strings.Contains(lower, "plain http request was sent to https port"):
		f = Unavailable(detail, "Vault speaks HTTPS, not plain HTTP; check the address")
	case code == http.StatusServiceUnavailable && strings.Contains(lower, "sealed"):
		f = Unavailable(detail, "Vault is sealed; it is asked again until it is unsealed")
	case code == http.StatusTooManyRequests:
		f = Unavailable(detail, "Vault answered 429 (too many requests) for %s; it is asked again, more slowly", r.What)
		f.Kind = Throttled
	case code == http.StatusForbidden && strings.Contains(lower, "invalid token"):
		f = Forbidden(detail, "Vault does not accept the tenant's token for %s; give it a valid one", r.What)
		f.Kind = InvalidToken
	case (code == http.StatusForbidden || code == http.StatusUnauthorized) && !vaults:
		f = Forbidden(detail, "something before Vault answered %d for %s; it must let these requests pass", code, r.What)
		f.Kind = Denied
	case code == http.StatusForbidden, code == http.StatusUnauthorized:
		f = Forbidden(detail, "Vault denies reading %s (%d); allow \"read\" on it in the policy of the tenant's role", r.What, code)
		f.Kind = Denied
	case code == http.StatusMethodNotAllowed, code == http.StatusNotAcceptable, code == http.StatusGone, code == http.StatusLengthRequired,
		code == http.StatusRequestEntityTooLarge, code == http.StatusRequestURITooLong, code == http.StatusUnsupportedMediaType:
		f = Forbidden(detail, "Vault answered %d for %s; check the tenant's vault settings", code, r.What)
	default:
		f = Unavailable(detail, "Vault answered %d for %s; it is asked again", code, r.What)
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
