// Package lineage knows which commits of a branch's first-parent line changed which file. To
// find out takes a walk through all of history, so it is remembered from the first time that
// somebody asks until nobody has asked for a while, and brought up to date by what is new.
//
// It guarantees:
//
//   - An answer holds up to a commit that was HEAD after it was asked for.
//   - There is one walk at a time, however many ask. It is nobody's of them: who gives up
//     waiting ends nothing, and the next one finds what has come of it.
//   - Where history can't be read, to find out again has to wait: half of the time is spent on
//     trying at most.
//   - What is remembered takes a bounded amount of memory: what is older than fits is not shown.
package lineage
