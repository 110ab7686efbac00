// Package operation says what can be asked of a definition, and works out what comes of it: an
// [Operation] is one change of one definition, and a [Write] is those that become one commit.
//
// Of a write it guarantees:
//
//   - All of its operations are made, or none, and no two are on one definition.
//   - Limits and claims are judged by what would stand after all of them, so that two definitions
//     can swap their targets.
//   - What changes nothing is no edit: where there is nothing to change there is no commit.
//   - The first operation that can't be made is the one that is told.
//
// It is pure: a write is judged on top of a draft, as often as others are faster, and what it
// comes to is an edit in memory. Who writes, in whose turn and how it gets on a disk is the
// business of package gitstore.
package operation
