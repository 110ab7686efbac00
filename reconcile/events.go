package reconcile

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// events tells users of a cluster, in the namespace itself, why a Secret is not
// there or not up to date: they may see neither the repository nor our API.
// It is a courtesy: what can't be told soon is dropped.
type events struct {
	cluster *cluster
	queue   chan *corev1.Event
}

const (
	eventsWaiting  = 256
	eventsInterval = 100 * time.Millisecond // at most so often
	eventsDenied   = time.Hour              // after a denial, until it is tried again
)

func newEvents(c *cluster) *events {
	return &events{cluster: c, queue: make(chan *corev1.Event, eventsWaiting)}
}

// warn queues an event about a target, if it is of a kind that helps in the cluster.
func (e *events) warn(t *target, o *outcome) {
	switch o.reason {
	case ReasonNotOwned, ReasonTargetConflict, ReasonValueDeleted, ReasonInvalidKey, ReasonValueTooLarge, ReasonForbidden:
	default:
		return // of the cluster itself, the vault or the configuration
	}
	now := metav1.NewTime(e.cluster.clock.Now())
	event := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: t.key.namespace,
			// A Secret's name may be as long as an event's; what tells them apart is the time.
			Name: fmt.Sprintf("%.200s.%x", t.key.name, now.UnixNano()),
		},
		InvolvedObject:      corev1.ObjectReference{APIVersion: "v1", Kind: "Secret", Namespace: t.key.namespace, Name: t.key.name},
		Type:                corev1.EventTypeWarning,
		Reason:              string(o.reason),
		Message:             o.message,
		Source:              corev1.EventSource{Component: managedBy},
		ReportingController: managedBy,
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
			client := c.client.Load()
			if client == nil || c.down.Load() != nil {
				continue
			}
			switch refusalOf(client.event(ctx, event)) {
			case refusedForbidden:
				c.log.Info("events can't be written; allow create on events to tell users in the cluster why a Secret is missing")
				sleep(ctx, c.clock, eventsDenied)
			default:
				sleep(ctx, c.clock, eventsInterval)
			}
		}
	}
}
