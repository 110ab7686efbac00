package refusal

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// canary is in every text below that may not be told.
const canary = "canary-s3cret"

func TestWhatAnAnswerMeans(t *testing.T) {
	secrets := schema.GroupResource{Resource: "secrets"}
	answer := func(code int32, reason metav1.StatusReason, message string, causes ...metav1.StatusCause) error {
		return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message, Details: &metav1.StatusDetails{Kind: "secrets", Causes: causes}}}
	}
	bare := func(code int) error {
		return apierrors.NewGenericServerResponse(code, "post", secrets, "db", canary, 0, true)
	}
	ending := apierrors.NewForbidden(secrets, "db", errors.New("unable to create new content in namespace x because it is being terminated"))
	ending.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	urlError := func(err error) error { return &url.Error{Op: "Post", URL: "https://10.1.2.3:6443/" + canary, Err: err} }
	webhook := `admission webhook "policy.example.org" denied the request: ` + canary
	for name, test := range map[string]struct {
		err  error
		want Kind
		says string
	}{
		"nothing":          {nil, None, ""},
		"our user may not": {apierrors.NewForbidden(secrets, "", errors.New(`User "system:serviceaccount:`+canary+`" cannot create resource "secrets" in API group "" in the namespace "x"`)), Forbidden, "does not let us create Secrets"},
		"our user may not, and another authorizer says why": {apierrors.NewForbidden(secrets, "db", errors.New(`User "u" cannot patch resource "secrets" in API group "" in the namespace "x": `+canary)), Forbidden, "does not let us create Secrets"},
		"a proxy's 403":                           {bare(403), Forbidden, "allow that"},
		"another admission plugin":                {apierrors.NewForbidden(secrets, "db", errors.New(canary)), Denied, "denies it with code 403"},
		"the namespace ends":                      {ending, NamespaceEnding, "being deleted"},
		"a quota":                                 {apierrors.NewForbidden(secrets, "db", errors.New("exceeded quota: few, requested: count/secrets=1, used: count/secrets=5, limited: count/secrets=5")), Denied, "exceeded quota: few, requested: count/secrets=1, used: count/secrets=5, limited: count/secrets=5"},
		"what only looks like a quota":            {apierrors.NewForbidden(secrets, "db", errors.New("exceeded quota: few, requested: "+canary+" (x)")), Denied, "code 403"},
		"a policy with a binding":                 {answer(422, metav1.StatusReasonInvalid, `secrets "db" is forbidden: ValidatingAdmissionPolicy 'no-secrets' with binding 'everywhere' denied request: `+canary, metav1.StatusCause{Message: canary}), Denied, `policy "no-secrets" (binding "everywhere")`},
		"a policy that answers 401":               {answer(401, metav1.StatusReasonUnauthorized, `secrets "db" is forbidden: ValidatingAdmissionPolicy 'no-secrets' denied request: `+canary), Denied, `policy "no-secrets"`},
		"a webhook":                               {answer(403, metav1.StatusReasonForbidden, webhook), Denied, `webhook "policy.example.org" denies it with code 403`},
		"a webhook that answers 401":              {answer(401, metav1.StatusReasonUnauthorized, webhook), Denied, "code 401"},
		"a webhook that answers 404":              {answer(404, metav1.StatusReasonNotFound, webhook), Denied, "code 404"},
		"a webhook that answers 409":              {answer(409, metav1.StatusReasonAlreadyExists, webhook), Denied, "code 409"},
		"a webhook that answers 422 with causes":  {answer(422, metav1.StatusReason(canary), webhook, metav1.StatusCause{Field: "data." + canary, Type: "FieldValueInvalid", Message: canary}), Denied, "code 422"},
		"a webhook that answers 429":              {answer(429, metav1.StatusReasonTooManyRequests, webhook), AdmissionFailed, `webhook "policy.example.org"`},
		"a webhook that answers 500":              {answer(500, metav1.StatusReasonInternalError, webhook), AdmissionFailed, `webhook "policy.example.org"`},
		"a webhook that does not answer":          {apierrors.NewInternalError(errors.New(`failed calling webhook "policy.example.org": failed to call webhook: Post "https://` + canary + `": dial tcp: connection refused`)), AdmissionFailed, `webhook "policy.example.org"`},
		"a webhook that changes what it must not": {apierrors.NewInternalError(errors.New(`admission webhook "policy.example.org" attempted to modify the object, which is not supported for this operation`)), AdmissionFailed, `webhook "policy.example.org"`},
		"trouble inside the server":               {apierrors.NewInternalError(errors.New("etcdserver: " + canary)), Unavailable, "500 Internal Server Error"},
		"400":                                     {apierrors.NewBadRequest(canary), Invalid, "400 Bad Request"},
		"a bare 400":                              {bare(400), Invalid, "400 Bad Request"},
		"401":                                     {apierrors.NewUnauthorized(canary), Unauthorized, "credentials"},
		"404":                                     {apierrors.NewNotFound(secrets, "db"), Gone, "no such Secret"},
		"a bare 404":                              {bare(404), Gone, "no such Secret"},
		"404 of the namespace":                    {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "x"), NoNamespace, "namespace does not exist"},
		"405":                                     {bare(405), Invalid, "405"},
		"406":                                     {bare(406), Invalid, "406"},
		"408":                                     {bare(408), Unavailable, "408 Request Timeout"},
		"409 of what was changed":                 {apierrors.NewConflict(secrets, "db", errors.New(canary)), Conflict, "changed meanwhile"},
		"409 of what exists":                      {apierrors.NewAlreadyExists(secrets, "db"), Exists, "already"},
		"410":                                     {bare(410), Unavailable, "410 Gone"},
		"410 of a listing":                        {apierrors.NewResourceExpired(canary), Unavailable, "410 Gone"},
		"413":                                     {bare(413), Invalid, "413"},
		"415":                                     {bare(415), Invalid, "415"},
		"422 of a field":                          {apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, "db", field.ErrorList{field.Invalid(field.NewPath("data").Key("my.key"), canary, canary), field.Required(field.NewPath("metadata", "name"), canary)}), Invalid, "(data[my.key]: FieldValueInvalid, metadata.name: FieldValueRequired)"},
		"422 of a field that can't be one":        {apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, "db", field.ErrorList{{Type: field.ErrorTypeInvalid, Field: "data[" + canary + " ]"}, {Type: field.ErrorType(canary), Field: "data"}}), Invalid, "422 Unprocessable Entity"},
		"429":                                     {apierrors.NewTooManyRequests(canary, 3), Throttled, "asks us to wait"},
		"a bare 429":                              {bare(429), Throttled, "asks us to wait"},
		"500":                                     {bare(500), Unavailable, "500 Internal Server Error"},
		"502":                                     {bare(502), Unavailable, "502 Bad Gateway"},
		"503":                                     {apierrors.NewServiceUnavailable(canary), Unavailable, "503 Service Unavailable"},
		"504":                                     {apierrors.NewTimeoutError(canary, 2), Unavailable, "504 Gateway Timeout"},
		"another 4xx":                             {bare(451), Invalid, "451"},
		"connection refused":                      {urlError(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), Unavailable, "connection refused"},
		"connection reset":                        {urlError(syscall.ECONNRESET), Unavailable, "broke off"},
		"cut short":                               {urlError(io.ErrUnexpectedEOF), Unavailable, "broke off"},
		"no name":                                 {urlError(&net.DNSError{Name: canary, IsNotFound: true}), Unavailable, "can't be resolved"},
		"no answer":                               {urlError(context.DeadlineExceeded), Unavailable, "no answer in time"},
		"another authority":                       {urlError(x509.UnknownAuthorityError{}), Unavailable, "authority that we don't know"},
		"another host":                            {urlError(x509.HostnameError{Host: canary, Certificate: &x509.Certificate{}}), Unavailable, "another host's"},
		"something else":                          {urlError(errors.New(canary)), Unavailable, "connection fails"},
		"our own":                                 {&Error{Kind: Kept, Message: "as it is"}, Kept, "as it is"},
	} {
		t.Run(name, func(t *testing.T) {
			if kind := KindOf(test.err); kind != test.want {
				t.Fatalf("%s, want %s", kind, test.want)
			}
			if test.err == nil || test.says == "" {
				return
			}
			r := Of(test.err, "create")
			if r.Kind != test.want || KindOf(fmt.Errorf("wrapped: %w", r)) != test.want || !strings.Contains(r.Message, test.says) || strings.ContainsAny(r.Message, "\n\r") {
				t.Errorf("%s: %q", r.Kind, r.Message)
			}
			if strings.Contains(r.Message, canary) || strings.Contains(r.Message, "10.1.2.3") {
				t.Errorf("it tells what it may not: %q", r.Message)
			}
			if said := InWords(test.err); strings.Contains(said, canary) || strings.Contains(said, "10.1.2.3") {
				t.Errorf("it tells what it may not: %q", said)
			}
		})
	}
}

func TestHowLongToWait(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want time.Duration
	}{
		"as the server asks":       {apierrors.NewTooManyRequests("", 3), 3 * time.Second},
		"within reason":            {apierrors.NewTooManyRequests("", 3000), time.Minute},
		"a second for lack of any": {apierrors.NewGenericServerResponse(http.StatusTooManyRequests, "get", schema.GroupResource{}, "", "", 0, true), time.Second},
		"none":                     {apierrors.NewServiceUnavailable(""), 0},
	} {
		if after := Of(test.err, "get").After; after != test.want {
			t.Errorf("%s: %s", name, after)
		}
	}
}

func TestEveryRefusalHasAName(t *testing.T) {
	if len(names) != int(Newer)+1 {
		t.Error("a refusal has no name")
	}
	if KindOf(context.Canceled) != Unavailable || KindOf(nil) != None {
		t.Error("what is no refusal")
	}
}

func FuzzWhatIsSaid(f *testing.F) {
	f.Add(int32(403), `admission webhook "x" denied the request: `+canary, "data["+canary, "FieldValue"+canary)
	f.Add(int32(422), `secrets "db" is forbidden: exceeded quota: `, "data", "FieldValueInvalid")
	f.Fuzz(func(t *testing.T, code int32, message, name, kind string) {
		err := &apierrors.StatusError{ErrStatus: metav1.Status{Code: code, Message: message, Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Field: name, Type: metav1.CauseType(kind), Message: canary}}}}}
		r := Of(err, "create")
		if r.Message == "" || strings.ContainsAny(r.Message, "\n\r\x00") || len(r.Message) > 600 {
			t.Fatalf("%q", r.Message)
		}
	})
}

func TestWhatTheServerHasAgainstTheDataOfASecret(t *testing.T) {
	cause := func(field string, of metav1.CauseType) metav1.StatusCause {
		return metav1.StatusCause{Field: field, Type: of}
	}
	for name, test := range map[string]struct {
		code   int32
		causes []metav1.StatusCause
		want   Mistake
	}{
		"nothing":                      {422, nil, NoMistake},
		"keys that the type needs":     {422, []metav1.StatusCause{cause("data[tls.crt]", metav1.CauseTypeFieldValueRequired), cause("data[tls.key]", metav1.CauseTypeFieldValueRequired)}, Misfit},
		"too much":                     {422, []metav1.StatusCause{cause("data", metav1.CauseTypeTooLong)}, TooLarge},
		"too much, and a key is wrong": {422, []metav1.StatusCause{cause("data", metav1.CauseTypeTooLong), cause("data[a]", metav1.CauseTypeFieldValueInvalid)}, TooLarge},
		"that it is immutable":         {422, []metav1.StatusCause{cause("data", metav1.CauseTypeForbidden)}, NoMistake},
		"something else besides":       {422, []metav1.StatusCause{cause("data[a]", metav1.CauseTypeFieldValueInvalid), cause("metadata.annotations", metav1.CauseTypeTooLong)}, NoMistake},
		"by another answer":            {400, []metav1.StatusCause{cause("data[a]", metav1.CauseTypeFieldValueInvalid)}, NoMistake},
	} {
		err := &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: test.code, Reason: metav1.StatusReasonInvalid, Message: "no", Details: &metav1.StatusDetails{Kind: "secrets", Causes: test.causes}}}
		if got := DataOf(Of(err, "create")); got != test.want {
			t.Errorf("%s: %d, not %d", name, got, test.want)
		}
	}
	webhook := &apierrors.StatusError{ErrStatus: metav1.Status{Code: 422, Message: `admission webhook "policy.example.org" denied the request: no`, Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{cause("data[a]", metav1.CauseTypeFieldValueInvalid)}}}}
	if got := DataOf(Of(webhook, "create")); got != NoMistake {
		t.Errorf("a webhook says %d of the data", got)
	}
}
