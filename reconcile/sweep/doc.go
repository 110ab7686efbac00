// Package sweep owns what becomes of a tenant's copies that no definition claims any
// more, its orphans: which of them are proven to be ours, which go by themselves, which
// list of them is held until somebody releases it, and when it is time to look.
//
// It sees no cluster and no definition at work. What nobody claims, and how a Secret is
// deleted, says its [Ground]; what the history says, its [Repository]; which copies go,
// package cleanup, which is pure.
//
// # A copy that nobody claims
//
//	its hash does not hold                        in doubt: shown, and never deleted
//	its commit is not of its definition's history in doubt
//	neither                                       an orphan: it goes when somebody removes it by hand
//	... and both it and its definition say that   it goes by itself, as far as the brake allows; what it
//	  it goes with its target                     holds goes when that very list is released
//
// # What is guaranteed
//
//   - Nothing is removed that is in doubt, or that changed since it was listed.
//   - By itself a copy goes only by the snapshot that was proven to be HEAD when it was
//     listed; where that can't be told the error matches [ErrNotYet], and nothing goes.
//   - A list is released as a whole, by its id, or not at all.
//   - It is a loop over what stands now, not over what happened: a crash between a commit
//     and a deletion loses nothing.
package sweep
