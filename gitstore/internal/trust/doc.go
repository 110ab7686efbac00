// Package trust judges which commits of a branch count, by who signed them, and keeps
// the key that ours are signed with.
//
// Where commits have to be signed, the newest revision whose first-parent line is
// signed throughout is HEAD for us: from the commit that settings name, or from the
// root, each commit has to bear the signature of a key that is listed. One that
// does not keeps itself and all that follows it from being in force, till it is
// replaced, or till the settings vouch for it:
//
//	since ─ signed ─ signed ─ not signed ─ signed ─ tip of the branch
//	                 in force └ withheld ─────────────────┘
//
// A merge stands for what it merges: its own signature counts, as does that of
// a forge in whose pages it was made, if its key is listed.
//
// A commit is verified once. What is remembered goes when the list changes: a key
// that was taken off it counts no more for what it signed before, and so may bring
// back an older revision; one that was given an end (valid-before) does.
//
// Lists and keys are files, which are read again when they change.
package trust
