// Package problem owns errors as clients are told them: the one table from kinds of error
// to statuses, and the sentences, which say what is wrong and what to do about it.
//
// It guarantees:
//   - An error of a kind that is not in the table is 500 without its text, which may hold
//     what the client must not know. The text is the problem's cause, which is for the log.
//   - What else tells of the operator's machines (paths, addresses, a remote's answer) is in
//     no sentence either.
//   - Who is told that something can't be done now is told when to ask again, and never that
//     nothing was changed where that is not known.
package problem
