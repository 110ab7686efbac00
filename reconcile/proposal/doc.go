// Package proposal has writes become pull requests: it owns what is proposed of each
// tenant, from the branch that is pushed to the branch that is removed again.
//
// What a change is, and on which branch it stands, is the business of
// [gitstore.Repository.Propose]; what a pull request is, that of package forge. Here
// the two are brought together, and kept in mind.
//
//	            branch       pull request     what comes next
//	----------  -----------  ---------------  -------------------------------------------
//	asked for   none, yet    none             the branch is pushed
//	pushed      at our       none             the pull request is opened; if that fails the
//	            commit                        answer says so, and the same request goes on
//	open        there        open             somebody merges or closes it
//	merged      there        merged           the branch is removed
//	closed      there        closed           the branch is removed
//	past        none         merged, closed   it is shown until newer ones take its place
//
// It guarantees:
//   - The same change is one proposal as long as that is open, whoever asks, at
//     whichever server, at the same time or later: the branch is named after it.
//     Asked for again after that was merged or closed, it is another one.
//   - A branch is removed only where it is where its pull request was when that ended:
//     what somebody added since stays.
//   - Of a tenant at most 300 proposals are kept in mind, and those that ended go
//     first. What a server does not know because another one made it, or because its
//     data folder is new, is found among the open pull requests.
//   - The forge is asked by one goroutine for all tenants, for those that have an open
//     proposal each few minutes, and when a webhook tells of a pull request.
package proposal
