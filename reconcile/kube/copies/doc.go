// Package copies owns what a Secret is to us: whose copy it is, what it carries and how
// that is read and written. It asks nothing of a cluster.
//
// # What it guarantees
//
//   - It keeps no values: of each Secret a [Copy] of some 500 bytes, and of a write what
//     was [Sent], with a hash of each value that means something in this process alone.
//   - A copy is known as ours by its keyed hash alone, which covers the cluster, the
//     place, the owner and the data. Labels can be copied; the hash can't.
//   - Of a Secret that several share only the entries of a definition's own share are
//     written, and what another manages is left alone (package share has the rules).
//   - What is sent over a Secret that stands says which version of it is meant, so that
//     it has no effect on any other.
//
// # From a Secret to a record and back
//
//	a Secret ──Reader.Read──► Copy: whose, from what, intact?  ──decided elsewhere──► Desired
//	                            ▲                                                        │
//	                Reader.Wrote│Sent.Answered                              Reader.Sends │
//	                            │                                                        ▼
//	                     what stands now ◄──server, admission── Secret, Patch, Anew ◄── Sent
//
// What stands is compared once with what was sent: what differs is its [Alteration].
//
// # The files
//
//	copy            Key, Owner, Stamp, Desired, Copy, and what a copy carries
//	format, hash    how what it carries is to be read, and the keyed hash
//	worn            the labels and annotations of a definition on it
//	reader, follow  a Secret made a record: by itself, and by the record before it
//	shared, divide  a Secret that several share: who has what on it, and who may have what
//	part            one's own share, and what is left without it
//	sent, patch     what is sent, as a Secret and as a patch
//	answered        what stands by the answer
//	alteration      what admission made of it
package copies
