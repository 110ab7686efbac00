package refusal

import "time"

// Kind is what kind of answer a request to a cluster got, as far as it makes
// a difference to whoever asked.
//
//	refusal              whose trouble                       worth trying again soon
//	None                 nobody's
//	Unavailable          the request's or the cluster's      yes; if it is the cluster's, Outage comes by itself
//	Unauthorized         the cluster's                       no; the connection begins anew by itself
//	Throttled            the cluster's                       yes, after Error.After
//	Exists               the place's: read it                yes
//	Conflict             the place's: it was changed         yes, with what is known by then
//	Gone                 the place's: no Secret stands there yes
//	NoNamespace          the namespace's                     no; Observer tells
//	NamespaceEnding      the namespace's                     no; Observer tells
//	Forbidden            the rights of our user              no; a person has to act
//	Denied               admission: webhook, policy, quota   no; a person has to act
//	AdmissionFailed      a webhook that has to agree fails   yes
//	Invalid              the object's                        no; a person has to act
//	Kept                 finalizers keep the old Secret      no; Observer tells
//	Newer                the object's: of a newer format      no; a person has to act
type Kind uint8

// The kinds of refusals.
const (
	None Kind = iota
	// Unavailable: no answer, or one that says "not now": a connection that
	// broke, a time limit, 408, 410, 5xx. Nobody knows whether it was done.
	Unavailable
	Unauthorized    // 401: the cluster does not know us
	Throttled       // 429
	Exists          // 409: a Secret of that name stands there
	Conflict        // 409: the Secret is not the one that was meant, or changed since
	Gone            // 404 of the Secret
	NoNamespace     // 404 of the namespace
	NamespaceEnding // 403 because the namespace is being deleted
	Forbidden       // 403: our user has no right to do this
	Denied          // 4xx: a webhook, a policy or a quota says no to this write
	AdmissionFailed // 5xx: a webhook that has to be asked can't be; the cluster itself is well
	Invalid         // 400, 413, 422 and the like: the server takes no such object
	Kept            // finalizers keep the Secret that had to go; nothing was done
	Newer           // it was written by a newer version, which this one does not understand; nothing was done
)

var names = [...]string{
	"ok", "unavailable", "unauthorized", "throttled", "exists", "conflict", "gone", "namespace_missing",
	"namespace_terminating", "forbidden", "denied", "admission_failed", "invalid", "kept", "newer",
}

// String is the kind's name in metrics.
func (k Kind) String() string { return names[k] }

// Error is the error of every request to a cluster that did not succeed.
type Error struct {
	Kind Kind
	// Message says why, fit for everybody who may read a status: it holds
	// nothing that was sent, no text of an admission webhook, no address and no
	// path. It begins in lower case and goes on where a sentence that names
	// cluster and Secret ends in a colon.
	Message string
	// After is how long the server asks to wait; zero where it does not.
	After time.Duration
	// Data is what is wrong with the data of the Secret, of one that is Invalid for
	// nothing else.
	Data Mistake
}

// Mistake is what is wrong with the data of a Secret, which only the server sees where
// others have a share of it.
type Mistake uint8

// The mistakes.
const (
	NoMistake Mistake = iota
	Misfit            // they lack what the type of the Secret needs, or don't fit it
	TooLarge          // all of them together are over what a Secret may hold
)

func (r *Error) Error() string { return r.Message }
