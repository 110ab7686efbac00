// Package index works out what a commit holds: the catalog of HEAD, with the revision
// of each definition, by a walk along the first parents; and that of any other commit,
// without one.
//
// What it guarantees:
//
//   - It says what git log says, of any history: whether it was followed commit by
//     commit, met as a whole, or found in a cache.
//   - From a state that is known the cost is in proportion to what happened since. It
//     is bounded in any case, see package budget; what is over is an error.
//   - Entries that no commit has touched are the same ones as before.
//   - Of more definitions than are allowed, those with the lesser names are served; a
//     walk keeps nothing of the others.
//   - A cache is believed as far as it agrees with the commit it is about.
//
// A [State] is what is known at HEAD and what a write goes on from; a [Walk] reads
// commits for one task.
package index
