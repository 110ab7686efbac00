// Package githttp serves bare repositories of this machine to Git over HTTP, as
// https://git-scm.com/docs/gitprotocol-http has it. Who may do so was decided
// before: it knows neither keys nor tenants' settings.
//
// Each exchange is one run of stock git: upload-pack for who fetches,
// receive-pack for who pushes. go-git has servers of both, without shallow clones,
// side-bands, negotiation, and the check of what a reference was before; so the
// forges do it, and so it is done here. Without git nothing of it works, which
// [Server.Usable] tells, and nothing else needs git.
//
// What it guarantees:
//   - Git runs in an environment that is closed: no variable of the server's, no
//     configuration of the machine or the user, an empty home, no terminal. What
//     limits it is set above what the repository's own configuration says.
//   - No hook of the repository runs. The one that does is ours, see package
//     prereceive: it says no to a push that it can't judge. Where it can't run,
//     nothing is pushed.
//   - Each run has bounds on time, in all and for each step of the client, on
//     memory and on what is sent to it; their number is bounded for each tenant and
//     in all. What passes through is never held as a whole.
//   - When [Server.Serve] returns, nothing that it started is alive.
//   - A push is not killed because its client leaves, only because it takes too
//     long or the server ends: what is cut short in the middle of moving a
//     reference leaves a lock that somebody has to remove.
//
// How an exchange ends:
//
//	what happens                    fetch                     push
//	------------------------------  ------------------------  --------------------------
//	the client stops sending        git is told the end of    the same: what is there of
//	                                its input, and fails      the pack is thrown away
//	the client stops reading        SIGTERM                   goes on to its end, unread
//	the client goes away            SIGTERM                   as the two above
//	it takes longer than Timeout,   SIGTERM to the whole process group, SIGKILL after
//	Close                           a few seconds
//	git ends                        SIGKILL to what is left of the process group
package githttp
