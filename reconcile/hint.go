package reconcile

import (
	"secretsync/gitstore"
	"secretsync/gitstore/definition"
)

// SyncPath takes somebody's word that the value at a path of the tenant's vault
// changed: it is read soon, and not more often than Config.MinRefreshInterval,
// however often it is said. It returns how many definitions are copies of it; a
// path that none is a copy of is ignored.
func (r *Reconciler) SyncPath(name gitstore.TenantName, path definition.SecretPath) (definitions int) {
	t := r.tenant(name)
	if t == nil {
		return 0
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	o := t.origins[path]
	if o == nil {
		return 0
	}
	o.source.Hint()
	names := make(map[string]bool)
	o.users(names)
	return len(names)
}

// users adds the names of the definitions that are copies of the value.
func (o *origin) users(names map[string]bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, target := range o.targets {
		names[target.owner.Name] = true
	}
}

// SyncAll is SyncPath for all paths of a tenant, at most once in ten seconds.
func (r *Reconciler) SyncAll(name gitstore.TenantName) (definitions int) {
	t := r.tenant(name)
	if t == nil {
		return 0
	}
	t.broker.HintAll()
	t.mu.RLock()
	defer t.mu.RUnlock()
	names := make(map[string]bool)
	for _, o := range t.origins {
		o.users(names)
	}
	return len(names)
}
