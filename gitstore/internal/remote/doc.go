// Package remote is one exchange with a Git server: what references it has, a
// fetch, a push. It knows nothing of stores, tenants or what commits are about.
//
// A [Remote] is one repository at an [Endpoint], over HTTP or SSH. [Hosts] is
// what the remotes of a process share. Its rooms, which know nothing of each
// other:
//
//	wire        Git's protocol, as bytes
//	credential  who we are and who they are, from files that are followed
//
// What it guarantees:
//   - An exchange ends: the remote has the timeout to answer, and another second
//     for every 16 KiB that moves. How much may come is bounded, and what comes
//     costs bounded memory: references that nobody asked for are not kept, a pack
//     passes through.
//   - A push is one request. Its old hashes are the compare-and-swap. It is made
//     once: only where the server has refused to look at it (status 401) is it
//     made again. If its answer is lost that is said, see [Unknown].
//   - Credentials go to the configured host alone, and in no text that leaves
//     this package. No redirect leads to another origin. What the environment says
//     of proxies counts for nothing.
//   - A host is asked by a bounded number of exchanges at a time. If it wants to
//     be left alone it is, whoever asks.
//   - SSH speaks only with hosts whose key is known.
//
// # What an exchange costs
//
//	deed              over HTTP                             over SSH, on the connection kept
//	----------------  ------------------------------------  --------------------------------
//	Refs              one POST (ls-refs of version 2); GET  one channel
//	                  before it the first time at a host.
//	                  Version 0: one GET, of all references
//	Fetch             one POST                              one channel
//	OpenPush, Push    one GET, of all references; one POST  one channel
//
// # Fetches with servers that ask for multi_ack
//
// Azure DevOps refuses clients that don't offer multi_ack, which go-git 5 does
// not. A fetch here offers it, see package wire, and costs there what it costs
// everywhere. If the server knows none of the haves that costs as much as a clone.
//
// # Why not go-git's transport
//
// Besides what package wire says: its sessions over SSH make a connection each
// and leave what stalls to whoever waits, as reading there knows no context; its
// HTTP sessions ask for all references before each fetch; and it does not tell
// whether a request that failed had been sent.
package remote
