package kube

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"

	"secretsync/reconcile/kube/client"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/refusal"
)

// events writes events into the cluster. client-go's correlator makes one of
// equal ones, combines similar ones and bounds those of one Secret; its
// broadcaster is left out, since its goroutine can't be waited for and it
// repeats what failed for two minutes while everything behind it waits. Events
// are a courtesy: what can't be told soon is dropped.
type events struct {
	cluster    *Cluster
	queue      chan *corev1.Event
	correlator *record.EventCorrelator
}

const (
	eventsWaiting  = 256
	eventsInterval = 100 * time.Millisecond // at most so often
	eventsDenied   = time.Hour              // after a denial, until it is tried again
)

func newEvents(c *Cluster) *events {
	return &events{
		cluster: c, queue: make(chan *corev1.Event, eventsWaiting),
		correlator: record.NewEventCorrelatorWithOptions(record.CorrelatorOptions{Clock: c.clock}),
	}
}

func (e *events) warn(at copies.Key, reason, message string) {
	now := metav1.NewTime(e.cluster.clock.Now())
	event := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: at.Namespace,
			// A Secret's name may be as long as an event's; what tells them apart is the time.
			Name: fmt.Sprintf("%.200s.%x", at.Name, now.UnixNano()),
		},
		InvolvedObject:      corev1.ObjectReference{APIVersion: "v1", Kind: "Secret", Namespace: at.Namespace, Name: at.Name},
		Type:                corev1.EventTypeWarning,
		Reason:              reason,
		Message:             message,
		Source:              corev1.EventSource{Component: copies.ManagedBy},
		ReportingController: copies.ManagedBy,
		FirstTimestamp:      now,
		LastTimestamp:       now,
		Count:               1,
	}
	select {
	case e.queue <- event:
	default:
	}
}

// run writes events until ctx ends.
func (e *events) run(ctx context.Context) {
	c := e.cluster
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-e.queue:
			k := c.client.Load()
			if k == nil || c.Outage() != nil {
				continue
			}
			switch refusal.KindOf(e.write(ctx, k, event)) {
			case refusal.Forbidden:
				c.log.Info("events can't be written; allow create and patch on events to tell users in the cluster why a Secret is missing")
				sleep(ctx, c.clock, eventsDenied)
			default:
				sleep(ctx, c.clock, eventsInterval)
			}
		}
	}
}

// write writes one event, or counts one more of an older one.
func (e *events) write(ctx context.Context, k *client.Client, event *corev1.Event) error {
	result, err := e.correlator.EventCorrelate(event)
	if err != nil || result.Skip {
		return err
	}
	event = result.Event
	var written *corev1.Event
	if event.Count > 1 {
		written, err = k.PatchEvent(ctx, event.Namespace, event.Name, result.Patch)
	}
	if event.Count <= 1 || refusal.KindOf(err) == refusal.Gone { // events go by themselves after an hour
		event.ResourceVersion = ""
		written, err = k.CreateEvent(ctx, event)
	}
	if err == nil {
		e.correlator.UpdateState(written)
	}
	return err
}
