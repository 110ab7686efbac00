package reconcile

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	apiversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// scheme knows the core types and nothing else: the whole of Kubernetes would
// cost 20 MB of memory and a tenth of a second at every start.
var (
	scheme         = runtime.NewScheme()
	codecs         = serializer.NewCodecFactory(scheme)
	parameterCodec = runtime.NewParameterCodec(scheme)
)

func init() {
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, metav1.AddMetaToScheme} {
		if err := add(scheme); err != nil {
			panic(err) // the types of a library contradict each other
		}
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
}

const (
	protobuf = "application/vnd.kubernetes.protobuf"
	// metadataOnly spares the answer to a write the values that we just sent.
	metadataOnly = protobuf + ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1," + "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	listPage     = 500
)

// kubeClient makes the few requests we make with a cluster, each with its own
// timeout and never again on its own: when to repeat is the lane's business.
type kubeClient struct {
	rest    *rest.RESTClient
	timeout time.Duration
	cluster string
	metrics *metrics
}

// restConfig reads the cluster's configuration, from its file if it has one.
func (c Cluster) restConfig() (*rest.Config, error) {
	switch {
	case c.REST != nil:
		return rest.CopyConfig(c.REST), nil
	case c.Kubeconfig == "":
		return rest.InClusterConfig()
	}
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: c.Kubeconfig},
		&clientcmd.ConfigOverrides{CurrentContext: c.Context},
	).ClientConfig()
}

func newKubeClient(c Cluster, m *metrics) (*kubeClient, error) {
	cfg, err := c.restConfig()
	if err != nil {
		return nil, err
	}
	cfg.GroupVersion = &corev1.SchemeGroupVersion
	cfg.APIPath = "/api"
	cfg.NegotiatedSerializer = codecs.WithoutConversion()
	cfg.ContentType = protobuf
	cfg.AcceptContentTypes = protobuf + ",application/json"
	cfg.UserAgent = "secretsync"
	cfg.WarningHandler = rest.NoWarnings{}
	cfg.Timeout = 0 // each request has its own, and watches have none
	cfg.RateLimiter = nil
	cfg.QPS, cfg.Burst = -1, 0
	if c.QPS > 0 {
		cfg.QPS, cfg.Burst = c.QPS, max(1, int(c.QPS))
	}
	client, err := rest.RESTClientFor(cfg)
	if err != nil {
		return nil, err
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = DefaultRequestTimeout
	}
	return &kubeClient{rest: client, timeout: timeout, cluster: c.Name, metrics: m}, nil
}

// do makes one request, counts it and bounds its time.
func (k *kubeClient) do(ctx context.Context, verb string, r *rest.Request, into runtime.Object) error {
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	began := time.Now()
	result := r.MaxRetries(0).Do(ctx)
	err := result.Error()
	if err == nil && into != nil {
		err = result.Into(into)
	}
	k.metrics.kubeRequest(k.cluster, verb, err, time.Since(began))
	return err
}

func (k *kubeClient) version(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, min(k.timeout, 5*time.Second))
	defer cancel()
	body, err := k.rest.Get().AbsPath("/version").SetHeader("Accept", "application/json").MaxRetries(0).DoRaw(ctx)
	if err != nil {
		return "", err
	}
	var info apiversion.Info
	if err := json.Unmarshal(body, &info); err != nil {
		return "", err
	}
	return info.GitVersion, nil
}

func (k *kubeClient) list(ctx context.Context, resource, selector, next string, limit int64, into runtime.Object) error {
	return k.do(ctx, "list", k.rest.Get().Resource(resource).VersionedParams(&metav1.ListOptions{LabelSelector: selector, Limit: limit, Continue: next}, parameterCodec), into)
}

func (k *kubeClient) watch(ctx context.Context, resource, selector, rv string, timeout time.Duration) (watch.Interface, error) {
	seconds := int64(timeout.Seconds())
	began := time.Now()
	// Once it has begun it lasts; to begin it has the time of any request.
	ctx, cancel := context.WithCancel(ctx)
	patience := time.AfterFunc(k.timeout, cancel)
	w, err := k.rest.Get().Resource(resource).MaxRetries(0).VersionedParams(&metav1.ListOptions{
		LabelSelector: selector, ResourceVersion: rv, TimeoutSeconds: &seconds, Watch: true, AllowWatchBookmarks: true,
	}, parameterCodec).Watch(ctx)
	if !patience.Stop() {
		err = context.DeadlineExceeded
	}
	k.metrics.kubeRequest(k.cluster, "watch", err, time.Since(began))
	if err != nil {
		if w != nil {
			w.Stop()
		}
		cancel()
		return nil, err
	}
	return &cancelledWatch{w, cancel}, nil
}

// cancelledWatch gives its context back when it is stopped.
type cancelledWatch struct {
	watch.Interface
	cancel context.CancelFunc
}

func (w *cancelledWatch) Stop() {
	w.Interface.Stop()
	w.cancel()
}

func (k *kubeClient) namespaceUID(ctx context.Context, name string) (types.UID, error) {
	var ns corev1.Namespace
	err := k.do(ctx, "get", k.rest.Get().Resource("namespaces").Name(name), &ns)
	return ns.UID, err
}

func (k *kubeClient) secret(ctx context.Context, at placeKey) (*corev1.Secret, error) {
	var s corev1.Secret
	err := k.do(ctx, "get", k.rest.Get().Namespace(at.namespace).Resource("secrets").Name(at.name), &s)
	return &s, err
}

func (k *kubeClient) create(ctx context.Context, s *corev1.Secret) (types.UID, string, error) {
	var m metav1.PartialObjectMetadata
	err := k.do(ctx, "create", k.rest.Post().Namespace(s.Namespace).Resource("secrets").SetHeader("Accept", metadataOnly).
		VersionedParams(&metav1.CreateOptions{FieldManager: fieldManager}, parameterCodec).Body(s), &m)
	return m.UID, m.ResourceVersion, err
}

// update makes a copy what it should be, in one request and only if it still
// is the one that r describes: what others wrote on it stays, since a patch
// names only what is ours; data is replaced as a whole, so that keys which left
// the vault leave the Secret.
func (k *kubeClient) update(ctx context.Context, at placeKey, r *record, labels, annotations map[string]string, data map[string][]byte) (types.UID, string, error) {
	patch := []patchOperation{
		// A version other than the one we know makes the server answer Conflict.
		{"replace", "/metadata/resourceVersion", r.rv},
		{"add", "/data", data},
	}
	patch = appendEntries(patch, "/metadata/labels", labels, r.hasLabels)
	patch = appendEntries(patch, "/metadata/annotations", annotations, r.hasAnnotations)
	body, err := json.Marshal(patch)
	if err != nil {
		return "", "", err
	}
	var m metav1.PartialObjectMetadata
	err = k.do(ctx, "patch", k.rest.Patch(types.JSONPatchType).Namespace(at.namespace).Resource("secrets").Name(at.name).SetHeader("Accept", metadataOnly).
		VersionedParams(&metav1.PatchOptions{FieldManager: fieldManager}, parameterCodec).Body(body), &m)
	return m.UID, m.ResourceVersion, err
}

type patchOperation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// appendEntries sets entries of a map beside what else is in it, or the whole
// map where there is none yet.
func appendEntries(patch []patchOperation, path string, entries map[string]string, there bool) []patchOperation {
	if !there {
		return append(patch, patchOperation{"add", path, entries})
	}
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	for key, entry := range entries {
		patch = append(patch, patchOperation{"add", path + "/" + escape.Replace(key), entry})
	}
	return patch
}

// delete removes exactly the Secret that was seen, in the state it was seen in.
func (k *kubeClient) delete(ctx context.Context, at placeKey, uid types.UID, rv string) error {
	return k.do(ctx, "delete", k.rest.Delete().Namespace(at.namespace).Resource("secrets").Name(at.name).
		Body(&metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &rv}}), nil)
}

func (k *kubeClient) event(ctx context.Context, e *corev1.Event) error {
	return k.do(ctx, "event", k.rest.Post().Namespace(e.Namespace).Resource("events").SetHeader("Accept", metadataOnly).Body(e), nil)
}

// outcomes of a request to a cluster, as far as they make a difference.
type refusal uint8

const (
	refusedNot        refusal = iota
	refusedElsewhere          // the cluster as a whole is in trouble
	refusedCredential         // it does not know us
	refusedThrottled          // it asks us to wait
	refusedExists
	refusedConflict // it is not what we thought it was
	refusedGone
	refusedNamespaceMissing
	refusedNamespaceEnds
	refusedForbidden
)

func refusalOf(err error) refusal {
	switch {
	case err == nil:
		return refusedNot
	case apierrors.IsAlreadyExists(err):
		return refusedExists
	case apierrors.IsConflict(err):
		return refusedConflict
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return refusedNamespaceEnds
	case apierrors.IsNotFound(err):
		if details := statusOf(err).Details; details != nil && details.Kind == "namespaces" {
			return refusedNamespaceMissing
		}
		return refusedGone
	case apierrors.IsUnauthorized(err):
		return refusedCredential
	case apierrors.IsTooManyRequests(err):
		return refusedThrottled
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err),
		apierrors.IsMethodNotSupported(err), apierrors.IsNotAcceptable(err), apierrors.IsUnsupportedMediaType(err):
		return refusedForbidden
	}
	if status := statusOf(err); status.Code >= 400 && status.Code < 500 {
		return refusedForbidden
	}
	return refusedElsewhere
}

func statusOf(err error) metav1.Status {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status()
	}
	return metav1.Status{}
}

// retryAfter is how long the server asks us to wait.
func retryAfter(err error) time.Duration {
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok && seconds > 0 {
		return min(time.Duration(seconds)*time.Second, time.Minute)
	}
	return time.Second
}

// serverSaid repeats what an API server said, as far as it can't hold data: of
// an invalid field its name and the kind of mistake, since the text may quote
// what was sent. An admission policy, which answers 422 as well, names no field;
// its text is the only cause there is.
func serverSaid(err error, sent map[string][]byte) string {
	status := statusOf(err)
	switch {
	case status.Code == 0:
		return netCause(err)
	case status.Code >= 500 && status.Reason == metav1.StatusReasonUnknown:
		return "it answered " + strconv.Itoa(int(status.Code)) + " " + http.StatusText(int(status.Code))
	case status.Code == http.StatusUnprocessableEntity || status.Code == http.StatusBadRequest:
		var fields []string
		if status.Details != nil {
			for _, cause := range status.Details.Causes {
				if cause.Field != "" {
					fields = append(fields, fmt.Sprintf("%s: %s", clean(cause.Field), clean(string(cause.Type))))
				}
			}
		}
		if len(fields) == 0 && status.Details != nil && len(status.Details.Causes) > 0 {
			break
		}
		slices.Sort(fields)
		return clean(fmt.Sprintf("it answered %d %s %s", status.Code, status.Reason, strings.Join(fields, ", ")))
	}
	return clean(redact(status.Message, sent))
}

// redact takes values out of a text that came from outside, whole, as their
// lines, quoted or as a Secret spells them: an admission webhook may quote what
// it refuses.
func redact(text string, sent map[string][]byte) string {
	var parts []string
	for _, v := range sent {
		if len(v) > 0 {
			parts = append(parts, base64.StdEncoding.EncodeToString(v))
		}
		for part := range strings.Lines(string(v)) {
			if part = strings.TrimSpace(part); len(part) >= 3 {
				quoted := strconv.Quote(part)
				parts = append(parts, part, quoted[1:len(quoted)-1])
			}
		}
	}
	// Of a value that is the beginning of another the rest must not stay.
	slices.SortFunc(parts, func(a, b string) int { return len(b) - len(a) })
	for _, part := range parts {
		text = strings.ReplaceAll(text, part, "…")
	}
	return text
}
