// Package refusal owns what a request to a cluster that did not succeed means: of which
// [Kind] its error is, which is what callers decide by, and what may be told of it.
//
// # What it guarantees
//
//   - Each error of client-go is of one kind, whatever a webhook or a policy made of its
//     code and its reason: those are known by what the API server puts before their text.
//   - The message of an [Error] holds nothing that was sent, no text of admission, no
//     address and no path of the operator's, so that it may stand in a status.
package refusal
