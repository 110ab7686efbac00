package kube

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"time"

	"golang.org/x/time/rate"
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
)

// client makes the few requests we make, over one connection. Each has its own
// time limit and none is repeated: when to do that is for whoever asks. Its
// errors are those of client-go; [refused] makes of them what leaves the room.
type client struct {
	rest    *rest.RESTClient
	way     *way
	bearer  *bearer
	limits  func() Config // in force now
	limiter *rate.Limiter
	metrics Metrics
}

// newClient prepares a connection; it makes no request.
func newClient(w *way, c credentials, limits func() Config, limiter *rate.Limiter, m Metrics) (*client, error) {
	k := &client{way: w, bearer: new(bearer), limits: limits, limiter: limiter, metrics: m}
	k.bearer.token.Store(&w.token)
	cfg := rest.CopyConfig(w.rest)
	if c.token != "" {
		k.bearer.token.Store(&c.token)
	}
	if len(c.certificate) > 0 {
		cfg.CertData, cfg.KeyData = c.certificate, c.key
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
	// A dialer of its own keeps the library from handing out a transport that it
	// made before, with a connection that may be dead without being known to be.
	if cfg.Dial == nil {
		dialer := &net.Dialer{Timeout: probeLimit, KeepAlive: 30 * time.Second}
		cfg.Dial = dialer.DialContext
	}
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { k.bearer.next = next; return k.bearer })
	var err error
	if k.rest, err = rest.RESTClientFor(cfg); err != nil {
		return nil, &blocked{"its certificates, address or way to log in can't be used", err}
	}
	return k, nil
}

// do makes one request, counts it and bounds its time.
func (k *client) do(ctx context.Context, verb string, r *rest.Request, into runtime.Object) error {
	if err := k.limiter.Wait(ctx); err != nil {
		return err
	}
	return k.timed(ctx, verb, k.limits().timeout(), answered(r, into))
}

// ask makes a small request about the server itself, which waits for no other
// and is made again while it is not answered.
func (k *client) ask(ctx context.Context, verb string, r func() *rest.Request, into runtime.Object) error {
	return k.timed(ctx, verb, probeLimit, func(ctx context.Context) error {
		return taken(insist(ctx, func(ctx context.Context) rest.Result { return r().MaxRetries(0).Do(ctx) }), into)
	})
}

func answered(r *rest.Request, into runtime.Object) func(context.Context) error {
	return func(ctx context.Context) error { return taken(r.MaxRetries(0).Do(ctx), into) }
}

func taken(result rest.Result, into runtime.Object) error {
	if err := result.Error(); err != nil || into == nil {
		return err
	}
	return result.Into(into)
}

func (k *client) timed(ctx context.Context, verb string, limit time.Duration, request func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	err := request(ctx)
	k.count(verb, err, began)
	return err
}

func (k *client) count(verb string, err error, began time.Time) {
	if k.metrics != nil {
		k.metrics.Request(k.limits().Name, verb, kindOf(err), time.Since(began))
	}
}

// probeLimit bounds small questions about the server itself: one that is well
// has told within a few seconds.
const probeLimit = 5 * time.Second

func (k *client) version(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
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

// system returns the UID of the namespace by which a cluster is known.
func (k *client) system(ctx context.Context) (types.UID, error) {
	var ns metav1.PartialObjectMetadata
	err := k.ask(ctx, "get", func() *rest.Request {
		return k.rest.Get().Resource("namespaces").Name(metav1.NamespaceSystem).SetHeader("Accept", metadataOnly)
	}, &ns)
	return ns.UID, err
}

// ready reports whether the server says that it is ready. Nearly everybody may ask.
func (k *client) ready(ctx context.Context) bool {
	return k.ask(ctx, "get", func() *rest.Request { return k.rest.Get().AbsPath("/readyz") }, nil) == nil
}

// probe reads something small through all of the server, its storage included,
// with the rights that are needed anyway: a listing of at most the one Secret of
// a name that nobody has, which the server looks up and does not search for. It
// returns the resource version that the server is at.
func (k *client) probe(ctx context.Context, namespace string) (string, error) {
	var list metav1.PartialObjectMetadataList
	err := k.ask(ctx, "list", func() *rest.Request {
		return k.rest.Get().Namespace(namespace).Resource("secrets").SetHeader("Accept", metadataOnlyList).
			VersionedParams(&metav1.ListOptions{FieldSelector: "metadata.name=secretsync.probe", Limit: 1}, parameterCodec)
	}, &list)
	return list.ResourceVersion, err
}

const metadataOnlyList = protobuf + ";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1," + "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

// watch begins a watch, which then lasts. To begin one takes a server no time,
// so it has only within to do so.
func (k *client) watch(ctx context.Context, f *feed, rv string, lasting, within time.Duration) (watch.Interface, error) {
	seconds := int64(lasting.Seconds())
	began := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	patience := time.AfterFunc(within, cancel)
	w, err := k.rest.Get().Namespace(f.namespace).Resource(f.resource).MaxRetries(0).VersionedParams(&metav1.ListOptions{
		LabelSelector: f.selector, ResourceVersion: rv, TimeoutSeconds: &seconds, Watch: true, AllowWatchBookmarks: true,
	}, parameterCodec).Watch(ctx)
	if !patience.Stop() {
		err = context.DeadlineExceeded
	}
	k.count("watch", err, began)
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

func (k *client) secret(ctx context.Context, at Key) (*corev1.Secret, error) {
	var s corev1.Secret
	err := k.do(ctx, "get", k.rest.Get().Namespace(at.Namespace).Resource("secrets").Name(at.Name), &s)
	return &s, err
}

func (k *client) create(ctx context.Context, s *corev1.Secret, dry bool) (*metav1.PartialObjectMetadata, error) {
	options := &metav1.CreateOptions{FieldManager: FieldManager}
	if dry {
		options.DryRun = []string{metav1.DryRunAll}
	}
	var m metav1.PartialObjectMetadata
	err := k.do(ctx, "create", k.rest.Post().Namespace(s.Namespace).Resource("secrets").SetHeader("Accept", metadataOnly).
		VersionedParams(options, parameterCodec).Body(s), &m)
	return &m, err
}

// secretSince reads a Secret as it was at a resource version, or later: that a
// server answers from memory, where it asks etcd for what is newest. One that is
// behind is asked for the newest after all.
func (k *client) secretSince(ctx context.Context, at Key, rv string) (*corev1.Secret, error) {
	if rv == "" {
		return k.secret(ctx, at)
	}
	var s corev1.Secret
	err := k.do(ctx, "get", k.rest.Get().Namespace(at.Namespace).Resource("secrets").Name(at.Name).
		VersionedParams(&metav1.GetOptions{ResourceVersion: rv}, parameterCodec), &s)
	if apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge) {
		return k.secret(ctx, at)
	}
	return &s, err
}

// patch changes a Secret by a JSON patch.
func (k *client) patch(ctx context.Context, at Key, patch []byte) (*metav1.PartialObjectMetadata, error) {
	var m metav1.PartialObjectMetadata
	err := k.do(ctx, "patch", k.rest.Patch(types.JSONPatchType).Namespace(at.Namespace).Resource("secrets").Name(at.Name).SetHeader("Accept", metadataOnly).
		VersionedParams(&metav1.PatchOptions{FieldManager: FieldManager}, parameterCodec).Body(patch), &m)
	return &m, err
}

// delete removes exactly the Secret that was seen, in the state it was seen in.
// kept says that finalizers keep it.
func (k *client) delete(ctx context.Context, at Key, uid types.UID, rv string) (kept bool, err error) {
	r := k.rest.Delete().Namespace(at.Namespace).Resource("secrets").Name(at.Name).SetHeader("Accept", metadataOnly).
		Body(&metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &rv}})
	if err := k.limiter.Wait(ctx); err != nil {
		return false, err
	}
	err = k.timed(ctx, "delete", k.limits().timeout(), func(ctx context.Context) error {
		answer, err := r.MaxRetries(0).Do(ctx).Get()
		// A Secret that is gone is answered by a Status.
		if m, ok := answer.(metav1.Object); ok && err == nil {
			kept = m.GetDeletionTimestamp() != nil && len(m.GetFinalizers()) > 0
		}
		return err
	})
	return kept, err
}
