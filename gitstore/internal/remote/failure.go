package remote

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"strings"
	"syscall"

	"secretsync/gitstore/internal/remote/credential"
	"secretsync/gitstore/internal/remote/wire"
)

// fail returns the error that a caller gets: its kind, and a cause in words.
// Nothing of err is shown that may hold a credential. X is nil before there is one.
func (r *Remote) fail(x *exchange, err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e := &Error{Kind: Unavailable, Remote: r.String()}
	// What else is beneath may quote the remote, and is in the cause already.
	for _, ended := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, ended) {
			e.Err = ended
		}
	}
	if x != nil && context.Cause(x.ctx) == errStalled {
		e.Cause = fmt.Sprintf("no answer, or one that is too slow, within %s; timeout says how long", x.timeout)
		return e
	}
	if says, ok := errors.AsType[*wire.ServerError](err); ok {
		e.Kind, e.Words = kindOfWords(says.Words), r.clean(says.Words)
		e.Cause = causes[e.Kind]
		return e
	}
	e.Kind, e.Cause = r.explain(err)
	return e
}

// causes is what is said of what the server tells in its own words.
var causes = map[Kind]string{
	Stale:       "what was asked for is no longer there",
	NotFound:    "there is no such repository, or the credential may not see it",
	Denied:      "the remote does not let us in; look at the credential and its permissions",
	Unavailable: "the remote can't answer",
}

func (r *Remote) explain(err error) (Kind, string) {
	if key, ok := errors.AsType[*credential.HostKeyError](err); ok {
		return Denied, key.Error()
	}
	if limit, ok := errors.AsType[*limitError](err); ok {
		return TooLarge, limit.Error()
	}
	if many, ok := errors.AsType[*wire.TooManyError](err); ok {
		return TooLarge, many.Error()
	}
	if file, ok := errors.AsType[*credentialError](err); ok {
		return Denied, file.Error()
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Unavailable, "given up before it was answered"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return Unavailable, "the connection ended in the middle of an answer"
	case errors.Is(err, syscall.ECONNREFUSED):
		return Unavailable, "nothing listens there"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Unavailable, "the connection was broken by the other side"
	}
	if cause, ok := explainTLS(err); ok {
		return Unavailable, cause
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return Unavailable, "the name of the host is not known: " + r.clean(dns.Name)
	}
	return Unavailable, r.clean(withoutURL(err))
}

func explainTLS(err error) (string, bool) {
	if name, ok := errors.AsType[x509.HostnameError](err); ok {
		return "its certificate is for another host: " + wire.Clean(name.Error()), true
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return "its certificate is not valid: " + wire.Clean(invalid.Error()), true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "its certificate is signed by nobody we trust; if it is the right one, put the certificate of who signed it into caFile", true
	}
	// The alerts of the other side have no type of their own.
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return "it breaks off TLS: " + wire.Clean(op.Err.Error()) + "; it may ask for another client certificate (clientCertFile)", true
	}
	return "", false
}

// withoutURL returns what an error says without the URL that net/http puts before it.
func withoutURL(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return err.Error()
}

// credentialError: a file of credentials can't be used.
type credentialError struct{ err error }

func (e *credentialError) Error() string {
	if path, ok := errors.AsType[*fs.PathError](e.err); ok {
		return fmt.Sprintf("a credential can't be read: %s: %v", path.Path, path.Err)
	}
	return "a credential can't be used: " + e.err.Error()
}

func (e *credentialError) Unwrap() error { return e.err }

// clean makes words of the remote fit to be shown. A remote may say what it was
// told, so that credentials are taken out.
func (r *Remote) clean(words string) string {
	words = wire.Clean(words)
	if s, ok := r.carrier.(interface{ secrets() []string }); ok {
		for _, secret := range s.secrets() {
			words = hide(words, wire.Clean(secret))
		}
	}
	return words
}

const hidden = "(hidden)"

// hide takes a secret out of words, and the beginning of one where they were cut.
func hide(words, secret string) string {
	if secret == "" {
		return words
	}
	words = strings.ReplaceAll(words, secret, hidden)
	whole, cut := strings.CutSuffix(words, "…")
	for n := min(len(secret), len(whole)); n > 3; n-- {
		if start, ok := strings.CutSuffix(whole, secret[:n]); ok {
			whole = start + hidden
			break
		}
	}
	if cut {
		whole += "…"
	}
	return whole
}
