package reconcile

import (
	"maps"
	"slices"
	"strings"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
)

// makeRoom has a selection that is about to let go of its places not counted any more, so
// that there is room for the one that follows it to claim them before. t.mu is held.
func (t *tenant) makeRoom(s *selection) { t.chosen -= len(s.targets) }

// noRoom says that a target can't have so many more namespaces beside those that the
// tenant's targets have chosen already; nil: it can.
func (t *tenant) noRoom(spec definition.Target, more, chosen int) *fault.Fault {
	most := int(t.mostChosen.Load())
	if more == 0 || chosen+more <= most {
		return nil
	}
	return fault.New(fault.Error, fault.ReasonTooManyNamespaces,
		"%d more namespaces of cluster %s match %s, but all selectors of tenant %s together may have %d and have %d; none is added until there is room for all of them. Make selectors narrower, or have the operator raise selectedNamespaces",
		more, spec.Cluster, spec.Selector, t.name, most, chosen)
}

// fit has selections take in what there was no room for, if there may be some now. Of
// several the one of the lesser name goes first. t.mu is held.
func (t *tenant) fit() {
	if !t.crowded || t.chosen >= int(t.mostChosen.Load()) {
		return
	}
	t.crowded = false
	for _, d := range t.choosers(t.choosing) {
		if !slices.ContainsFunc(d.selections, func(s *selection) bool { return s.crowded }) {
			continue
		}
		for i, s := range d.selections { // those behind see what it takes
			if s.fault == nil || s.crowded {
				t.settle(d, i)
			}
		}
	}
}

// choosers are some definitions that select namespaces, by name.
func (t *tenant) choosers(some map[*followed]struct{}) []*followed {
	return slices.SortedFunc(maps.Keys(some), func(a, b *followed) int {
		return strings.Compare(a.entry.Name.String(), b.entry.Name.String())
	})
}
