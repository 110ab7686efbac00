package shard

import (
	"cmp"
	"strings"

	"secretsync/gitstore"
)

// A Holder is who works for a tenant. Without Mine and Address, nobody does yet.
type Holder struct {
	Mine    bool
	Address string // of the other replica
}

// A Holding is which tenants a replica is to work for, from one change to the next.
type Holding struct {
	change uint64
	terms  map[string]uint64 // by the name of the Lease
	found  map[string]heads  // the same: what who had it before left with it
	coming map[string]bool   // the same: wanted, or to be if a silent replica is dead, and not held yet
	silent map[string]bool   // the same: those of a silent replica among them
	turns  map[string]int    // the same: how many the holder of one that comes hands over before it
	lease  func(gitstore.TenantName) string
}

// Has reports whether the tenant is one of them.
func (h Holding) Has(tenant gitstore.TenantName) bool {
	return len(h.terms) > 0 && h.terms[h.lease(tenant)] != 0
}

// Comes reports whether the tenant is none of them and is to be one: whoever has it is about to
// give it up, or has died, or seems to have.
func (h Holding) Comes(tenant gitstore.TenantName) bool {
	return len(h.coming) > 0 && h.coming[h.lease(tenant)]
}

// Unserved reports whether the tenant comes because who has it has died, or seems to have: nobody works
// for it now.
func (h Holding) Unserved(tenant gitstore.TenantName) bool {
	return len(h.silent) > 0 && h.silent[h.lease(tenant)]
}

// CompareTurns tells which of two tenants that come does so first, as a comparison does. Those of
// several holders come side by side, each holder's in the order in which it hands them over.
func (h Holding) CompareTurns(a, b gitstore.TenantName) int {
	first, second := h.lease(a), h.lease(b)
	return cmp.Or(cmp.Compare(h.turns[first], h.turns[second]), strings.Compare(first, second))
}

// Gained reports whether the tenant is one of them, and was not all the time since before:
// somebody else may have worked for it in between.
func (h Holding) Gained(before Holding, tenant gitstore.TenantName) bool {
	return h.Has(tenant) && h.terms[h.lease(tenant)] != before.terms[h.lease(tenant)]
}

// LeftAt reports whether the tenant is one of them, and the one that had it before let go of it in
// order, with its branch at that commit.
func (h Holding) LeftAt(tenant gitstore.TenantName, commit string) bool {
	return h.Has(tenant) && h.found[h.lease(tenant)][headOf(tenant, commit)]
}

// Shards is how many shards there are in it.
func (h Holding) Shards() int {
	n := 0
	for lease := range h.terms {
		if strings.HasPrefix(lease, shardPrefix) {
			n++
		}
	}
	return n
}
