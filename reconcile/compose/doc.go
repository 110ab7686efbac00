// Package compose makes the data of a copy of the values that a definition names:
// it owns what the fields data and type mean. It is pure: what it is given decides
// what it returns, and it looks at no clock, file, variable or network.
//
// It guarantees:
//   - Data that it returns are such as Kubernetes takes: keys that it allows, at
//     most 1 MiB, and what a type needs, in the form it needs it.
//   - It says why there are none in words that name the key and the place, and no
//     message holds anything of a value.
//   - Whatever a template does, it ends, within bounds of work and of output that
//     are counted, not timed; so that it ends the same way wherever it runs. They are
//     bounds of a copy, for all of its templates together: how many there are is for
//     the definition's author to choose. No more run at once than there are processors,
//     since each may hold many times the memory of what it makes.
//
// # Templates
//
// A template is Go's text/template, with the keys of one value as fields of the
// dot, each a text: what a copy without data would hold. A key that is not there is
// an error. Nested templates (define, block, template) are not allowed.
//
// The functions are Go's own, and of those of Masterminds/sprig the ones that work
// on texts, encodings, lists and dictionaries and give the same result each time:
// none reads the environment, a file, the network, the clock or a random number.
// fromJson and toJson are ours: they keep every digit of a number. See
// definition.TemplateFunctions for the list.
//
// Work is counted in units of roughly a nanosecond: each round of a loop, by what is in
// its body, each call, each byte that goes into a function or comes out of it, and what
// text/template does by itself (see guard.go). What could make much of little (repeat,
// replace, indent, join, printf's widths) is estimated before it is done.
package compose
