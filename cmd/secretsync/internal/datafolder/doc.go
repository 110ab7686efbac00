// Package datafolder says what stands where in a server's data folder, and whether this
// program understands one that it finds. What a file holds is the business of who writes it.
//
//	repositories/<tenant>.git   Git's own format, which its config says; see gitstore
//	  secretsync/*              caches: what is not understood is made anew
//	keys/*                      API keys: each file says its own, see apikey
//	keys-used.json, reports/,   caches and memories: what is not understood is as if
//	proposals/, git/            it were not there
//	hash.key, format            the folder's format, as is which files there are
//
// The folder says its format, a number, in the file "format"; one without that file is of
// format 1. The number is raised only by a change that an older program would get wrong, and
// a folder of a newer format is left alone.
package datafolder
