// Package apikey owns the keys that open the API: what one is, which were made
// through the API, and when each was used last.
//
// It guarantees:
//   - A key's secret is known to its holder alone: what is stored, listed and
//     compared is the SHA-256 of 256 random bits.
//   - [Verify] tells a guesser nothing: a wrong id and a wrong secret are one error,
//     and take the same time.
//   - A [Store] has a key on disk before it is answered with, and a revoked one off
//     it, even if the power fails then. Whoever keeps keys elsewhere keeps what
//     [Encode] makes of them.
//   - [Usage] costs a request no write to the disk.
//
// What a key's role is needed for, and what happens to an address that guesses, is
// not decided here.
package apikey
