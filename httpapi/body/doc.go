// Package body reads the JSON of requests, strictly: what is not meant as it is
// understood is refused, and nothing is guessed.
//
// It guarantees:
//   - A body is one object, in UTF-8, with nothing behind it and nesting no deeper
//     than anything needs.
//   - No key stands twice in an object, and keys are compared exactly; one that is
//     not known is refused with those that are.
//   - An error is a [definition.FieldError] whose field is where it is in the body,
//     such as sync[3].namespace. It quotes keys that came in, shortened, and no
//     values.
//   - What is accepted as a definition keeps every rule that a definition has.
package body
