// Package object is what Git's objects are, wherever they are stored: their names
// and kinds, what a commit says, and trees, which are searched, compared and
// edited as the bytes that they are. It touches no disk.
//
// It is not go-git's package object, because that one takes a tree apart entry
// by entry, to read as well as to write it; of a thousand entries, one is wanted
// here. See the benchmarks of writing and following, which have go-git for their
// floor.
//
// Objects that others made are checked against their names by [Verify], with
// collision detection, as Git and go-git do it. The names of our own are worked
// out by [NameOf] with crypto/sha1: for a tree of 40 KB, which each write has,
// that takes 49 µs and not 107 (BenchmarkNamesOfObjects).
package object
