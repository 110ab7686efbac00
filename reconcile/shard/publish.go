package shard

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
)

// publish makes of what is held now what questions are answered by, and says so if it changed.
func (r *Replica) publish(s scene, members []member, wanted map[string]string, cause error) {
	v := &view{own: make(map[string]*lock), addresses: make(map[string]string), takers: len(r.stayers(members)) > 0, err: cause}
	terms, found := make(map[string]uint64), make(map[string]heads)
	coming, silent := make(map[string]bool), make(map[string]bool)
	for lease, c := range r.campaigns {
		if term := c.lock.current(); term != nil && c.leaving == 0 && !c.gone {
			v.own[lease], terms[lease], found[lease] = c.lock, term.number, term.found
		} else if wanted[lease] == kindShard && cause == nil {
			coming[lease] = true
		}
	}
	holders, gone := s.holders(), r.silent(members, cause)
	for _, lease := range r.inherits(members, gone) {
		if v.own[lease] == nil {
			coming[lease], silent[lease] = true, gone[holders[lease]]
		}
	}
	if cause == nil {
		addresses := make(map[string]string) // by identity
		for _, m := range members {
			if m.identity != r.identity {
				addresses[m.identity] = m.address
				v.addresses[memberLease(m.name)] = m.address
			}
		}
		for lease, holder := range holders {
			if address := addresses[holder]; address != "" {
				v.addresses[lease] = address
			}
		}
	}
	maps.DeleteFunc(r.unprepared, func(lease string, _ *int) bool { return !coming[lease] })
	// Who sees what this replica takes part in finds it in the log and the metrics already.
	r.tellCause(r.view.Load().err, cause)
	r.metrics.setApart(cause)
	r.metrics.members.Set(float64(len(members)))
	changed := !maps.Equal(terms, r.holding.terms) || !maps.Equal(coming, r.holding.coming)
	if changed {
		r.tellHolding(r.holding.terms, terms)
		r.holding = Holding{change: r.holding.change + 1, terms: terms, found: found, coming: coming, silent: silent, turns: r.turns(s, members), lease: r.leaseOf}
		r.metrics.held.Set(float64(r.holding.Shards()))
	}
	r.show(v)
	if changed {
		signal(r.changed)
	}
}

func (r *Replica) tellCause(before, now error) {
	switch {
	case now != nil && (before == nil || before.Error() != now.Error()):
		var detail error
		if trouble := r.trouble.Load(); trouble != nil {
			detail = *trouble
		}
		r.Log.Warn("this replica takes no part", "replica", r.Name, "cause", now, "error", detail)
	case now == nil && before != nil:
		r.Log.Info("this replica takes part", "replica", r.Name)
	}
}

func (r *Replica) tellHolding(before, now map[string]uint64) {
	what := make(map[string][]string)
	note := func(how, lease string) {
		if shard, is := strings.CutPrefix(lease, shardPrefix); is {
			what[how] = append(what[how], shard)
			r.metrics.handovers.WithLabelValues(how).Inc()
		}
	}
	for lease, term := range before {
		switch c := r.campaigns[lease]; {
		case now[lease] == term:
		case c != nil && c.leaving != 0:
			note(released, lease)
		default:
			note(lost, lease)
		}
	}
	for lease, term := range now {
		if before[lease] != term {
			note(gained, lease)
		}
	}
	if len(what) == 0 {
		return
	}
	for _, shards := range what {
		slices.Sort(shards)
	}
	level := slog.LevelInfo
	if what[lost] != nil {
		level = slog.LevelWarn
	}
	r.Log.Log(context.Background(), level, "shards changed hands", "replica", r.Name, gained, what[gained], released, what[released], lost, what[lost])
}
