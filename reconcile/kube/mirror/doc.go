// Package mirror owns what is known, from memory, to stand in one cluster: the copies of
// Secrets, and which namespaces there are. It makes no request. Whoever follows the
// cluster tells it what the watch brought, what was listed and what a request of our own
// was answered, in whatever order these come.
//
// # What it guarantees
//
//   - What [Mirror.Look] says is the newest that anybody told. It never goes back to an
//     older state of the same server, and never stays at a newer state than the server
//     has: a whole listing replaces what was known before.
//   - What bears our label no longer is told once ([Seen].Left), and from then on has to
//     be read one by one.
//   - What became of a write is compared once with what was sent, whether the event of it
//     comes before the answer or after.
//   - The [Observer] is told of what others changed, and of nothing twice; never with a
//     lock held.
//
// # The files
//
//	mirror      what is kept, and what is asked of it
//	seen        what is said of a place, and who is told
//	arrivals    news of one Secret, and our own writes on their way
//	listings    a whole listing of Secrets
//	namespaces  which there are
//	labels      and what labels they bear, while somebody selects by them
//	scopes      which of them are followed
package mirror
