// Package report tells the world outside when a commit became live: a forge by
// commit statuses, and the readers of a repository by receipts, which are notes
// on its commits. It owns what was told already, and when to try again; what live
// means is the business of package live.
//
// # Commit statuses
//
// Of the followed branch the commit that is newest when it is looked at gets a
// status; of many that are pushed at once that is the last one, of which a forge
// shows the state. It is looked at until it is live:
//
//	seen ──► live? ── yes ─────────────────────────────► success, and that is the end
//	          │ no, for a moment                                ▲
//	          ▼                                                 │
//	       pending ── something fails, for [settle] ──► failure ┤
//	          ▲                                            │    │
//	          └───────────── nothing fails any more ───────┘    │
//	          │                                                 │
//	          └── live ─────────────────────────────────────────┘
//	       any ── the branch is rewritten without it ──► error, and that is the end
//
// One that is not in force because a signature is missing is a failure, too.
//
// Between two statuses of one commit the pauses grow. At most [mostOpen] commits
// are looked at: of more the oldest keeps the status that it has. What was told is
// remembered in a file, which may be deleted: then the newest commit is told once
// more.
//
// # Receipts
//
// Each commit of the first-parent line that touched anything under secrets/ gets
// one note in refs/notes/secretsync when it is live. It says when that was seen,
// by which server, and where its values are. Notes are written together, some
// time apart, by a compare-and-swap of the reference: what another server or a
// person noted stays as it is.
//
// # What is guaranteed
//
//   - No value is told, nor what a cluster or a vault said: a forge may show it to
//     everybody. Of a failure that is its reason and its place.
//   - A forge or a remote that is down holds up nothing else. Nothing is tried
//     again without a growing pause, nor before a forge says that it may be.
//   - A tenant that is told nowhere costs nothing. Another costs one goroutine for
//     its statuses and one for its receipts.
package report
