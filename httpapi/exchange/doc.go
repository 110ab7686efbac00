// Package exchange owns one request and its answer, from when the request came to its line
// in the log: what a handler may ask of it, what it answers with, and what is told of it
// afterwards. A handler gets an [Exchange] and returns an [Answer] or an error; all else
// is done here, in one way for all.
//
//	Begin    an id and a trace
//	  |      another replica may have to answer it
//	Open     the headers that every answer bears
//	  |      who it is and whether he may is for the server to say; it sets Key and Tenant
//	Router   the route (404, 405), the role that it needs (403), the handler
//	  |      which reads query and body, and notes what it does
//	answer   one writer for all, errors too; recorded for the auditor before it begins
//	  |
//	End      the line in the log, metrics, the end of the span
//
// It guarantees:
//   - Each request is one line in the log, and is counted and recorded once, also where its
//     handler panics, which ends that request alone.
//   - What is logged, traced, recorded and counted was parsed: never a path, a query, a
//     header or a body as it came in.
//   - Bodies being read, and requests that wait, are bounded for each tenant.
//   - An error is written in one form, which is that of who asks: JSON, a sentence as text
//     for git, a page for people.
package exchange
