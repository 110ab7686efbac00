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
	o.mu.Lock()
	defer o.mu.Unlock()
	names := make(map[string]bool)
	for _, target := range o.targets {
		names[target.owner.Name] = true
	}
	return len(names)
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
	for _, d := range t.definitions {
		for _, target := range d.targets {
			if target.origin != nil {
				definitions++
				break
			}
		}
	}
	return definitions
}
