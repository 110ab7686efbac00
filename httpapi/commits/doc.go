// Package commits answers what is asked of a tenant's commits: whether one is live, and what
// a change that is none yet would do. It changes nothing, and every key may ask that may
// read.
package commits
