// Package forward owns the way of a request from the replica that got it to the one
// that holds its tenant: which tenant a path is of, the connections between replicas,
// what is passed on with a request, and what is known of one that came to nothing.
//
// Every replica can be asked anything. Where a request goes:
//
//	path                          goes to
//	----------------------------  ---------------------------------------------------
//	/api/v1/tenants/{tenant} and  who holds the tenant
//	  below
//	/git/{tenant}.git and below   who holds the tenant
//	/hooks/git/{tenant}           who holds the tenant
//	/ and /console/…              who holds the tenant that the session's cookie names;
//	                              without a session it is answered here
//	POST /console/sign-in         who holds the tenant of the key
//	all else (/healthz, /readyz,  it is answered here
//	  /metrics, the description)
//	what is below /api/ or /git/  it is answered here: it is 401 anywhere
//	  and has no key
//
// What a client sees meanwhile:
//
//	what is the matter                        answer  done?
//	----------------------------------------  ------  --------------------------------
//	nobody holds the tenant                   503     no
//	its holder can't be connected to, or      503     no
//	  presents a certificate that is not of
//	  the replicas' authority
//	who was taken for its holder is not, or   503     no
//	  is just becoming it
//	the connection broke after the request    503     not known
//	  was sent, or no answer came in time, or
//	  the tenant got another holder meanwhile
//	the answer broke off                      cut     not known: as with any server
//	                                          off     that ends in the middle
//
// Each 503 has a Retry-After. One of a request of which surely nothing was done says so
// in a header, [UndoneHeader]; it can be made again, whatever it is.
//
// It guarantees:
//   - What is sent to whom hangs on the name in the path alone, not on whether there is
//     such a tenant: who has no key learns nothing from it.
//   - Both ends of a connection between replicas present a certificate of the replicas'
//     own authority. The original address, the scheme and the id of a request are
//     believed on such a connection and nowhere else.
//   - A request is passed on once. What comes over such a connection is answered by who
//     gets it, or refused: there are no loops, whatever two replicas believe.
//   - Nothing is sent twice that may have been done: only a request of which no byte was
//     written to a holder is tried again, and once.
//   - Bodies pass in both directions as they come. How long and how large they may be is
//     judged by the holder, as is the key; here only a silent holder is given up.
//   - A client that goes away takes its request at the holder with it.
//
// Replicas speak HTTP/1.1 to each other: a connection carries one request at a time, so
// that a push that is read slowly holds up nobody else's, and a connection costs little
// as it is used again.
package forward
