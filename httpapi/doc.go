// Package httpapi serves the HTTP contract: it owns the API's routes and every
// answer's status, headers and form. Here are the table of routes, who is let in, and the
// wiring; the rest has rooms of its own, in the order in which a request meets them:
//
//	listen    connections, until there is a request
//	exchange  one request and its answer: the way of all of them, up to the line in the log
//	forward   the replica that is to answer it
//	limit     how much may be asked for
//	apikey    the keys, and whether one is right
//	header    what the header of a request asks for
//	body      what its body says
//	definitions, commits, clusters, keys
//	          the handlers: what is asked of those of a tenant
//	clones    the same for stock git
//	probes    the same for who keeps an eye on the process
//	render    what answers are made of
//	kept      answers that are given again
//	problem   errors, as clients are told them
//	tenants   what the server is given of each tenant
//
// It guarantees:
//   - Every request passes one place, [Server.serveOn], which checks in a fixed
//     order: whose tenant it is, key, tenant, route, role. Only then is the body read,
//     and only then is looked at what is stored. What a client may not know can't
//     therefore show in an answer, nor in how long it takes.
//   - GET of definitions is answered from a snapshot: no Git, no lock, no
//     waiting. A write is answered when its commit is durable.
//   - Request bodies are parsed, once, into gitstore's types. What does not
//     parse is refused with the field and the reason; nothing is guessed.
//   - An error of a kind that is not in the one table of package problem is 500
//     without its text. The log has it, once, with the request's id.
//   - What is logged and counted are parsed names, ids and revisions: never a
//     path, a query, a header or a body as it came in.
//
// # Choices where the contract leaves one
//
//   - OPTIONS tells the methods of a path without a key; they are in the public
//     description as well. Every other request below /api needs a key first, so
//     that a path that does not exist is 401 without one. With one it is 404,
//     and a method that does not exist is 405 with Allow.
//   - A path with a percent sign is 404: no name needs one, and what a proxy
//     before us took it for is unknown. Nothing is redirected: a doubled or
//     trailing slash is 404.
//   - The ETag of a tenant, of a cluster and of a commit's standing, whose answers stand for no one
//     commit, is a hash of the answer: another one whenever the answer is. As
//     with the others, If-None-Match is not honoured.
//   - A commit that is in the repository but not in the history of the followed
//     branch is 404, as one that is not there at all. What live means is told at
//     package live.
//   - Pages of a list go by name: each definition that stands from the first page
//     to the last is on exactly one of them, as it stood when that was asked for.
//   - Two Authorization headers are 401. A malformed If-Match is 400; a
//     well-formed tag that is no revision matches nothing, 412.
//   - Without Content-Type a body is taken for what it holds. With one it must
//     be application/json or application/…+json, as UTF-8; a Content-Encoding
//     is 415.
//   - Of definitions that claim one target, the one that claimed it first is
//     taken for its holder; after a start, the one with the least name. A holder
//     is not refused with handling=strict because others wait for what it has.
//   - In a write's answer TargetConflict goes before ClusterNotFound: somebody
//     else's claim has to be seen to in any case. There are at most ten Warning
//     fields.
//   - POST …/secrets:batch changes a definition once: what is to be made anew
//     under its name takes two requests. The first operation that can't be made
//     is the one that is told.
//   - POST …/plan changes nothing and is open to readonly keys. Of a definition
//     that is invalid in what is proposed the version before stays in force, as it
//     would after a push. What is over the bounds of looking is told as not looked
//     up, and is no error.
//   - POST …/revert is 404 where the definition never was, and where the commit did
//     nothing to it; If-Match on one that is not there is 412. It answers 200 where
//     the definition is there afterwards, also where it was not before, else 204.
//   - A write with ?propose=true is judged against HEAD as without it, and then
//     becomes a pull request, see package proposal: 202, without an ETag, as nothing
//     is in force yet. If-Match is judged now; what changes until the merge is the
//     forge's to judge. Where nothing would change the answer is as without. With
//     write: propose in the configuration every write of the tenant is proposed, and
//     none tried on the branch first: whether a write is in force at once must not
//     hang on how the forge is set up that day. ?propose=false is 409 there, as
//     nobody shall get around it. What is not a write of definitions (sync, keys,
//     orphans) and what is pushed with git is not affected.
//   - A proposal of a tenant without a forge is 409. If the forge fails after the
//     branch was pushed the answer is 503, or 409 if it refuses, and the same request
//     again goes on from there. The list of proposals is 200 in any case; problem
//     says why it may be old.
//   - null for an optional field is the same as leaving it out.
//   - In an answer lastSyncTime, vaultVersion, commit, observedRevision,
//     kubernetesVersion, and the resourceVersion of a tenant without a commit,
//     are null until there is something to tell; expiresAt is absent.
//   - A request with a right key is counted against that key's budget, any other
//     against the address's. By default both are the same, and let a client read
//     every definition of a tenant at once and write each.
//   - A key's holder who changes between guesses is one address: an IPv6 /64
//     counts as one. While an address is made to wait after failures, keys that
//     were accepted from it before go on working.
//   - What net/http refuses before it is a request (a header over the limit,
//     bytes that are no HTTP, plain HTTP where TLS is spoken) is an error in the
//     form that all have, with an id that stands in no log. It can't be had where
//     HTTP/2 refuses: streams and connections end there by the protocol's own
//     codes, and too large a header is 431 in HTML. Who is too slow with a header
//     gets no answer.
//
// # Repositories
//
// Below /git/ stock git clones and pushes, see package githttp. A request passes the
// same checks in the same order; what differs is Git's doing:
//
//	                    /api/                      /git/
//	------------------  -------------------------  --------------------------------
//	the key             Authorization: Bearer      the same, or the password of any
//	                                               user
//	401 asks for        Bearer                     Basic, so that git asks its user
//	an error            {"error": "…"}             the sentence as text, which git
//	                                               shows, unless JSON is asked for
//	admin is needed     to write                   to push, also to begin with it
//	answers and bodies  parsed, at most 1 MiB      passed through as they come
//	in the log          one line a request         the same, with the references that
//	                                               a push moved or was refused
//
// # Hooks
//
// Below /hooks/git/ forges tell that something happened, see package hooks. They have
// no key: what they send is counted against their address, and believed if it is
// signed with the hook's secret. Whether there is such a hook does not show.
//
// # Console
//
// At / and below /console/ are pages for people, see package console. They have no power
// of their own: what they show and do goes through the API in process, as the key that
// signed in, and passes the same checks in the same order. A page is one line in the log,
// and so is each call that writes; what a page reads is logged at the level debug.
//
// # Replicas
//
// Several processes can share the tenants among them, see package forward: each answers
// for those that it holds and has all else answered by who does. To a client they are one
// server.
//
//   - Keys are judged and counted where the tenant is held, against the address that the
//     client has where it came in. Where it came in, what the holder refused counts as
//     well, so that a flood stays there: a key that is none, or guesses from an address
//     that made too many, are not passed on.
//   - While a tenant's holder can't be asked, only a key that is surely wrong is 401, and any other
//     503: one that is not known may have been made a moment ago. What other replicas made is read
//     for it, once for all such requests, and a tenth of the time at most, whoever asks.
//   - A session of the console is where its tenant is. The cookie names the tenant, by
//     which every replica finds the session. It ends when the tenant comes to another
//     replica, as it does when the server ends: it is on no disk and in no other process.
//   - Readiness is of the process: a replica that holds nothing is ready, as it can pass on.
//
// # Threat model
//
// Trusted are the operator, who writes the configuration and can read the data
// folder; whoever can push to a tenant's repository, for that tenant; and the
// admin keys of a tenant, for that tenant. Not trusted are the network, every
// client before its key was checked, and each tenant where another tenant is
// concerned.
//
//   - A stolen readonly key tells which definitions there are, where they are
//     synced and how that stands. By plans it tells, for some paths a minute, which
//     below the tenant's prefix have a value, in which version and with which
//     names of keys, and in which namespaces that are granted to the tenant a
//     Secret of some name stands. By git it gets all that its tenant's repository
//     holds, the past included. No value can be had through the API by any
//     key: the API has none.
//   - A stolen sync key can have the tenant's values read again, no more often than
//     the operator allows, and is told how many definitions are copies of a path.
//   - A stolen admin key can have values of its tenant's vault prefix synced to
//     the clusters and namespaces that the operator granted that tenant, have
//     the tenant's own copies there deleted and workloads there restarted, and
//     can make further keys. Who can read Secrets in one of those namespaces as
//     well can so read the tenant's values. Every change it makes is a commit
//     under the key's name and id, or under the name that a push gives it, with the
//     key's id in the log. Revoking it, and the keys that list it in
//     createdBy, is in force at once.
//   - Where the operator asks for signatures, who can push is trusted no further
//     than to be a nuisance: what no listed key signed is not in force. The
//     server's key, if it is listed, signs for every admin key of the tenant.
//   - A tenant against another: a key names its tenant, the path must name the
//     same one, and that is compared before anything is looked up. Where a
//     commit may reach is held to by package reconcile, whoever wrote it.
//   - The key store and the configuration hold SHA-256 hashes of 256 random
//     bits: who reads them can't make a key of one. Who can write them can let
//     himself in.
//   - A compromised server process holds the vault and cluster credentials, and
//     thereby all that they open: confine those. It can't hide what it changed
//     in definitions from clones of the repository that exist elsewhere.
//   - A client that floods, trickles or sends garbage is bounded: requests per
//     key, those without one and failed authentications per address, connections
//     in all and per address, header and body size, time for each, streams of
//     one connection, depth of a body; and, per tenant, bodies being read and
//     requests that wait. Behind a proxy all clients have one address unless it
//     is named as trusted.
//   - A cookie of the console is as good as its key until it ends: for half an hour
//     without use, for eight hours at most, and no longer than the key. It is of no use
//     to another site: browsers send it to this host alone, from its own pages alone,
//     and no script reads it. Who takes it from a person's machine can do what the
//     person can, but make no key of it that outlives theirs if theirs ends. Revoking
//     the key ends its sessions at once; so does a restart. Whatever stands in a
//     repository, a cluster or a forge is shown as text: a page runs no script but its
//     own, and says so to the browser as well.
//   - Replicas believe each other about whom a request is from, and nothing else: a stolen
//     certificate of one lets its holder pass for any address with keys that he has, and
//     be taken for a replica if he can write Leases as well, and then read what is
//     asked of it, keys included. Their authority has to be one that vouches for nobody
//     else.
//   - /metrics names tenants and clusters and needs no key: give it an address
//     of its own where the API is public.
package httpapi
