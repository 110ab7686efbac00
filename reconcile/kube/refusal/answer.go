package refusal

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/reconcile/fault"
)

// Of makes of an error of client-go what leaves the room. verb says what
// was tried, as the rights of Kubernetes name it.
func Of(err error, verb string) *Error {
	if r := new(Error); errors.As(err, &r) {
		return r
	}
	r := &Error{Kind: KindOf(err)}
	status := StatusOf(err)
	switch r.Kind {
	case Unavailable:
		r.Message = InWords(err)
		r.After = After(err)
	case Unauthorized:
		r.Message = "the cluster refuses our credentials; the operator must renew them"
	case Throttled:
		r.Message = "the cluster asks us to wait"
		r.After = max(After(err), time.Second)
	case Exists:
		r.Message = "a Secret of that name stands there already"
	case Conflict:
		r.Message = "the Secret was changed meanwhile"
	case Gone:
		r.Message = "no such Secret stands there"
	case NoNamespace:
		r.Message = "the namespace does not exist"
	case NamespaceEnding:
		r.Message = "the namespace is being deleted"
	case Forbidden:
		r.Message = "the cluster does not let us " + verb + " Secrets in this namespace; allow that to our user"
	case Denied:
		r.Message = denied(status)
	case AdmissionFailed:
		r.Message = "the cluster's admission webhook" + quoted(webhookOf(status.Message)) + " has to agree and fails; it is tried again by itself"
	case Invalid:
		r.Message, r.Data = invalid(status), mistakeOf(status)
	}
	return r
}

// DataOf is what an error that was made by [Of] says of the data of a Secret.
func DataOf(err error) Mistake {
	if r := new(Error); errors.As(err, &r) {
		return r.Data
	}
	return NoMistake
}

// mistakeOf tells whether the server has something against the data alone.
func mistakeOf(s metav1.Status) (m Mistake) {
	if s.Details == nil || s.Code != http.StatusUnprocessableEntity {
		return NoMistake
	}
	for _, cause := range s.Details.Causes {
		switch {
		case cause.Field == "data" && cause.Type == metav1.CauseTypeTooLong:
			m = TooLarge
		case strings.HasPrefix(cause.Field, "data[") && m != TooLarge:
			m = Misfit
		case !strings.HasPrefix(cause.Field, "data["):
			return NoMistake
		}
	}
	return m
}

// What the API server puts before the text of admission, by which we know that
// the rest of an answer, its code and its reason too, was chosen there. The
// names are those of objects of the API.
var (
	deniedByWebhook = regexp.MustCompile(`^admission webhook "([a-z0-9.-]{1,253})" denied the request`)
	failedWebhook   = regexp.MustCompile(`^Internal error occurred: (?:failed calling webhook|admission webhook) "([a-z0-9.-]{1,253})"`)
	deniedByPolicy  = regexp.MustCompile(`^secrets(?: "[^"]*")? is forbidden: (?:ValidatingAdmissionPolicy|MutatingAdmissionPolicy|policy) '([a-z0-9.-]{1,253})'(?: with binding '([a-z0-9.-]{1,253})')? denied request`)
	overQuota       = regexp.MustCompile(`^secrets(?: "[^"]*")? is forbidden: (exceeded quota: [a-z0-9.-]{1,253}, requested: [a-zA-Z0-9./=,-]+, used: [a-zA-Z0-9./=,-]+, limited: [a-zA-Z0-9./=,-]+)$`)
	noRight         = regexp.MustCompile(`^[a-z./]+(?: "[^"]*")? is forbidden: User "`)
	byAdmission     = regexp.MustCompile(`^[a-z./]+(?: "[^"]*")? is forbidden: `)
)

// KindOf tells what kind of refusal an error of client-go is, or one that was made of
// it. An error that is none, such as that of a context, counts as Unavailable; nil is None.
func KindOf(err error) Kind {
	if err == nil {
		return None
	}
	if r := new(Error); errors.As(err, &r) {
		return r.Kind
	}
	status := StatusOf(err)
	switch {
	case deniedByWebhook.MatchString(status.Message):
		// It may choose any code: 401 and 409 are not what they seem.
		if status.Code >= 500 || status.Code == http.StatusTooManyRequests {
			return AdmissionFailed
		}
		return Denied
	case failedWebhook.MatchString(status.Message):
		return AdmissionFailed
	case deniedByPolicy.MatchString(status.Message):
		return Denied
	}
	switch status.Code {
	case 0:
		return Unavailable // no answer, or none that can be understood
	case http.StatusUnauthorized:
		return Unauthorized
	case http.StatusForbidden:
		switch {
		case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
			return NamespaceEnding
		case !noRight.MatchString(status.Message) && byAdmission.MatchString(status.Message):
			return Denied
		}
		return Forbidden
	case http.StatusNotFound:
		if status.Details != nil && status.Details.Kind == "namespaces" {
			return NoNamespace
		}
		return Gone
	case http.StatusConflict:
		if status.Reason == metav1.StatusReasonAlreadyExists {
			return Exists
		}
		return Conflict
	case http.StatusTooManyRequests:
		return Throttled
	case http.StatusRequestTimeout, http.StatusGone, http.StatusTooEarly:
		return Unavailable
	}
	if status.Code >= 400 && status.Code < 500 {
		return Invalid
	}
	return Unavailable
}

// StatusOf is what the server answered; its Code is zero where it did not.
func StatusOf(err error) metav1.Status {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status()
	}
	return metav1.Status{}
}

// After is how long the server that refused asks to wait, within reason; zero where it
// does not.
func After(err error) time.Duration {
	if r := new(Error); errors.As(err, &r) {
		return r.After
	}
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok && seconds > 0 {
		return min(time.Duration(seconds)*time.Second, time.Minute)
	}
	return 0
}

func webhookOf(message string) string {
	for _, form := range []*regexp.Regexp{deniedByWebhook, failedWebhook} {
		if m := form.FindStringSubmatch(message); m != nil {
			return m[1]
		}
	}
	return ""
}

func quoted(name string) string {
	if name == "" {
		return ""
	}
	return " " + strconv.Quote(name)
}

// denied names who said no, and none of the text: that may quote what was sent,
// in any spelling. Of a quota the text is the server's own.
func denied(s metav1.Status) string {
	if name := webhookOf(s.Message); name != "" {
		return fmt.Sprintf("the cluster's admission webhook %q denies it with code %d; whoever runs that webhook can tell why", name, s.Code)
	}
	if m := deniedByPolicy.FindStringSubmatch(s.Message); m != nil {
		by := strconv.Quote(m[1])
		if m[2] != "" {
			by += " (binding " + strconv.Quote(m[2]) + ")"
		}
		return "the cluster's admission policy " + by + " denies it; read the policy to see why"
	}
	if m := overQuota.FindStringSubmatch(s.Message); m != nil {
		return fault.Clean(m[1])
	}
	return "the cluster's admission denies it with code " + strconv.Itoa(int(s.Code))
}

// invalid names the fields that the server does not take, and the kind of each
// mistake, since the text may quote what was sent.
func invalid(s metav1.Status) string {
	said := fmt.Sprintf("the cluster takes no such Secret: it answers %d %s", s.Code, http.StatusText(int(s.Code)))
	if s.Details == nil {
		return said
	}
	var fields []string
	for _, cause := range s.Details.Causes {
		if fieldName.MatchString(cause.Field) && causeName.MatchString(string(cause.Type)) {
			fields = append(fields, cause.Field+": "+string(cause.Type))
		}
	}
	slices.Sort(fields)
	if len(fields) > 0 {
		said += " (" + strings.Join(slices.Compact(fields), ", ") + ")"
	}
	return fault.Clean(said)
}

// Names of fields and of kinds of mistakes: the server's own. A field of the
// data may name its key, which is no secret.
var (
	fieldName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9.]{0,80}(?:\[[-._a-zA-Z0-9/]{0,253}\])?$`)
	causeName = regexp.MustCompile(`^(?:Field|Type)[A-Z][a-zA-Z]{1,40}$`)
)

// InWords says of a request that is [Unavailable] what the server answered or why it did
// not, without an address.
func InWords(err error) string {
	if s := StatusOf(err); s.Code != 0 {
		return fmt.Sprintf("the cluster answers %d %s", s.Code, http.StatusText(int(s.Code)))
	}
	return "the cluster does not answer: " + cause(err)
}

// cause says in general words what is wrong with a connection: the text of the
// error names addresses and files of the operator's.
func cause(err error) string {
	var (
		dns        *net.DNSError
		unknown    x509.UnknownAuthorityError
		wrongHost  x509.HostnameError
		invalid    x509.CertificateInvalidError
		verify     *tls.CertificateVerificationError
		alert      tls.AlertError
		record     tls.RecordHeaderError
		timeout    net.Error
		unreadable = apierrors.IsUnexpectedObjectError(err)
	)
	switch {
	case errors.As(err, &dns):
		return "its address can't be resolved"
	case errors.As(err, &unknown):
		return "its certificate is signed by an authority that we don't know"
	case errors.As(err, &wrongHost):
		return "its certificate is another host's"
	case errors.As(err, &invalid), errors.As(err, &verify):
		return "its certificate is not valid"
	case errors.As(err, &alert):
		return "it refuses our certificate or the kind of encryption"
	case errors.As(err, &record):
		return "it speaks no TLS"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no route to it"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection broke off"
	case unreadable:
		return "its answer can't be understood"
	}
	return "the connection fails"
}
