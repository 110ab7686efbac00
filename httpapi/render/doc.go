// Package render appends what answers hold to a buffer, as JSON: the contract's
// Secret, and the names, times and texts that all answers are made of. It is done by
// hand, because a list of thousands is the hottest thing the server does, and the
// order of fields is the contract's.
//
// It guarantees:
//   - What is appended is well-formed, whatever a text holds.
//   - Nothing is allocated but what the buffer needs to grow, where a text needs no
//     escape.
//   - What has not happened yet, such as a first sync, is null.
package render
