// Package cleanup decides which copies go when nobody claims them any more. It
// is pure: it does not look at clusters or repositories, and deletes nothing. Whoever
// calls it has proven that a copy is an orphan.
//
// It guarantees two things. A copy goes only if the copy itself and its definition
// both say so, and nobody else has a share in it. And of one tenant's copies no more
// go within [Window] than the brake allows, whatever the order in which they become
// orphans, unless somebody released just those:
//
//	a copy                                         what becomes of it
//	is not to go, or somebody else has a share     stays
//	is to go, and the brake allows all such        goes
//	is to go, and the brake does not               is held, with all others like it
//	was held, and that very list was released      goes
//	was held, and is claimed again                 stays
//	was held, and enough time passed since others  goes, if the brake allows all
//	  went
//
// What went is remembered in memory alone. A server that was started anew counts
// from zero; what is to go it finds again, all of it at once.
package cleanup
