// Package clones lets stock git at the tenants' repositories, /git/<tenant>.git: it decides
// whose repository is asked for, whether it is served here and who may push to it, and says in
// words that git shows what was in the way. It is Git's protocol and not the API's, so the API's
// description has none of it; package githttp speaks it.
package clones
