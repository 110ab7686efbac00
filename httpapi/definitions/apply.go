package definitions

import (
	"errors"

	"secretsync/gitstore/operation"
	"secretsync/httpapi/audit"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/header"
)

// apply makes operations, one commit. If that is proposed for people to merge, the
// second result is all that is answered. What becomes of a target that another
// definition holds is as the request's Prefer asks (RFC 7240); where that made a
// difference or could have, the client is told that it was heard.
func apply(x *exchange.Exchange, operations ...operation.Operation) (written []operation.Written, proposed *exchange.Answer, err error) {
	how, applied := operation.Lenient, ""
	switch header.Preference(x.Request.Header["Prefer"], "handling") {
	case "strict":
		how, applied = operation.Strict, "handling=strict"
	case "lenient":
		applied = "handling=lenient"
	}
	written, proposed, err = change(x, how, operations)
	_, refused := errors.AsType[*operation.ClaimError](err)
	if applied != "" && (err == nil || refused) {
		x.Header()["Preference-Applied"] = []string{applied}
	}
	return written, proposed, err
}

// change has operations be one commit, or a pull request.
func change(x *exchange.Exchange, how operation.Handling, operations []operation.Operation) (written []operation.Written, proposed *exchange.Answer, err error) {
	asked, err := proposes(x)
	switch {
	case err != nil:
		return nil, nil, err
	case asked:
		return propose(x, how, operations)
	}
	x.Did = audit.DefinitionsWritten
	written, err = x.Tenant.Repository.Apply(x.Request.Context(), x.Attribution(), how, operations...)
	if err == nil && len(written) > 0 {
		x.Made = written[0].Commit
	}
	return written, nil, err
}
