// Package client owns every request that is made to a cluster, over one connection.
//
// # What it guarantees
//
//   - Each request has a bound and ends with its context. A watch has one for its
//     beginning, and lasts then.
//   - None is repeated once it was answered, whatever was: when to do that is for whoever
//     asks. What keeps a cluster from being used is asked again while nothing comes of it,
//     since the request may be lost (lost.go has the table).
//   - A page of a listing takes bounded memory, however large the Secrets are ([Pager]).
//   - The answer to a write leaves out the values that were just sent, but where the
//     whole is asked for.
//   - All but small questions about the server itself wait for the one limiter.
//
// Its errors are those of client-go; package refusal makes of them what may be told.
package client
