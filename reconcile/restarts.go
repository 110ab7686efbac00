package reconcile

import (
	"secretsync/reconcile/decide"
	"secretsync/reconcile/restart"
	"secretsync/reconcile/status"
)

// hashShown is how many characters of a copy's keyed hash workloads bear.
const hashShown = 32

// copyName is by what name a workload remembers the target's copy: that of the Secret,
// and of a share with the definition's behind it, as several may have one there. No
// Secret's name has such a line in it.
func (t *target) copyName() string {
	if t.merges {
		return t.at.Name + "_" + t.owner.Name
	}
	return t.at.Name
}

// restart has the workloads of the target restarted for which a copy that stands
// right is another than what their pods were started with.
func (w *work) restart() {
	t := w.target
	identity := t.connection.identity.Load()
	if t.spec.Restart.IsZero() || identity == nil {
		return
	}
	if w.in.Suspended != decide.Working {
		t.forgetRestarts() // what is under way as well; when it goes on the workload tells what it missed
		return
	}
	if !w.Right {
		return
	}
	if before := t.restarts.Load(); before != nil && *before != *identity {
		t.forgetRestarts() // the connection leads to another cluster now
	}
	t.restarts.Store(identity)
	t.tenant.restarter.Stands(t, restart.Copy{
		Identity: *identity, Cluster: &fenced{t.connection.kube, t.tenant.may}, Name: t.connection.name, Namespace: t.at.Namespace, Secret: t.copyName(),
		Hash: w.in.Seen.Copy.Digest.String()[:hashShown], Interval: w.in.Interval,
	}, t.spec.Restart.Workloads())
}

// forgetRestarts ends restarting for a target that goes, or rests.
func (t *target) forgetRestarts() {
	if identity := t.restarts.Swap(nil); identity != nil {
		t.tenant.restarter.Forget(t, *identity, t.at.Namespace, t.copyName(), t.spec.Restart.Workloads())
	}
}

// restartStatuses tells how the workloads of the target's list stand; nil where it
// has none.
func (t *target) restartStatuses() []status.Restart {
	if t.spec.Restart.IsZero() {
		return nil
	}
	var all []status.Restart
	for _, name := range t.spec.Restart.Workloads() {
		s := status.Restart{Workload: name, State: restart.Waiting}
		if identity := t.restarts.Load(); identity != nil {
			if stands, ok := t.tenant.restarter.Standing(*identity, t.at.Namespace, t.copyName(), name); ok {
				s.State, s.Message, s.Restarted = stands.State, stands.Message, stands.Restarted
			}
		}
		all = append(all, s)
	}
	return all
}
