// Package decide says what is to be done about one place, a Secret's name in a
// namespace of a cluster, and how the target that has the place stands until then.
//
// It owns that decision: the one function [Next], what it goes by, an [Input], what it
// says, a [Decision], and what of a place is remembered from one pass to the next, a
// [Record]. Who looks at vault and cluster, keeps the record and does what was decided
// is package reconcile.
//
// # What it guarantees
//
//   - It is pure: it asks nobody, reads no clock and keeps nothing. The same input
//     gives the same decision, so that a status that somebody asks for says what the
//     next pass will do.
//   - A write ([Action.Writes]) is decided only of a value that is in memory, in the
//     version that the vault holds now, and only over what stands in Seen: nothing, the
//     definition's own copy or share, one of its tenant that nobody has any more, or a
//     Secret that allows this definition to adopt it or to share it.
//   - A Secret that was changed again and again is written with growing pauses (see
//     fight.go), and one of which admission makes something else once an interval at
//     most, after a dry run.
//   - While the definition or its tenant is suspended no value is read and nothing is
//     written, or tried.
//   - A decision that waits says for how long, and one that is not Synced says why, in
//     words that name the thing and what to do.
//
// # The order of decisions
//
// The first that applies is the decision:
//
//	asked in this order                     what is decided, if so
//	inCluster (next.go)
//	  the cluster takes no work             Stay: the outage
//	  the namespace is missing, ends, or    Stay
//	    can't be seen
//	  the watch lost sight of the copy      Read
//	  it is of a share                      joining (share.go)
//	whose (next.go)
//	  of a newer format                     Stay: NewerFormat
//	  others of the tenant share it         Stay: TargetConflict
//	  not ours, and not looked at           Read
//	  not ours, and not to be adopted       Stay: NotOwned, TypeMismatch
//	byValue (copy.go)
//	  the vault has no value to copy        Stay: why
//	  nothing is known of the value         Know where a whole copy stands, else Fetch
//	  the vault answers an older version    Confirm
//	  no copy can be made of the values     Stay: why
//	  the copy is right                     agreed: Stay: Synced, or what is told of it besides
//	repair (copy.go)
//	  admission made it another             altered: Stay, or Try once an interval
//	  it is being deleted, or can't be      Stay: SecretTerminating, TypeMismatch
//	    written over
//	  somebody goes on changing it          Wait
//	  the value is not in memory            Fetch
//	  else                                  Create, Update, Replace
//
// A Secret of whose changes nobody tells, and which is left alone, is Read again once an
// interval (lookedAgain).
//
// What lies over that, whatever was decided (Next):
//
//	suspended                               what writes, tries or reads a value becomes Stay (hold.go)
//	another server may have the tenant      what writes, tries or reads a value becomes Wait
//	the last attempt at just this failed    Wait, till its time has come
//	the cluster asked us to wait            Wait
//	a fight lasts, or the vault is down     the action stays; that is told in place of Queued and the like
package decide
