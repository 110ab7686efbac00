package httpapi

import (
	"errors"
	"strings"

	"secretsync/gitstore"
)

// apply makes operations, one commit. If that is proposed for people to merge, the
// second result is all that is answered. What becomes of a target that another
// definition holds is as the request's Prefer asks (RFC 7240); where that made a
// difference or could have, the client is told that it was heard.
func (x *exchange) apply(operations ...gitstore.Operation) (written []gitstore.Written, proposed *answer, err error) {
	how, applied := gitstore.Lenient, ""
	switch preference(x.r.Header["Prefer"], "handling") {
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
	written, err = x.tenant.Repository.Apply(x.r.Context(), x.commit(), how, operations...)
	return written, nil, err
}

// preference returns the value of a preference; of several of one name the
// first counts. What is not well-formed is no preference of ours: a server may
// ignore any.
func preference(fields []string, name string) string {
	for _, field := range fields {
		for item := range splitOutsideQuotes(field, ',') {
			item, _, _ = strings.Cut(item, ";") // parameters; none of ours has any
			key, value, _ := strings.Cut(item, "=")
			if strings.EqualFold(strings.TrimSpace(key), name) {
				return strings.ToLower(strings.Trim(strings.TrimSpace(value), `"`))
			}
		}
	}
	return ""
}

// splitOutsideQuotes yields the parts of s between separators that stand in no
// quoted string.
func splitOutsideQuotes(s string, separator byte) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		quoted, begin := false, 0
		for i := 0; i < len(s); i++ {
			switch c := s[i]; {
			case c == '\\' && quoted:
				i++
			case c == '"':
				quoted = !quoted
			case c == separator && !quoted:
				if !yield(s[begin:i]) {
					return
				}
				begin = i + 1
			}
		}
		yield(s[begin:])
	}
}
