package vault

import "secretsync/reconcile/vault/access"

// Shared is what the brokers of a process have in common, so that many tenants who
// reach a vault in one way cost it, and us, hardly more than one does:
//
//	what                         shared by brokers with the same
//	---------------------------  -----------------------------------------------
//	the rate at which it reads   address, namespace and mount
//	connections                  address, certificates and what the files hold
//	a login, its renewals, and   that, and what they log in with, files included
//	probes while it is down
//
// Values, polls and faults are each broker's own, and so is what a broker makes of a
// login that fails. The zero value is ready.
type Shared struct {
	limits access.Limits
	ways   access.Ways
	grants access.Grants
}
