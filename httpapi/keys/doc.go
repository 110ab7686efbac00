// Package keys answers what is asked of a tenant's API keys: which there are, a further one,
// one less. A key itself is told once, to who makes it, and is kept nowhere; none outlives the
// key that made it, and one that is revoked is refused from then on.
package keys
