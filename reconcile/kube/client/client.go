package client

import (
	"context"
	"net"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	"secretsync/reconcile/kube/refusal"
	"secretsync/reconcile/kube/way"
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

// Limits are what bounds requests now.
type Limits struct {
	Request, Page time.Duration // each request, and each page of a listing
}

// Metrics counts the requests to a cluster.
type Metrics interface {
	// Request is one request that ended; of a watch, that began. verb is one of
	// get, list, watch, create, patch, delete and event.
	Request(verb string, outcome refusal.Kind, took time.Duration)
}

// Resource is what is listed or watched, in one namespace or everywhere.
type Resource struct {
	Kind      string // secrets or namespaces
	Namespace string // empty: everywhere
	Selector  string // of labels; empty: all
}

// Client makes the few requests we make, over one connection. Each has its own
// time limit and none is repeated: when to do that is for whoever asks. Its
// errors are those of client-go; package refusal makes of them what leaves the room.
type Client struct {
	Way     *way.Way    // by which it reaches the server
	Bearer  *way.Bearer // has the token that is sent
	rest    *rest.RESTClient
	limits  func() Limits // in force now
	limiter *rate.Limiter
	metrics Metrics
}

// New prepares a connection; it makes no request.
func New(w *way.Way, c way.Credentials, limits func() Limits, limiter *rate.Limiter, m Metrics) (*Client, error) {
	k := &Client{Way: w, Bearer: new(way.Bearer), limits: limits, limiter: limiter, metrics: m}
	k.Bearer.Token.Store(&w.Token)
	cfg := rest.CopyConfig(w.REST)
	if c.Token != "" {
		k.Bearer.Token.Store(&c.Token)
	}
	if len(c.Certificate) > 0 {
		cfg.CertData, cfg.KeyData = c.Certificate, c.Key
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
	cfg.Wrap(k.Bearer.Wrap)
	var err error
	if k.rest, err = rest.RESTClientFor(cfg); err != nil {
		return nil, &way.Blocked{Said: "its certificates, address or way to log in can't be used", Detail: err}
	}
	return k, nil
}

// do makes one request, counts it and bounds its time.
func (k *Client) do(ctx context.Context, verb string, r *rest.Request, into runtime.Object) error {
	if err := k.limiter.Wait(ctx); err != nil {
		return err
	}
	return k.timed(ctx, verb, k.limits().Request, answered(r, into))
}

// ask makes a small request about the server itself, which waits for no other
// and is made again while it is not answered.
func (k *Client) ask(ctx context.Context, verb string, r func() *rest.Request, into runtime.Object) error {
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

func (k *Client) timed(ctx context.Context, verb string, limit time.Duration, request func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	err := request(ctx)
	k.count(verb, err, began)
	return err
}

func (k *Client) count(verb string, err error, began time.Time) {
	if k.metrics != nil {
		k.metrics.Request(verb, refusal.KindOf(err), time.Since(began))
	}
}

// Close closes the connections that nothing goes over.
func (k *Client) Close() { k.rest.Client.CloseIdleConnections() }
