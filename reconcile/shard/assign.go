package shard

import (
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"slices"

	"secretsync/gitstore"
)

// Of returns the shard of a tenant, from 0 to shards-1. It depends on the name alone: it is the
// same in every process and every version (FNV-1a of the name, modulo the number of shards).
func Of(tenant gitstore.TenantName, shards int) int {
	h := fnv.New32a()
	h.Write([]byte(tenant.String()))
	return int(h.Sum32() % uint32(shards))
}

// Assign returns who of the members is to hold each shard. It is pure: the order of the members
// and their repetition make no difference, every shard has a member if there is any, and the
// numbers of shards of any two members differ by one at most.
//
// It is rendezvous hashing with a bound on the load: each pair of a member and a shard has a
// score, and the pairs are taken from the highest on while the shard is free and the member has
// room. So a member that comes or goes moves few other shards than its own.
func Assign(members []string, shards int) map[int]string {
	members = slices.Compact(slices.Sorted(slices.Values(members)))
	if len(members) == 0 {
		return nil
	}
	type pair struct {
		score         uint64
		shard, member int
	}
	pairs := make([]pair, 0, len(members)*shards)
	for m, member := range members {
		for s := range shards {
			pairs = append(pairs, pair{score(member, s), s, m})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.shard, b.shard), cmp.Compare(a.member, b.member))
	})
	assigned := make(map[int]string, shards)
	load := make([]int, len(members))
	share, more := shards/len(members), shards%len(members) // so many members take one more than their share
	for _, p := range pairs {
		_, taken := assigned[p.shard]
		switch {
		case taken || load[p.member] > share:
			continue
		case load[p.member] == share && more == 0:
			continue
		case load[p.member] == share:
			more--
		}
		load[p.member]++
		assigned[p.shard] = members[p.member]
	}
	return assigned
}

// score is how well a member suits a shard: evenly spread, and the same everywhere.
func score(member string, shard int) uint64 {
	h := fnv.New64a()
	h.Write([]byte(member))
	h.Write(binary.BigEndian.AppendUint32([]byte{0}, uint32(shard)))
	// FNV hardly mixes the last bytes, in which the shards of a member differ: the finalizer
	// of SplitMix64 does.
	x := h.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
