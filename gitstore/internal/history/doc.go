// Package history finds its way among the commits of one repository: which commit a
// name stands for, which one is in whose history and how it came there, what one has
// that another lacks, and where two parted.
//
// It answers as stock Git does, from any history: merged, criss-crossed, shallow,
// with dates that are wrong. What an answer costs is bounded by the reader it is
// given; what is beyond that is an error, or said to be in part.
//
// It knows commits by their hashes and headers. What they hold is no business of it.
package history
