// Package restart has workloads start their pods anew when the data of a copy
// that they use changed: it owns what a target's restart list brings about.
//
// # What it guarantees
//
//   - A restart is made once for each change of a copy's data: what a workload's
//     pods were started with stands on the workload itself, as a keyed hash, and is
//     set in the same request that restarts it. A crash before that request makes
//     it later, one after it does not repeat it.
//   - It is never made when a copy is first made, when only its labels or
//     annotations change, when the list is new, or when a copy that somebody
//     edited is put right. Whose copy it is counts as data: one that another
//     definition takes over is another copy.
//   - Copies that change within a moment of each other restart a workload once.
//   - Whatever becomes of a restart, the copy is not touched and not held up.
//
// # What stands where
//
// For each Secret there is an annotation restart.secretsync.dev/<Secret> with the
// hash of the data that the pods were started with: on the workload, which is the
// record; and once it was restarted for that Secret on the pod template, which is
// what makes Kubernetes replace the pods. A Secret's name that is too long for an
// annotation is shortened and ends in a hash of it.
//
//	on the workload   the copy                        what is done
//	----------------  ------------------------------  ----------------
//	the same hash     any                             nothing
//	another hash      any                             restart
//	none              changed since the workload was  restart
//	                  made, as this process has seen
//	none              else                            the hash is noted, without a restart
//
// The third row is for a workload that is made after its copy: it is looked for
// once an interval until it is there, and the copy may change in between.
//
// # The life of a request
//
//	Copy stands ──► noted ──► due after a moment ──► read the workload ──► plan ──► mark
//	                  ▲                                    │                         │
//	                  └── after an interval ── missing, no right          changed meanwhile: again
//	                      with growing pauses ── the cluster is away
//
// At rest nothing is under way: a workload whose copies did not change is not
// looked at again.
package restart
