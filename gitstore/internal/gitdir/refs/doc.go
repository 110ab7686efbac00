// Package refs is the one reference of a repository that is read and moved, with
// what surrounds it: its lock, its reflog, packed-refs, the references that it
// may conflict with, and the names of branches.
//
// A reference is changed the way Git does it: under <reference>.lock, which
// belongs to whoever makes it first, and which becomes the reference by a rename.
package refs
