package decide

import (
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/refusal"
)

// Refused says in words what a request that the cluster refused means for the target.
func (in *Input) Refused(err error) *fault.Fault {
	f := func(make func(fault.State, fault.Reason, string, ...any) *fault.Fault, state fault.State, reason fault.Reason, format string) *fault.Fault {
		f := make(state, reason, format, in.At, in.Alias, err.Error())
		f.After = refusal.After(err)
		return f
	}
	switch refusal.DataOf(err) {
	case refusal.Misfit:
		return f(fault.New, fault.Error, fault.ReasonInvalidKey, "Secret %s: what it would hold does not fit its type, as cluster %s has it: %s; mend type and data in the definition, or the value")
	case refusal.TooLarge:
		return f(fault.New, fault.Error, fault.ReasonValueTooLarge, "Secret %s: with what others have in it, it would be larger than cluster %s allows: %s; share another Secret, or less of the value")
	}
	switch refusal.KindOf(err) {
	case refusal.NoNamespace:
		return namespaceNotFound(in)
	case refusal.NamespaceEnding:
		return namespaceEnds(in)
	case refusal.Unauthorized:
		return f(fault.Transient, fault.Error, fault.ReasonForbidden, "Secret %s can't be reached: cluster %s refuses our credentials, which the operator must renew: %s")
	case refusal.Forbidden, refusal.Denied, refusal.Invalid:
		return f(fault.New, fault.Error, fault.ReasonForbidden, "Secret %s: cluster %s refuses it: %s")
	case refusal.AdmissionFailed:
		return f(fault.Transient, fault.Error, fault.ReasonForbidden, "Secret %s: a webhook of cluster %s that has to agree fails: %s; it is tried again by itself")
	case refusal.Newer:
		return f(fault.New, fault.Error, fault.ReasonNewerFormat, "Secret %s in cluster %s is left as it is: %s")
	case refusal.Kept:
		return f(fault.New, fault.Pending, fault.ReasonSecretTerminating, "Secret %s in cluster %s has to be deleted and made anew, and its finalizers would keep it: %s; nothing was done. Remove them, or delete the Secret")
	}
	return f(fault.Transient, fault.Error, fault.ReasonClusterUnreachable, "Secret %s: cluster %s did not take it: %s; it is tried again by itself")
}
