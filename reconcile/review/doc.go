// Package review checks the open pull requests of one tenant: it validates and
// plans what each would make of the definitions, and says so in the forge, as a
// status of its head and in one comment that is kept up to date.
//
//	hint, poll ──► open pull requests ──► those not reported yet ──► fetch the head
//	                                                                      │
//	status, comment ◄── plan of HEAD and HEAD with the change ◄── what it changes
//
// What a pull request changes is the difference between its head and where that
// left the branch ([gitstore.Repository.MergeBase]), laid onto the branch as it is
// now. So what the branch has got since is not taken for removed, and two pull
// requests that claim one target are told when the first was merged.
//
// # What becomes of a pull request
//
//	it                                  status                         comment
//	----------------------------------  -----------------------------  ----------------
//	touches no definition               success                        none, or that
//	can be merged as it is              success: what it does          the plan
//	brings a mistake, or something      failure: the first, with       the plan
//	that a person must mend first       file and line
//	can't be fetched or costs too much  error: why                     none
//	can't be fetched or planned just    as it was, tried again with    as it was
//	now                                 growing pauses; of a fetch
//	                                    that goes on failing: error
//	is for another branch               none                           none
//
// A head that was reported is not looked at again until it moves, the branch changes
// a definition that it touches or another one claims a target that it does, or the
// process begins anew; that a value comes or goes is told by the status of the
// definition, after the merge. A few are done at a time and the
// newest first, so that a forge with a thousand open ones is as cheap as one with
// some.
//
// # Strangers
//
// Whoever can open a pull request can propose any path and any namespace. Of one
// that comes from a fork nothing is looked up in the vault or in the clusters: the
// answer would tell strangers which paths have values, under which keys, and which
// Secrets stand where. Its definitions are validated and judged by what is granted
// to the tenant, as it says in the comment. One from a branch of the repository
// itself is by somebody who may push there.
//
// A head is fetched and read within the bounds that hold for pushes, and nothing of
// it is ever synced before it is merged.
package review
