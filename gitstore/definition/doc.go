// Package definition owns the format of a definition, which is one file under secrets/.
//
// Here are the values and their rules: names and paths, a [Definition] with its [Target]s
// and its [Shape], a [Change] of one, what may be wrong ([FieldError], [FileError]), and a
// [Set], which is what the files of one revision say together. [Schema] tells the format to
// editors. The rooms:
//
//	parse   reads a file, strictly, and the members of a JSON object
//	edit    writes a new file, and changes one that people wrote as little as it can
//	folder  reads all files of a revision or of a checkout into a Set
//
// What it guarantees:
//   - A parsed name, path or [Definition] keeps every rule of the format;
//     whoever holds one need not check it again.
//   - No message can be forged by what an input holds.
//
// It does no more than that: it knows no repository, no history and no tenant.
package definition
