package keystore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"secretsync/httpapi/apikey"
)

// Secrets are those of the home namespace, as client-go's typed client has them.
type Secrets interface {
	Get(ctx context.Context, name string, o metav1.GetOptions) (*corev1.Secret, error)
	List(ctx context.Context, o metav1.ListOptions) (*corev1.SecretList, error)
	Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error)
	Create(ctx context.Context, s *corev1.Secret, o metav1.CreateOptions) (*corev1.Secret, error)
	Patch(ctx context.Context, name string, kind types.PatchType, patch []byte, o metav1.PatchOptions, subresources ...string) (*corev1.Secret, error)
}

// The types of our Secrets.
const (
	typeOfKeys    corev1.SecretType = "secretsync.dev/api-keys"
	typeOfHashKey corev1.SecretType = "secretsync.dev/hash-key"
)

const (
	fieldManager     = "secretsync"
	annotationFormat = "secretsync.dev/format"
	// format is that of all of them. Whoever changes what stands in one in a way that
	// an older server would read wrongly raises it.
	format = 1
	// requestLimit bounds one request.
	requestLimit = 10 * time.Second
)

// newSecret is one of ours, without data.
func newSecret(name string, kind corev1.SecretType) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Labels:      map[string]string{"app.kubernetes.io/part-of": "secretsync"},
			Annotations: map[string]string{annotationFormat: strconv.Itoa(format)},
		},
		Type: kind,
	}
}

// checkForm finds out whether a Secret is of ours and of a format that is known.
func checkForm(s *corev1.Secret, kind corev1.SecretType) error {
	if s.Type != kind {
		return fmt.Errorf("the Secret %s is of type %.80q and not %q: somebody else's has its name; rename or delete that", s.Name, s.Type, kind)
	}
	text, given := s.Annotations[annotationFormat]
	is, err := strconv.Atoi(text)
	switch {
	case !given:
		return damaged(s.Name, "has no annotation "+annotationFormat)
	case err != nil || is < 1:
		return damaged(s.Name, "has an annotation "+annotationFormat+" that is no number")
	case is > format:
		return fmt.Errorf("the Secret %s has format %d, and this version of secretsync knows none above %d: run the version that wrote it, or a later one", s.Name, is, format)
	}
	return nil
}

func damaged(name, how string) error {
	return fmt.Errorf("the Secret %s %s: restore it from a backup, or mend it by hand", name, how)
}

// bounded gives each request but a watch a time to be answered in.
type bounded struct {
	Secrets
	limit time.Duration
}

func (b bounded) Get(ctx context.Context, name string, o metav1.GetOptions) (*corev1.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, b.limit)
	defer cancel()
	return b.Secrets.Get(ctx, name, o)
}

func (b bounded) List(ctx context.Context, o metav1.ListOptions) (*corev1.SecretList, error) {
	ctx, cancel := context.WithTimeout(ctx, b.limit)
	defer cancel()
	return b.Secrets.List(ctx, o)
}

func (b bounded) Create(ctx context.Context, s *corev1.Secret, o metav1.CreateOptions) (*corev1.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, b.limit)
	defer cancel()
	return b.Secrets.Create(ctx, s, o)
}

func (b bounded) Patch(ctx context.Context, name string, kind types.PatchType, patch []byte, o metav1.PatchOptions, subresources ...string) (*corev1.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, b.limit)
	defer cancel()
	return b.Secrets.Patch(ctx, name, kind, patch, o, subresources...)
}

// unavailable says why a request failed that was to do what verb says.
func unavailable(verb string, err error) *apikey.UnavailableError {
	if told, ok := errors.AsType[*apikey.UnavailableError](err); ok {
		return told
	}
	return &apikey.UnavailableError{Why: why(verb, err), Err: err}
}

// why names no address: it is told to those who use the API.
func why(verb string, err error) string {
	code := codeOf(err)
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return "the home namespace is being deleted"
	case code == http.StatusForbidden:
		return "the home cluster does not let the server " + verb + " Secrets in its home namespace: its role there needs get, list, watch, create and patch on secrets"
	case code == http.StatusUnauthorized:
		return "the home cluster does not accept the server's credentials"
	case code == http.StatusNotFound:
		return "the home namespace is not there"
	case code == http.StatusTooManyRequests:
		return "the home cluster asks the server to wait"
	case code >= 400 && code < 500:
		return "the home cluster refuses to " + verb + " the Secret (" + strconv.Itoa(code) + ")"
	case code != 0:
		return "the home cluster fails (" + strconv.Itoa(code) + ")"
	case isDial(err):
		return "the home cluster can't be reached"
	}
	return "the home cluster does not answer"
}

func codeOf(err error) int {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return int(status.Status().Code)
	}
	return 0
}

func isDial(err error) bool {
	failed, ok := errors.AsType[*net.OpError](err)
	return ok && failed.Op == "dial"
}

// notMade reports whether a write that failed has surely no effect, now and later. The
// codes from 500 on may be those of something between us and the API server.
func notMade(err error) bool {
	code := codeOf(err)
	return isDial(err) || code >= 400 && code < 500 && code != http.StatusRequestTimeout
}

// outrun reports whether a write failed because something else stands there than it was
// decided by.
func outrun(err error) bool {
	if details := statusDetails(err); details != nil && details.Kind == "namespaces" {
		return false
	}
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err)
}

func statusDetails(err error) *metav1.StatusDetails {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return status.Status().Details
	}
	return nil
}
