// Package shard decides which of several replicas of the server works for which tenant.
//
// It owns the Leases of the replicas in one namespace of their own cluster, and nothing
// else. A tenant belongs to one of a fixed number of shards by its name alone ([Of]). Each
// shard has a Lease, which client-go's leader election acquires, renews and releases. Each
// replica also has a Lease of its own, which says that it lives, where the others reach it,
// and with how many shards it works. From the names of those who live each replica works out
// by itself, and all alike, which shards are its own ([Assign]). One watch follows all Leases;
// nothing polls but the elections that wait for a Lease.
//
// A shard's Lease at one replica:
//
//	state        wanted  Lease     May    how it goes on
//	idle         no      –         false  a member came or went: campaigning
//	campaigning  yes     others'   false  acquired when it is free: held; no longer wanted: idle
//	held         yes     ours      true   no longer wanted: leaving; not renewed in time: lost
//	leaving      no      ours      false  the program has settled without it: released, idle
//	lost         any     ours, or  false  renewed once more, or acquired anew: held, as another
//	                     anybody's        tenure; the election ended: idle or campaigning
//
// # What is guaranteed
//
//   - A replica wants its fair share of shards: the shares of any two that live differ by one
//     at most. Who comes takes no shard by force; the others hand over what they no longer want.
//   - A shard is given up in order: first [Replica.May] turns false, so that no write begins
//     any more, then the program ends its work ([Replica.Settled]), then the Lease is released,
//     and who waits for it is told by the watch. With the Lease is left where the branches of its
//     tenants stood, so that who takes it knows of those that it has prepared for whether anything
//     happened since ([Holding.LeftAt]). That counts once, and never where the Lease expired.
//   - Shards are handed over a few at a time, in at most eight rounds, so that each tenant is without
//     a holder for as long as those of its round take. The replicas that are to have the shards of
//     later rounds know it beforehand ([Holding.Comes]) and in which order ([Holding.CompareTurns]), and
//     can prepare. They say for which shards they are prepared ([Replica.Preparing]), and those are handed
//     over first; the others not before four lease times, or, by one that is about to end, two thirds of
//     one. Several who hand over at the same time take turns, so that one that comes is not given a shard
//     by each of them at once.
//   - So do those who are to have the shards of a replica that has missed three renewals, which is
//     two fifths of the lease time. They take nothing before that is over: if the replica was only
//     slow, they have prepared in vain.
//   - A replica that is about to end ([Replica.Leave]) hands over all it has in that way, while it
//     works on for those that it still has.
//   - While a tenant is on its way from one that lives to another one, that is said of it
//     ([Replica.ChangesHands]), and when it has come ([Replica.Moved]), so that what is asked can wait.
//   - The shards of a replica that died are free when their Leases were not renewed for the
//     lease time, as each of the others saw it by its own clock. No time that another machine
//     wrote is ever compared: a wall clock may be wrong by hours, or be set. Time in which a
//     replica was stopped, or by which its clock jumped, makes no Lease of the others old.
//   - What somebody edits by hand in a Lease costs at most that Lease's shard, till its holder has
//     renewed it, and for [MostLease] if it names another holder. A number of shards that can't be
//     is none, nor is an address that can't be dialed one, and a Lease lasts no shorter and no longer
//     than a replica's can.
//   - [Replica.May] is true for two thirds of the lease time from when the last renewal that
//     succeeded was sent, by the monotonic clock. Others may take the Lease a third of the lease
//     time later at the earliest. So a process that was stopped, or can't reach the API server,
//     begins no write when others may have taken its shards.
//
// # Why an overlap is harmless
//
// A Lease fences no server that a write goes to. What [Replica.May] let through may still be on
// the wire when the shard has another holder: the process was stopped between the question and
// the write, or, asleep with its whole machine, had no clock that ran. Such a write does no harm,
// because none is blind. A copy is written under the resourceVersion of what was looked at, and
// created only where none stands: the slower of two is refused and looks again. A commit is
// pushed as a compare-and-swap of the branch at the remote: the slower of two is refused, and
// answered only after it was replayed onto what the other one made. So shards spread work; they
// are not what keeps it right.
//
// # How many shards
//
// The number is the same for all replicas at a time, because a tenant's shard depends on it. In
// force is the number by which shards are held now, and while none is held, that of the live
// replica whose name sorts first. A replica with another one holds nothing, says so ([Replica.Err])
// and waits till the others are gone.
package shard
