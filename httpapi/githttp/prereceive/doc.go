// Package prereceive is the program that git runs before it takes a push: it
// reads what is pushed to the branch that is followed, and refuses what would make
// that worse, with file, line and cause in the terminal of who pushes. What is
// pushed elsewhere is not looked at.
//
// It is a process of its own, started by git receive-pack while the pushed objects
// are in quarantine, where only git finds them; so it has git read them. By which
// rules it judges the server hands it as file 3. It keeps nothing.
//
// What makes it worse:
//   - a file that the push touches and that is no definition
//   - a file that is new under secrets/ and belongs to no definition
//   - a target that is new, and that another definition claims or the tenant was
//     not granted; a key of a shared Secret that another one asks for
//   - more definitions than are allowed, and more than there were
//   - a commit on the first-parent line that is not signed, where that is asked for
//
// What was wrong before and isn't touched stands in nobody's way. So a mistake can
// always be mended, also if there are others.
//
// It is a help for people and no border: a push by another way is not judged, and
// where a commit may reach is held to by package reconcile.
package prereceive
