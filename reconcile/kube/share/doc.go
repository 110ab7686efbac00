// Package share owns how a Secret is divided among those who share it (mode:
// Merge): what a share is, how it is recorded on the Secret, and who manages what
// else stands there. It asks nothing of a cluster and keeps no values.
//
// # What is recorded
//
// Each definition that shares a Secret has an annotation of its own on it, whose name
// begins with the definition's (see [Annotation]). It says what the share was made of,
// and lists its entries: keys of the data, labels and annotations. Beside each key
// stands a proof, a keyed hash of its value in this very place. So keys are known one
// by one as what we wrote, and one can pass to another definition without its value
// being known.
//
// The record is written in the same request as what it lists, under the condition that
// the Secret is as it was seen: there is no moment at which one stands without the
// other.
//
// # Whose an entry is
//
//	an entry that a definition asks for                  is
//	is listed in its own record                          its own, unless somebody has declared it
//	                                                     since by server-side apply: then theirs
//	is listed in the record of another at work, which    that definition's
//	  still asks for it
//	is not there                                         free
//	is listed in the record of one that is gone, or      free: it passes to who asks for it;
//	  asks for it no more, and stands as we wrote it     declared by somebody since: theirs
//	is listed in the record of another tenant's          theirs, whatever the label says
//	is listed nowhere, and managed by nobody but us      free: its record was removed
//	is listed nowhere, a label or annotation that says   somebody's, and agrees: nothing to do
//	  just what is asked for
//	is a key that somebody edited, or made               of who manages it; free where the Secret
//	                                                     allows the definition to take it over
//
// Of several definitions to which an entry is free the one with the least name has it,
// and the others wait, as for a Secret as a whole.
//
// # No moment without a key
//
// Who asks for a key may have no value for it yet. So a key that would pass to one who asks
// is not taken off the Secret before:
//
//	what happens to the definition that has it   the key
//	it is gone, Retain                           stays, with its share, as everything does
//	it is gone, Delete                           stays, with its share, while somebody asks for it
//	it asks for the key no more                  stays as it is, and in its record, while somebody
//	                                             asks for it; its other keys go or are written
//	the same, and all that it asks for is        the same: the record lists nothing else then
//	  another's
//	it had the Secret as a whole and comes       becomes part of its share, and stays so
//	  to share it
//
// Being listed it can be told from what is somebody's: it goes when nobody asks for it any
// more, also after a crash, and it is theirs who edit or declare it meanwhile. Who asks takes
// it out of the record in the request by which its own value comes. A definition of which
// it is not known yet whether it shares the Secret, since it selects namespaces, counts
// among those who ask. Labels and annotations are never kept.
//
// What a record of a newer format lists is not known: while one stands on a Secret,
// nothing on it passes to anybody.
//
// An edit of an entry of ours by hand, which managed fields show as an update, is
// drift, and is put right. Who declares a field by server-side apply will do so again:
// that is left alone.
package share
