package reconcile

import (
	"reflect"
	"slices"

	"secretsync/gitstore/definition"
)

// terms are what the configuration says of a tenant besides its grants, with what it
// says for all tenants filled in. By them a reconfiguration finds out who is told
// nothing new.
//
// They are compared as wholes, by reflect.DeepEqual, so that a field which is added
// later counts without anybody thinking of it. Those in force share no memory with the
// Config that they came from: whoever changes that in place and hands it over again is
// not taken for somebody who changed nothing.
type terms struct {
	Tenant  // without what is not data, or is the grants'
	workers int
}

func termsOf(cfg Config, spec Tenant, workers int) terms {
	spec.PollInterval, spec.MinRefreshInterval, spec.Brake = interval(cfg, spec), least(cfg, spec), new(brake(cfg, spec))
	spec.SelectedNamespaces = mostChosen(cfg, spec)
	spec.Repository, spec.May, spec.Clusters = nil, nil, nil
	return terms{spec, workers}
}

func (t terms) clone() terms {
	t.Vault, t.Brake = t.Vault.Clone(), new(*t.Brake)
	return t
}

// reading is the part of them that the broker goes by: all but what is known to be
// others' business.
func (t terms) reading() terms {
	t.Suspend, t.Brake, t.SelectedNamespaces = false, nil, 0
	return t
}

// adopt has a tenant go by other terms and grants, if they are others, and reports
// whether the grants are. The reconciler's mu is held.
//
//	what differs                  what happens
//	nothing                       nothing
//	the vault, or its intervals   the broker takes that in
//	how much may be selected      what there was no room for is taken in
//	a grant                       each target is judged anew, and claims its place or lets go of it
//	it is suspended, or goes on   nothing is written before, or after, all else is in force
//	anything                      what the clean-up left undone is looked at; who waits for a status looks again
func (t *tenant) adopt(now terms, spec map[definition.ClusterName]Grant, connections map[string]*running[*connection]) (regranted bool) {
	before := t.terms
	differs := !reflect.DeepEqual(before, now)
	if differs {
		t.terms = now.clone()
		t.every.Store(int64(now.PollInterval))
		t.least.Store(int64(now.MinRefreshInterval))
		t.mostChosen.Store(int64(now.SelectedNamespaces))
		t.sweeper.SetBrake(*t.terms.Brake)
		if now.Suspend {
			t.suspend(true) // before what else is new, and it goes on after that
		}
		if !reflect.DeepEqual(before.reading(), now.reading()) {
			t.broker.Configure(t.terms.Vault, now.PollInterval, now.MinRefreshInterval, now.workers)
		}
	}
	if regranted = !t.hasGrants(spec, connections); regranted {
		grants := make(map[definition.ClusterName]grant, len(spec))
		for alias, g := range spec {
			g.Namespaces, g.ByName = slices.Clone(g.Namespaces), slices.Clone(g.ByName)
			grants[alias] = grant{Grant: g, connection: connections[g.Cluster].it}
		}
		t.regrant(grants)
	} else if now.SelectedNamespaces > before.SelectedNamespaces {
		t.rearrange()
		t.fit()
		t.rearranged()
	}
	t.suspend(now.Suspend)
	if differs || regranted {
		t.tidyAgain()
		t.announce()
	}
	return regranted
}

// hasGrants reports whether a tenant's grants are these already, by the same
// connections. The reconciler's mu is held, with which alone they change.
func (t *tenant) hasGrants(spec map[definition.ClusterName]Grant, connections map[string]*running[*connection]) bool {
	if len(spec) != len(t.grants) {
		return false
	}
	for alias, now := range t.grants {
		g, ok := spec[alias]
		if !ok || now.connection != connections[g.Cluster].it || !reflect.DeepEqual(now.Grant, g) {
			return false
		}
	}
	return true
}

// suspend has a tenant's copies left as they are, or go on.
func (t *tenant) suspend(yes bool) {
	if t.suspended.Swap(yes) == yes {
		return
	}
	t.mu.RLock()
	for _, d := range t.definitions {
		for x := range d.all() {
			x.due()
		}
	}
	t.mu.RUnlock()
	t.tidyAgain()
	t.announce()
}
