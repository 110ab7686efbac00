// Package disk is the file system below a repository, as far as it is used, and
// the few ways in which files are written, replaced and removed on it so that a
// crash leaves the one state or the other.
package disk
