// Package verify checks from outside whether what a server says of its copies
// is true. It reads the definitions, the vaults and the clusters by itself,
// compares them with the statuses, and reports each lie in words.
//
// It shares no code with the reconciler, on purpose: a mistake in how a value
// is turned into a Secret, or in what counts as ours, would otherwise be made
// twice and never be seen. What a copy carries and what a reason means is
// written down here once more, from the documentation.
//
// Nothing stands still while it looks, so that a difference alone proves
// nothing. A status is judged only if it was the same before and after the
// rest was looked at, and a difference counts only if each further look finds it
// again until the server has had its time, and several did:
//
//	found first ──looked at again, and again──▶ still there when the time is over: a lie
//	     │
//	     └──▶ once not there, or not to be seen: forgotten
//
// The time is
//
//	Grace            for what the server is told at once: a commit, a change in a cluster
//	Recovery         for what was held up by a vault or a cluster that was away, polls too
//	Grace + Interval for what it finds out by polling: a change in the vault
//
// It guarantees that nothing is written anywhere, and that no value is kept
// longer than one look takes, and only as a digest where its copy is of the whole of
// it. What it can't see it doesn't judge: an admission webhook that says no, a fight
// between two controllers, a difference that comes and goes. Nor does it do over
// what a template makes of a value, or whether data suit a type; see shape.go.
package verify
