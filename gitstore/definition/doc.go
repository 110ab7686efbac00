// Package definition owns the format of a definition: one file under secrets/,
// as text and as value.
//
// [Parse] reads a file strictly: what could be read in two ways, or says
// something the format doesn't know, is an error with file, line and cause, and
// all of them are told at once. [Encode] writes a new file. [Edit] changes one
// that people wrote and touches nothing but what it must. [Schema] tells the
// format to editors, a [Set] is what the files of one revision say together, and
// [ValidateDir] checks a whole checkout as the server
// would read it.
//
// What it guarantees:
//   - A parsed name, path or [Definition] keeps every rule of the format;
//     whoever holds one need not check it again.
//   - What [Encode] and [Edit] write is read back as the same value.
//   - No input, however hostile, ends the process, and no message can be forged
//     by what a file holds.
//
// It does no more than that: it knows no repository, no history and no tenant.
package definition
