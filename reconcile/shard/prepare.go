package shard

import (
	"slices"
	"strconv"
	"strings"

	coordination "k8s.io/api/coordination/v1"

	"secretsync/gitstore"
)

// Preparing says that the program prepares for tenants that come in h, for all there are of their
// shards. It calls done for each as soon as that can be served. Of a shard whose tenants all can, or
// that has none, the others are told with the next renewal: who holds it hands it over then.
func (r *Replica) Preparing(h Holding, tenants []gitstore.TenantName) (done func(gitstore.TenantName)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for lease := range h.coming {
		if r.unprepared[lease] == nil {
			r.unprepared[lease] = new(int)
		}
	}
	ours := make(map[string]*int) // those of another time when the same shard comes are others
	for _, t := range tenants {
		lease := h.lease(t)
		if left := r.unprepared[lease]; left != nil {
			ours[lease] = left
			*left++
		}
	}
	return func(t gitstore.TenantName) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if left := ours[h.lease(t)]; left != nil {
			*left--
		}
	}
}

// prepared is what the others are told of the shards that this replica is prepared for.
func (r *Replica) prepared() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var shards []string
	for lease, left := range r.unprepared {
		if shard, is := strings.CutPrefix(lease, shardPrefix); is && *left == 0 {
			shards = append(shards, shard)
		}
	}
	slices.Sort(shards)
	return strings.Join(shards, ",")
}

// preparedFor reads what a member's Lease says of the shards that it is prepared for, by their
// Leases. It is nil if that says nothing, as those of older servers don't.
func preparedFor(lease *coordination.Lease) map[string]bool {
	told, says := lease.Annotations[annotationPrepared]
	if !says {
		return nil
	}
	leases := make(map[string]bool)
	for number := range strings.SplitSeq(told, ",") {
		if shard, err := strconv.Atoi(number); err == nil && shard >= 0 && shard < MostShards {
			leases[shardLease(shard)] = true
		}
	}
	return leases
}

// ready are those of the shards whose takers are prepared for them, or don't say whether they are.
func (r *Replica) ready(members []member, unwanted []string) (leases []string) {
	takers := make(map[string]map[string]bool) // what each is prepared for, by name
	for _, m := range members {
		takers[m.name] = m.prepared
	}
	to := make(map[string]string)
	for shard, name := range Assign(r.stayers(members), r.Shards) {
		to[shardLease(shard)] = name
	}
	for _, lease := range unwanted {
		if prepared := takers[to[lease]]; prepared == nil || prepared[lease] {
			leases = append(leases, lease)
		}
	}
	return leases
}
