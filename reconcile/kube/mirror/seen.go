package mirror

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
)

// Observer is told that what is known of a cluster changed. It is called
// without any lock held and from many goroutines; it may call Look and the
// like, and must return soon.
//
// What the answer to a request of ours has told the watch does not tell again, but
// others than who asked may wait for it. So it is told of that too: of a create and an
// update when the watch confirms it ([copies.Copy].Unconfirmed), of all else by who asked,
// as soon as it is answered.
type Observer interface {
	// Changed: another Secret, or none, stands in this place, or it stands
	// there in another way.
	Changed(copies.Key)
	// Everything in a namespace may have changed; "" is the whole cluster: it
	// came or went, or another cluster stands behind the name.
	Everything(namespace string)
}

// NamespaceState is what is known of a namespace.
type NamespaceState uint8

// The states of a namespace.
const (
	NamespaceUnknown     NamespaceState = iota // we may not see it, or did not yet
	NamespaceThere                             // it is there
	NamespaceMissing                           // it is not
	NamespaceTerminating                       // it is being deleted
)

// Seen is what is known of one place.
type Seen struct {
	// Copy is the Secret that stands there, whoever's it is (see Copy.Owner and
	// Copy.Watched). nil: none that bears our label, and none was read.
	Copy *copies.Copy
	// Left: the watch told that the copy which stood there is gone. It was
	// deleted, or it lost the label that we watch by; Read tells which. False
	// again as soon as anything is read or written there.
	Left      bool
	Namespace NamespaceState
	// NamespaceUID tells the namespace from one of its name that was there before; empty
	// where it is missing or unknown.
	NamespaceUID string
	// Fault is why it is not known what stands in this namespace, while the
	// cluster as a whole can be used: it is just being listed, or we may not
	// list Secrets there.
	Fault *fault.Fault
}

func stateOf(o metav1.Object) NamespaceState {
	if o.GetDeletionTimestamp() != nil {
		return NamespaceTerminating
	}
	return NamespaceThere
}
