// Package server owns the running server: its parts (the store, the reconciler, the API and who
// tells forges), which it puts together from a configuration, and what keeps them in step while
// that changes.
//
// A [Program] guarantees:
//
//   - Nothing is written into a data folder of a newer format, nor before it is this process's
//     alone.
//   - A configuration takes effect as a whole, or the one before stays in force. Who is told
//     by it what he was told before goes on undisturbed.
//   - Where tenants are shared among replicas nobody works for a tenant here before what stands
//     of it was read anew, nor after it was let go of: see [replica] for the order.
//   - [Program.Run] returns when all that it started has ended: first what is held is handed over,
//     then the API ends, then who works behind it.
//
// A file holds how one part is made of the configuration:
//
//	program     all of them, and their life
//	reload      another configuration
//	replica     the tenants whose turn it is, where there are several servers
//	warming     what is read of them before they are served
//	waiting     what probes are told while it can't begin
//	keys, audit, tracing
//	            what the parts share
//	git, hooks, forge, reviews, proposals
//	            what a tenant has beside its definitions
package server
