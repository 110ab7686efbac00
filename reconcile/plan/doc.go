// Package plan says what a change of definitions will do before it is made: what
// is wrong with it, and which Secrets would be created, updated or no longer
// synced, where, and why.
//
// It is pure. [Check] and [Make] look at nothing but what they are given: two
// sets of definitions, what the tenant may reach ([Reach]), and, where somebody
// has looked, what stands in the clusters and what the vault has ([Live]). So the
// same plan comes of a checkout on somebody's machine, of a pull request that the
// server checks and of a call of the API.
//
//	files of a checkout ─┐
//	a commit             ├─► definition.Set ─┬─► Check ─► problems ─┐
//	a request            ┘    from and to    └─► Make ──► steps ────┴─► text, JSON, Markdown
//	                                              ▲
//	              what stands, what the vault has ┘
//
// A plan holds names, paths, versions and the names of keys, and never a value:
// [Value] has no place for one. What is rendered can't be broken out of by a name
// or a message, whatever they hold; see markdown.go.
package plan
