package client

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// Watch begins a watch, which then lasts. To begin one takes a server no time,
// so it has only within to do so.
func (k *Client) Watch(ctx context.Context, of Resource, rv string, lasting, within time.Duration) (watch.Interface, error) {
	seconds := int64(lasting.Seconds())
	began := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	patience := time.AfterFunc(within, cancel)
	w, err := k.rest.Get().Namespace(of.Namespace).Resource(of.Kind).MaxRetries(0).VersionedParams(&metav1.ListOptions{
		LabelSelector: of.Selector, ResourceVersion: rv, TimeoutSeconds: &seconds, Watch: true, AllowWatchBookmarks: true,
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
