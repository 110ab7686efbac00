// Package mirror keeps a bare repository in a folder the mirror of a remote one, and
// writes to that.
//
// Where a tenant's repository is a remote one, the folder is a mirror of it:
// it looks as any repository does, is read as any, and outlives a restart, but the
// remote is the truth and says where the branch is. What the mirror knows of it:
//
//	state     since                             Snapshot      writes     Freshness
//	--------  --------------------------------  ------------  ---------  -----------------
//	unknown   the folder is new, or follows     not read, or  refused    never fetched
//	          another branch or URL             as it was
//	current   what was fetched, or pushed last  as fetched    pushed     as of Fetched
//	aged      an exchange failed                as it was     tried,     Failing says why
//	                                                          refused
//	bereft    the branch, or all, is gone from  as it was     refused    Failing says so;
//	          the remote                                                 a problem
//	foreign   the folder has commits of its     as it was     refused    Failing says so;
//	          own that the remote has not                                a problem
//
//	           fetched            an exchange fails
//	unknown ───────────► current ◄─────────────────► aged
//	   ▲                  │    ▲    the next does not
//	   │ another URL      │    │ it is back (pushed by somebody, or made anew)
//	   └──────────────────┤    │
//	     or branch        └──► bereft
//
// Bereft is not empty: who deletes a branch, or a repository, takes no definition
// out of force. A branch that is moved by force, though, is where it is: that is
// the truth, and what was dropped is told.
//
// A write to a remote repository, step by step. Whatever fails before the push
// leaves the remote as it was, and no answer is given on a guess:
//
//	open     the remote says where its branch is          failed: ErrUnavailable
//	bring    the mirror is brought there, if it is
//	         elsewhere: what is judged is the truth       failed: ErrUnavailable
//	draft    the commits are made on top of that
//	push     one request: the pack, and "from old to new"
//	           accepted                                   mirror follows; answered
//	           stale: somebody was faster                 all again, so many times
//	           rejected: a rule of the remote             ErrConflict, with its words;
//	                                                      of several writes each alone
//	           no answer                                  find, till the timeout:
//	find     the remote says where its branch is
//	           at new, or new is in its history           as accepted
//	           at old                                     the same push again: what has
//	                                                      the same names is the same
//	           elsewhere                                  all again, as stale
//	           it can't be found out                      ErrUnavailable, and that it
//	                                                      is not known
//
// That nothing is written twice rests on "from old to new" alone: a push that
// arrives late, after all was given up, finds the branch at old, and then it is
// what the next open shows; or elsewhere, and then it is refused. What becomes of
// it is logged. A crash between the push and the mirror's following is mended by
// the next fetch.
package mirror
