package reconcile

import (
	"errors"
	"time"

	apiwait "k8s.io/apimachinery/pkg/util/wait"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube"
)

// explain says in words what a refused request means for the target.
func (w *work) explain(err error) *fault.Fault {
	in := &w.in
	f := func(make func(State, Reason, string, ...any) *fault.Fault, state State, reason Reason, format string) *fault.Fault {
		f := make(state, reason, format, in.at, in.alias, err.Error())
		f.After = after(err)
		return f
	}
	switch kube.RefusalOf(err) {
	case kube.NoNamespace:
		return namespaceNotFound(in)
	case kube.NamespaceEnding:
		return namespaceEnds(in)
	case kube.Unauthorized:
		return f(fault.Transient, Error, ReasonForbidden, "Secret %s can't be reached: cluster %s refuses our credentials, which the operator must renew: %s")
	case kube.Forbidden, kube.Denied, kube.Invalid:
		return f(fault.New, Error, ReasonForbidden, "Secret %s: cluster %s refuses it: %s")
	case kube.AdmissionFailed:
		return f(fault.Transient, Error, ReasonForbidden, "Secret %s: a webhook of cluster %s that has to agree fails: %s; it is tried again by itself")
	case kube.Newer:
		return f(fault.New, Error, ReasonNewerFormat, "Secret %s in cluster %s is left as it is: %s")
	case kube.Kept:
		return f(fault.New, Pending, ReasonSecretTerminating, "Secret %s in cluster %s has to be deleted and made anew, and its finalizers would keep it: %s; nothing was done. Remove them, or delete the Secret")
	}
	return f(fault.Transient, Error, ReasonClusterUnreachable, "Secret %s: cluster %s did not take it: %s; it is tried again by itself")
}

// after is how long the server asks to wait.
func after(err error) time.Duration {
	var r *kube.Refused
	if errors.As(err, &r) {
		return r.After
	}
	return 0
}

const retryFirst = 100 * time.Millisecond

// backoff is how long to wait after so many failures in a row: doubling, with
// jitter, so that those who failed together don't return together, and at most
// as long as others are left alone who are well.
func backoff(failures int, most time.Duration) time.Duration {
	return jitter(min(most, retryFirst<<min(failures-1, 20)))
}

// jitter returns between three quarters of d and d.
func jitter(d time.Duration) time.Duration { return apiwait.Jitter(d-d/4, 1.0/3) }
