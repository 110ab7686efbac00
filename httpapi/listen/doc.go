// Package listen owns what happens on a connection before there is a request: how
// many connections there are, TLS, how slow a client may be, and what net/http
// refuses by itself.
//
//	[Bind]         accepts, so many in all and so many from one address
//	   |
//	[Secured]      shakes hands, with a certificate that follows its files
//	   |           (without TLS: [Polite]; between replicas, where both ends present
//	   |           one: [Mutual])
//	   |           replaces what net/http would write where it refuses
//	[NewServer]    bounds the header, and the time for each part
//	   |
//	the handler    gets requests; [OverTLS] tells how they came
//
// It guarantees:
//   - Nobody holds all connections, and nobody holds one for nothing.
//   - A certificate's files can be replaced at any time; half a one leaves the old
//     one in force.
//   - What is refused over HTTP/1 before it is a request is answered by [Refusal], as
//     its owner answers everything. Over HTTP/2 the protocol has codes of its own.
//
// It decides nothing about a request.
package listen
