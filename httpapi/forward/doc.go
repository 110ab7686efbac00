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
//	nobody holds the tenant: it is changing   503     no: once it was waited for, for
//	  hands                                             Patience.Move
//	nobody holds it, nor is about to, or can  503     no
//	  be known to
//	its holder can't be connected to, or      503     no
//	  presents a certificate that is not of
//	  the replicas' authority
//	who was taken for its holder is not, or   503     no: once it was waited for, for
//	  is just becoming it                               Patience.Move
//	the connection broke after the request    503     not known
//	  was sent, or no answer came in time, or
//	  the tenant got another holder meanwhile
//	the machine of the holder vanished: it    503     not known; what only reads is
//	  acknowledges nothing any more for the             asked once more, and then
//	  time of Patience.Reach                            surely nothing was done
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
//   - Nothing is sent twice that may have been done. Sent again, and once, is a request of
//     which no byte was written to a holder, or to which one said that it ends and has not
//     looked at it, and one that only reads where the connection was an old one, or its other
//     end vanished, or its holder is silent and the tenant has another one by now. Where that is
//     the replica that was asked, it is told that it may answer itself ([ErrHere]). What only reads
//     is GET and HEAD, also where something is waited for, events, and Git's question for
//     references; what is waited for at another one has what is left of its time.
//   - Once some of an answer has come nothing is sent again: the beginning can't be taken back. A
//     browser asks for events anew by itself. What Git sends is not either, though a fetch only
//     reads: it comes as a stream, and is not kept. It would find nobody: a tenant whose repository
//     is served to Git is held by the one replica that has it.
//   - A machine that vanished without a word holds up who was asking it, or takes a connection
//     to it that was kept, for [Patience.Reach], and nobody afterwards. Git and what is waited
//     for may take longer if they are sent in just that time: see [Patience.Lost].
//   - Who can't be connected to in time costs one request in a while that time, not each; those
//     that came beside the first of them a third of it, once.
//   - Who is not let in, though it presents a certificate, is told of in the log and counted; in
//     the log once in a while, however often it comes.
//   - Bodies pass in both directions as they come, but for small ones of requests. How long and how large they may be is
//     judged by the holder, as is the key; here only a silent holder is given up.
//   - A client that goes away takes its request at the holder with it.
//
// What is short, which nearly everything is, replicas ask each other by package hop, on the
// goroutine that handles the request; all else by HTTP/1.1. With both a connection carries
// one request at a time, so that a push that is read slowly holds up nobody else's, and
// costs little as it is used again.
//
// The bodies of short requests are read here before anything is sent, so that a client that
// is slow occupies one replica alone.
package forward
