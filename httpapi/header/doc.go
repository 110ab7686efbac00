// Package header reads what the header of a request asks for, and makes entity tags:
// If-Match and If-None-Match (RFC 9110), Prefer (RFC 7240), Accept-Encoding.
//
// It guarantees:
//   - A condition is never dropped: what can't be understood as one is refused with
//     a [definition.FieldError], as to ignore it would be to write where the client
//     asked us not to. A wish that can't be understood is none.
//   - Comparison is strong, as the tags are: a weak tag, or one that is no revision,
//     matches nothing.
package header
