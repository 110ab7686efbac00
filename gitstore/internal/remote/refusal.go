package remote

import (
	"slices"
	"strings"

	"secretsync/gitstore/internal/remote/wire"
)

// staleWords are what servers say, in lower case, when a reference is not where a
// push expects it. All other reasons are rules of theirs.
var staleWords = []string{
	"non-fast-forward",           // stock Git with receive.denyNonFastForwards, Gitea, Bitbucket
	"non-fast forward",           // JGit
	"fetch first",                // stock Git, of its own client
	"stale info",                 // stock Git, of its own client
	"failed to update ref",       // stock Git: moved while the push ran
	"cannot lock ref",            // stock Git, GitLab; GitHub adds "is at … but expected …"
	"unable to lock ref",         //
	"failed to lock",             // stock Git up to 2.3
	"lock_failure", "lock error", // JGit
	"reference already exists",                // stock Git
	"reference does not exist",                // stock Git since 2.50
	"remote ref does not exist",               // stock Git, of its own client
	"incorrect old value provided",            // stock Git since 2.50
	"missing necessary objects",               // stock Git: what the pack builds on is gone
	"tf401028",                                // Azure DevOps: "has already been updated by another client"
	"tf402456",                                // Azure DevOps: the old object name is another
	"updated by another client",               //
	"reference update failed because another", // Bitbucket
}

// sympathy is what is said of an update that failed only because another did.
var sympathy = []string{"atomic push fail", "atomic transaction failed", "transaction failed", "atomic push rejected"}

func saysAny(words string, of []string) bool {
	words = strings.ToLower(words)
	return slices.ContainsFunc(of, func(w string) bool { return strings.Contains(words, w) })
}

// judge returns what the report of a push means.
func (r *Remote) judge(report wire.Report, updates []Update) error {
	var worst *Error
	refusals := 0
	for _, u := range updates {
		why, refused := report.Refused[u.Ref]
		if !refused {
			continue
		}
		refusals++
		e := &Error{Kind: Rejected, Remote: r.String(), Ref: u.Ref, Cause: "the push is refused"}
		switch {
		case report.Unpack != "ok":
			continue
		case saysAny(why, staleWords):
			e.Kind, e.Cause = Stale, "the reference is not where it was expected"
		}
		e.Words = r.clean(why + hookWords(report.Words))
		// Of several the one that is refused by itself tells why.
		if worst == nil || saysAny(worst.Words, sympathy) || worst.Kind == Stale && e.Kind == Rejected && !saysAny(why, sympathy) {
			worst = e
		}
	}
	if report.Unpack != "ok" {
		// Not Rejected: it is no rule, but a full disk, a limit, or a fault.
		return &Error{Kind: Unavailable, Remote: r.String(), Cause: "the remote could not take the pack", Words: r.clean(report.Unpack + hookWords(report.Words))}
	}
	if worst == nil {
		return nil
	}
	if refusals < len(updates) {
		worst.Kind, worst.Cause = Unknown, "the remote has made a part of the push"
	}
	return worst
}

// hookWords adds what hooks have said.
func hookWords(words string) string {
	if words = strings.TrimSpace(words); words == "" {
		return ""
	}
	return ": " + words
}

// absence and refusal are what servers say in words, in lower case, of a
// repository that isn't there, and to who may not.
var (
	absence = []string{"not found", "does not exist", "does not appear to be a git repository", "no such", "could not be found",
		"not exported", "repository doesn't exist", "tf401019"}
	refusal = []string{"denied", "not allowed", "not permitted", "unauthorized", "unauthorised", "permission", "forbidden", "read-only",
		"read only", "authenticate", "authentication", "access rights"}
	gone = []string{"not our ref", "unadvertised object", "not a valid ref"}
)

// kindOfWords returns what a server means that says something instead of answering.
func kindOfWords(words string) Kind {
	switch {
	case saysAny(words, gone):
		return Stale
	case saysAny(words, absence): // before refusal: several say both
		return NotFound
	case saysAny(words, refusal):
		return Denied
	}
	return Unavailable
}
