// Package forge speaks with what hosts a repository: GitHub, GitLab, Gitea,
// Forgejo, Bitbucket and Azure DevOps. It owns two things that Git itself does
// not carry: a forge's REST API ([Client]), and the deliveries that a forge sends
// when something happened ([Check]). It knows nothing of secretsync.
//
// It guarantees:
//   - One set of words for all forges: a [Status], a [Pull], a [Proposal].
//     Where a forge can't tell something, that is said at the field.
//   - No token is in an error, whatever a forge answers.
//   - What a forge sends is bounded: the time of a request, the bytes of an
//     answer, the pages that are read. No address that a forge names is followed.
//   - What is done twice is done once: a status that stands is not sent again, a
//     comment is found by its marker, a proposal by its branch.
//   - A forge that asks for a pause has it: until it is over nothing is sent, and
//     [ErrThrottled] says how long that is.
//
// # Why not a client library of each forge
//
// Of each API this needs eight requests and some ten fields. The libraries
// for that (google/go-github, gitlab-org/api/client-go, the SDK of Gitea,
// ktrysmt/go-bitbucket, microsoft/azure-devops-go-api) are five dialects of
// errors, paging, retries and contexts, with tens of thousands of lines that
// would all be part of what holds a token. What is common here is written once,
// in api.go, and each forge is a file of its own.
//
// # Kinds of error
//
//	kind             what happened                               what to do
//	ErrDenied        401, 403: the token is wrong or may not     a person must act
//	ErrNotFound      404: also what a token must not see         a person must act
//	ErrRefused       400, 409, 422…: the forge says why          a person must act
//	ErrThrottled     429, or its equals; [RetryAfter] says till  wait
//	ErrUnavailable   no answer in time, 5xx, nonsense            try again
package forge
