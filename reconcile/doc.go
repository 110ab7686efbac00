// Package reconcile brings the copies in the clusters into agreement with what
// the tenants' repositories desire and what their vaults hold, and says at any
// moment how far it has come.
//
// It owns every conversation with Vault and with the clusters. Its work is
// gather, plan, apply: what concerns one vault path of one tenant is gathered,
// a pure function turns it into ordered steps, each with its reason, and the
// steps are applied. A value is read once for all its targets and lives only
// until they are written.
//
// It guarantees:
//   - A Secret that does not bear the tenant's labels is never written, unless
//     it bears the annotation that allows exactly this definition to adopt it,
//     or a keyed hash proves that it is our own copy with its labels removed.
//   - No Secret is ever deleted, except to replace our own copy where its type
//     or its immutability forbids an update, and on the explicit removal of
//     orphans.
//   - A copy that is right is not written, after a restart neither.
//   - A cluster or a vault that is slow or down holds up only what needs it.
//   - Status never says Synced where no Secret stands, and no value, token or
//     key leaves the package in a status, a log line, a metric or an event.
//
// It loses nothing at a crash: all it remembers is rebuilt from the
// repositories, the vaults and the annotations on the copies.
package reconcile
