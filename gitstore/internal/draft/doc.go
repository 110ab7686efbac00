// Package draft makes commits in memory: a line of them on top of what stands, each
// judged by what the one before it left; with who claims which target, and what their
// messages say.
//
// What it guarantees: an edit that fails leaves the draft as it was, and a draft that
// is undone leaves the claims as they were. Nothing is written here: a draft is a pack
// and the commit it leads to.
package draft
