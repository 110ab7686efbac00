// Package hop owns how a short request gets from one replica to another, and its answer
// back: the messages, and the connections that carry them.
//
// Short is what is asked and answered at once: its body is there and small, and nobody
// waits for anything. All else goes over HTTP/1.1 (see package forward), whose generality
// costs as much as a short answer itself: a goroutine that reads ahead for each request,
// two for each connection that asks, and a text that is parsed anew by each. Here the
// goroutine that handles a request writes it, reads the answer and passes it on; the one
// that serves a connection reads, calls the handler and writes.
//
// That is why it is ours and no library's: on two busy cores (make bench BENCH=forward, with
// three processes and TLS) a GET that is passed on took 2.6 times as long as one asked of
// the holder, by net/http's Transport 4.5 times; with 64 connections 14,200 such requests a
// second against 8,900. On cores at rest it is 163 µs against 65 µs. Of these 98 µs more,
// 66 go to waking two more threads, each in another process, as bare TCP that passes through
// a third process shows (115 µs against 49 µs): what can be saved here is the rest. So
// neither end sets a timer for a request, or does before its answer what can come after it.
//
// A connection carries one exchange at a time. Both ends agree on [Protocol] while they
// shake hands, by ALPN; a replica that does not know it is asked over HTTP/1.1.
//
//	message  from        head                     body
//	-------  ----------  -----------------------  ---------------------------------
//	request  who asks    method, URI, host,       all of it, [MaxBody] at most
//	                       header
//	answer   who is      status, header           all of it: the exchange is over
//	           asked
//	begun    the same    status, header           what there is of it; more follows
//	piece    the same    -                        some more
//	last     the same    -                        the rest: the exchange is over
//	bye      the same    -                        - : it ends, and a request that was
//	                                              sent meanwhile was not looked at
//
// Each begins with its kind (one byte) and the lengths of its head and its body (four each,
// big-endian). Texts in a head stand behind their length (a varint); a header is the number
// of its lines (two bytes), and the name and the value of each.
//
// It guarantees:
//   - An answer that breaks off is not taken for whole.
//   - One with a body that says how long it is gets there when it is that long, whatever its
//     handler has yet to do.
//   - After [ErrBye] nothing was done of what was sent.
//   - Who is asked learns within a second that who asked has gone, and his request's
//     context ends.
//   - Neither end takes in a head or a piece beyond its bounds, whatever is sent.
package hop
