package httpapi

import (
	"errors"

	"secretsync/gitstore"
	"secretsync/httpapi/audit"
	"secretsync/httpapi/header"
)

// apply makes operations, one commit. If that is proposed for people to merge, the
// second result is all that is answered. What becomes of a target that another
// definition holds is as the request's Prefer asks (RFC 7240); where that made a
// difference or could have, the client is told that it was heard.
func (x *exchange) apply(operations ...gitstore.Operation) (written []gitstore.Written, proposed *answer, err error) {
	how, applied := gitstore.Lenient, ""
	switch header.Preference(x.r.Header["Prefer"], "handling") {
	case "strict":
		how, applied = gitstore.Strict, "handling=strict"
	case "lenient":
		applied = "handling=lenient"
	}
	written, proposed, err = x.make(how, operations)
	_, refused := errors.AsType[*gitstore.ClaimError](err)
	if applied != "" && (err == nil || refused) {
		x.Header()["Preference-Applied"] = []string{applied}
	}
	return written, proposed, err
}

// make has operations be one commit, or a pull request.
func (x *exchange) make(how gitstore.Handling, operations []gitstore.Operation) (written []gitstore.Written, proposed *answer, err error) {
	propose, err := x.proposes()
	switch {
	case err != nil:
		return nil, nil, err
	case propose:
		return x.propose(how, operations)
	}
	x.did = audit.DefinitionsWritten
	written, err = x.tenant.Repository.Apply(x.r.Context(), x.commit(), how, operations...)
	if err == nil && len(written) > 0 {
		x.made = written[0].Commit
	}
	return written, nil, err
}
