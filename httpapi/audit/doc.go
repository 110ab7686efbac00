// Package audit owns the record of who did what: one JSON object a line, in a file or on
// a stream, for those who have to be able to tell later. It has no say in what happens.
//
// What holds of it:
//
//   - A line is written before the request that it tells of is answered; where the answer
//     is not ours to hold back (stock git, a page that is kept fresh), when it has ended.
//   - A line is handed to the operating system as a whole, one after the other: it outlives
//     the end of the process, kill -9 too, and not a power cut.
//   - No line holds a value, a token, a key or a path as a client sent it: an [Event] has
//     room only for what was parsed, or made here.
//   - What can't be written stops nobody: an audit trail on a full disk must not keep a
//     leaked password from being replaced. It is counted, logged once when it begins and
//     once when it ends, and the first line that can be written again is one of kind
//     [Lost], which says how many are missing since when.
//   - A file that was moved or removed is left alone from then on, and one is made in its
//     place, with the mode 0600, by the next line or by [Log.Reopen]. So it can be rotated
//     by moving it, with or without a signal.
//
// What each kind of line means stands in examples/audit/README.md, which a test holds
// against [Kinds] and the fields of [Event].
package audit
