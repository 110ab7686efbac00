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

// SyncNow has the value of a definition read from the vault again now. Until
// it was, no target of that value is Synced, so that whoever waits for that gets
// what the vault held now or later. A name that is not there is ignored.
func (r *Reconciler) SyncNow(name gitstore.TenantName, n definition.Name) {
	t := r.tenant(name)
	if t == nil {
		return
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	d := t.definitions[n]
	if d == nil {
		return
	}
	// All targets of a definition are made of the same.
	for x := range d.all() {
		if x.refused == nil {
			for _, o := range x.followed() {
				o.source.Refresh()
			}
			break
		}
	}
	t.announce()
}

// Reread looks at every file that the configuration names now, as happens by
// itself once an interval, and disturbs nobody whose files are the same. What the
// clean-up left undone is looked at again as well.
func (r *Reconciler) Reread() {
	at := r.at.Load()
	for _, t := range at.tenants {
		t.it.broker.Reread()
		t.it.tidyAgain()
	}
	for _, c := range at.connections {
		c.it.kube.Reread()
	}
}
