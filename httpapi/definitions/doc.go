// Package definitions answers what is asked of a tenant's definitions: what they are and
// were, how they stand, and writes, which are commits or become proposals.
//
// It guarantees:
//   - Reading what is at HEAD takes no Git, no lock and no waiting, but where it is asked for.
//   - A write is one commit, durable when it is answered, or a pull request where that is
//     asked for or the tenant's way; all operations of a request are made, or none.
//   - Who writes is told in the answer which targets another definition holds, also where
//     the reconciler has not come to it yet.
package definitions
