package shard

import (
	"context"
	"maps"
	"slices"
	"time"
)

// rounds is how many times in a row, at most, one replica hands shards over to others.
const rounds = 8

// patience is for how long shards are kept whose takers are not prepared for them, in lease times: who
// keeps them works for them meanwhile. Who is about to end does so for less than a lease time,
// so that the rounds are over within two.
const (
	patience        = 4.0
	patienceAtAnEnd = 2.0 / 3
)

// Leave hands the shards over to the others, a few at a time, while this replica works on for
// those that it still has. It returns when it has none any more, when nobody is there to take
// them, when this replica takes no part, when two lease times have passed, or when ctx ends.
// What it still holds then is released at the end of [Replica.Run].
func (r *Replica) Leave(ctx context.Context) {
	r.leaving.Store(true)
	signal(r.wake)
	timer := r.Clock.NewTimer(2 * r.Lease)
	defer timer.Stop()
	select {
	case <-r.left:
	case <-timer.C():
		r.Log.Warn("not all shards were handed over one after the other within two lease times; those that are left at the end are given up all at once", "replica", r.Name)
	case <-ctx.Done():
	}
}

// handOver begins to give up what is held and not wanted any more. Where others wait for it, that
// is a few shards at a time: a tenant is without a holder for as long as those of its round take
// to be let go of and taken in, and not as long as all would. Before the first round, and after
// each, those who take them have time to prepare, and to finish; a shard that its taker is not
// prepared for waits for a later round, till that takes too long. Of several who hand over because of
// the same event, as to one that comes, each begins a while after the one before, so that their rounds
// don't all reach who takes them at once.
func (r *Replica) handOver(s scene, members []member, wanted map[string]string, cause error) {
	var unwanted []string
	underway := false
	for lease, c := range r.campaigns {
		switch {
		case wanted[lease] != "":
		case c.lock.held() == 0:
			c.stop()
		case c.leaving == 0:
			unwanted = append(unwanted, lease)
		default:
			underway = true
		}
	}
	if len(unwanted) == 0 {
		r.begun, r.turn, r.round, r.unready = time.Time{}, time.Time{}, 0, false
		return
	}
	if cause == nil {
		unwanted = r.nextRound(s, members, unwanted, underway)
	}
	for _, lease := range unwanted {
		c := r.campaigns[lease]
		c.heads = make(heads)
		if c.leaving = r.holding.change; r.holding.terms[lease] != 0 {
			c.leaving++ // which is about to be told: see publish
		}
	}
}

// nextRound is which of the shards are given up now: none before its turn.
func (r *Replica) nextRound(s scene, members []member, unwanted []string, underway bool) []string {
	r.round = max(r.round, (r.Shards+2*rounds-1)/(2*rounds), (len(unwanted)+rounds-1)/rounds)
	if r.begun.IsZero() || r.begun.After(s.now) { // by a clock that went back
		r.begun = s.now
	}
	switch turn := s.now.Add(r.timing.retry); {
	case underway:
		r.turn = turn
	case r.turn.IsZero() || r.turn.After(turn.Add(r.timing.retry)): // that late it was set by a clock that went back
		r.turn = turn.Add(r.later(s, members))
	}
	if underway || s.now.Before(r.turn) {
		return nil
	}
	ready := r.ready(members, unwanted)
	if len(ready) == 0 && !r.outOfPatience(s.now) {
		r.unready = true
		return nil
	}
	if len(ready) > 0 {
		unwanted = ready
		if r.unready { // all who wait for its takers hear at once that they are prepared
			r.unready = false
			r.turn = s.now.Add(r.later(s, members))
		}
	}
	if s.now.Before(r.turn) {
		return nil
	}
	slices.Sort(unwanted) // as those who prepare for them expect it: see moves
	return unwanted[:min(len(unwanted), r.round)]
}

func (r *Replica) outOfPatience(now time.Time) bool {
	most := patience
	if r.leaving.Load() {
		most = patienceAtAnEnd
	}
	return now.Sub(r.begun).Seconds() >= most*r.Lease.Seconds()
}

// moves is which shards are to have another holder, by who has them and in the order in which that one
// hands them over. It is worked out by what all see, so that all come to the same.
func (r *Replica) moves(s scene, members []member) map[string][]string {
	names := make(map[string]string) // by identity
	for _, m := range members {
		names[m.identity] = m.name
	}
	holders, moves := s.holders(), make(map[string][]string)
	for shard, name := range Assign(r.stayers(members), r.Shards) {
		lease := shardLease(shard)
		if from := names[holders[lease]]; from != "" && from != name {
			moves[from] = append(moves[from], lease)
		}
	}
	for _, leases := range moves {
		slices.Sort(leases)
	}
	return moves
}

// later is how long after the first of those who hand over this replica is to begin: they share
// the time evenly that is between two rounds.
func (r *Replica) later(s scene, members []member) time.Duration {
	from := slices.Sorted(maps.Keys(r.moves(s, members)))
	at := slices.Index(from, r.Name)
	if at < 0 {
		return 0
	}
	return r.timing.retry * time.Duration(at) / time.Duration(len(from))
}

// turns tells of each shard that is to have another holder how many its holder hands over before it.
func (r *Replica) turns(s scene, members []member) map[string]int {
	turns := make(map[string]int)
	for _, leases := range r.moves(s, members) {
		for turn, lease := range leases {
			turns[lease] = turn
		}
	}
	return turns
}

// letGo releases what the program has settled without.
func (r *Replica) letGo() {
	for _, c := range r.campaigns {
		if c.leaving != 0 && r.settled >= c.leaving {
			if !c.gone {
				c.lock.leaves = c.heads
			}
			c.stop()
		}
	}
}

// tellLeft ends the wait of [Replica.Leave] when nothing is left to hand over, or nobody is there
// to take it.
func (r *Replica) tellLeft(members []member, cause error) {
	if !r.leaving.Load() || isClosed(r.left) {
		return
	}
	others := slices.DeleteFunc(r.stayers(members), func(name string) bool { return name == r.Name })
	for _, c := range r.campaigns {
		if c.lock.kind == kindShard && cause == nil && len(others) > 0 {
			return
		}
	}
	close(r.left)
}

// inherits returns the shards that are this replica's when the silent members have died, none if nobody
// is silent. It is a guess, for those who prepare: it may take as long as what is left of the lease time
// to read the branches of as many tenants.
func (r *Replica) inherits(members []member, silent map[string]bool) (leases []string) {
	if len(silent) == 0 {
		return nil
	}
	heirs := slices.DeleteFunc(slices.Clone(members), func(m member) bool { return silent[m.identity] })
	for shard, name := range Assign(r.stayers(heirs), r.Shards) {
		if name == r.Name {
			leases = append(leases, shardLease(shard))
		}
	}
	return leases
}

// silent returns who of the members, by their identities, was not heard of for some time before this
// replica was last: what this one renews comes by the same watch. So nobody is while the API server is
// away, or this replica was stopped.
func (r *Replica) silent(members []member, cause error) map[string]bool {
	own := slices.IndexFunc(members, func(m member) bool { return m.identity == r.identity })
	if cause != nil || own < 0 {
		return nil
	}
	silent := make(map[string]bool)
	for _, m := range members {
		if m.silentSince(members[own].renewed) {
			silent[m.identity] = true
		}
	}
	return silent
}

// stayers names those who share the shards: who is about to end does no longer, from when it has
// told the others so.
func (r *Replica) stayers(members []member) (names []string) {
	for _, m := range members {
		if m.shards == r.Shards && !m.leaving {
			names = append(names, m.name)
		}
	}
	return names
}
