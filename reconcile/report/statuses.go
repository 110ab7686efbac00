package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/forge"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/live"
	"secretsync/reconcile/sweep"
)

const (
	// statusContext is by what name a forge shows the status.
	statusContext = "secretsync/live"
	// mostOpen is how many commits are looked at that are not live yet.
	mostOpen = 16
	// mostRefused is how often a forge may refuse the status of one commit: it may
	// learn of it a little later than we do.
	mostRefused = 5
	// lookAnyway is how often to look where nothing is told: what is withheld for
	// want of a signature changes nothing at work.
	lookAnyway = 5 * time.Second
)

// statuses tells a forge how the newest commits of one tenant stand.
type statuses struct {
	*Reporter
	Tenant
	memory statusMemory
	seen   catalog.Revision // the newest commit that was looked at
	open   []*openCommit    // oldest first
	forge  pauses
	waited time.Duration // for the forge, in the look that is under way
	words  string        // what the forge failed with, as logged last
}

// openCommit is one that is not told to be live yet.
type openCommit struct {
	sha    string
	watch  *live.Watch
	seen   time.Time
	failed time.Time  // since when something fails; zero: nothing does
	told   toldStatus // last; without a state: nothing
	say    toldStatus // that is to be told; without a state: nothing
	next   pauses     // before another status of the commit
	// refused is how often the forge did not take it.
	refused int
}

// statusMemory is what was told, oldest first.
type statusMemory struct {
	Statuses []toldStatus `json:"statuses"`
}

type toldStatus struct {
	Commit      string      `json:"commit"`
	State       forge.State `json:"state"`
	Description string      `json:"description"`
}

// last is whether nothing more is told of the commit.
func (t toldStatus) last() bool { return t.State == forge.Success || t.State == forge.Broken }

func newStatuses(r *Reporter, t Tenant) *statuses {
	s := &statuses{Reporter: r, Tenant: t, forge: pauses{first: r.cfg.pace.retry, most: mostRetry}}
	r.metrics.begin(t.Name, kindStatus)
	_ = json.Unmarshal(r.recall(t.Name, kindStatus), &s.memory) // what is none is as nothing
	for _, t := range s.memory.Statuses {
		if !t.last() {
			c := s.opened(t.Commit)
			c.told, c.say = t, t
			s.open = append(s.open, c)
		}
	}
	return s
}

func (s *statuses) opened(sha string) *openCommit {
	return &openCommit{
		sha: sha, seen: s.cfg.Clock.Now(),
		watch: &live.Watch{Tenant: s.Name, Repository: s.Repository, Source: s.cfg.Source, SHA: sha},
		next:  pauses{first: s.cfg.pace.repeat, most: mostRepeat},
	}
}

func (s *statuses) run(ctx context.Context) { s.looks(ctx, s.Name, s.look, &s.waited) }

// look looks at all commits that are open, tells what is to be told of them, and
// returns when to look again if nothing changes.
func (s *statuses) look(ctx context.Context) (again time.Duration) {
	s.meet()
	again = lookAnyway
	for _, c := range slices.Clone(s.open) {
		wait, over := s.lookAt(ctx, c)
		if ctx.Err() != nil {
			return 0
		}
		if again = sooner(again, wait); over {
			s.open = slices.DeleteFunc(s.open, func(other *openCommit) bool { return other == c })
		}
	}
	return again
}

// meet opens the newest commit: that of the branch where it is not in force, and
// else the newest that is at work.
func (s *statuses) meet() {
	var newest catalog.Revision
	if withheld := s.Repository.Withheld(); withheld != nil {
		newest = withheld.Tip
	} else if taken := s.cfg.Source.Taken(s.Name); taken != nil && taken.Read() {
		newest = taken.Head()
	}
	if newest == s.seen || newest.IsZero() {
		return
	}
	s.seen = newest
	sha := newest.String()
	if slices.ContainsFunc(s.memory.Statuses, func(t toldStatus) bool { return t.Commit == sha }) {
		return // told before the last start, and open if that was not the last word
	}
	s.open = append(s.open, s.opened(sha))
	if more := len(s.open) - mostOpen; more > 0 {
		s.open = slices.Delete(s.open, 0, more)
		s.metrics.count(s.Name, kindStatus, outcomeLeft, more)
	}
}

// lookAt tells how a commit stands if that is another way than was told. It is
// over when there is nothing more to tell, and else to be looked at again after a
// time.
func (s *statuses) lookAt(ctx context.Context, c *openCommit) (again time.Duration, over bool) {
	now := s.cfg.Clock.Now()
	v, err := c.watch.Look(ctx)
	withheld := s.Repository.Withheld()
	switch {
	case withheld != nil && withheld.Tip.String() == c.sha && (errors.Is(err, gitstore.ErrNotFound) || err == nil && !v.Taken):
		c.say = toldStatus{c.sha, forge.Failure, fmt.Sprintf("not in force: commit %.12s %s", withheld.Commit, withheld.Reason)}
	case errors.Is(err, gitstore.ErrNotFound):
		if c.told.State == "" { // gone before anything was told
			return 0, true
		}
		c.say = toldStatus{c.sha, forge.Broken, "the branch was rewritten without this commit"}
	case err != nil:
		return mostRetry / 10, false
	case !v.Taken:
		return 0, false
	default:
		again = s.decide(c, &v, now)
	}
	if c.say == c.told {
		return again, false
	}
	wait := s.forge.left(now)
	if !c.say.last() || c.refused > 0 {
		wait = max(wait, c.next.left(now))
	}
	if wait > 0 {
		return sooner(again, wait), false
	}
	return s.tell(ctx, c)
}

// decide works out what is to be told of a commit, and when that may change by
// itself.
func (s *statuses) decide(c *openCommit, v *live.Verdict, now time.Time) (again time.Duration) {
	if v.Live {
		// What it no longer claims may be held, which is known a moment later.
		if wait := s.cfg.pace.settle - now.Sub(c.seen); wait > 0 && !s.cfg.Source.Weighed(s.Name) {
			return wait
		}
		if held := s.cfg.Source.Deletions(s.Name); held.ID != "" {
			c.say = toldStatus{c.sha, forge.Failure, heldWords(&held)}
			return 0
		}
		c.say = toldStatus{c.sha, forge.Success, liveWords(v)}
		return 0
	}
	missing := v.Missing()
	worst, wrong := worstOf(missing)
	switch {
	case worst.State != fault.Error:
		c.failed = time.Time{}
	case c.failed.IsZero():
		c.failed = now
	}
	words := missingWords(worst, len(missing))
	if wrong || !c.failed.IsZero() && now.Sub(c.failed) >= s.cfg.pace.settle {
		c.say = toldStatus{c.sha, forge.Failure, words}
		return 0
	}
	if !c.failed.IsZero() {
		words, again = "on its way", s.cfg.pace.settle-now.Sub(c.failed)
	}
	if worst.Reason == fault.ReasonQueued {
		words = "on its way"
	}
	switch wait := s.cfg.pace.moment - now.Sub(c.seen); {
	case wait > 0:
		return wait
	case words == "on its way" && c.say.State != "":
		// What was told holds till more is known.
	default:
		c.say = toldStatus{c.sha, forge.Pending, words}
	}
	return again
}

// tell sends a status.
func (s *statuses) tell(ctx context.Context, c *openCommit) (again time.Duration, over bool) {
	begun := s.cfg.Clock.Now()
	err := s.Forge.SetStatus(ctx, c.sha, forge.Status{State: c.say.State, Description: c.say.Description, Context: statusContext, URL: s.link(c.sha)})
	now := s.cfg.Clock.Now()
	s.waited += now.Sub(begun)
	if err == nil {
		s.metrics.count(s.Name, kindStatus, outcomeTold, 1)
		if s.forge.done(); s.words != "" {
			s.words = ""
			s.cfg.Log.Info("the forge takes commit statuses again", "tenant", s.Name.String())
		}
		c.refused = 0
		c.next.grow(now, 0)
		c.told = c.say
		s.keep(c.told)
		// It may be another one by now.
		return c.next.left(now), c.say.last()
	}
	if ctx.Err() != nil {
		return 0, false
	}
	s.metrics.count(s.Name, kindStatus, outcomeFailed, 1)
	if words := err.Error(); words != s.words {
		s.words = words
		s.cfg.Log.Warn("the forge does not take a commit status; it is tried again", "tenant", s.Name.String(), "commit", c.sha, "error", err)
	}
	if errors.Is(err, forge.ErrRefused) || errors.Is(err, forge.ErrNotFound) {
		// It concerns this commit alone, as far as one can tell.
		if c.refused++; c.refused == mostRefused {
			s.metrics.count(s.Name, kindStatus, outcomeLeft, 1)
			return 0, true
		}
		c.next.grow(now, 0)
		return c.next.left(now), false
	}
	pause, _ := forge.RetryAfter(err)
	s.forge.grow(now, pause)
	return s.forge.left(now), false
}

// keep remembers what was told of a commit, and of the newest others.
func (s *statuses) keep(t toldStatus) {
	all := slices.DeleteFunc(s.memory.Statuses, func(other toldStatus) bool { return other.Commit == t.Commit })
	all = append(all, t)
	s.memory.Statuses = all[max(0, len(all)-2*mostOpen):]
	if content, err := json.Marshal(s.memory); err == nil {
		s.remember(s.Name, kindStatus, content)
	}
}

// link is where more is told of a commit.
func (s *statuses) link(sha string) string {
	if s.cfg.PublicURL == "" {
		return ""
	}
	return s.cfg.PublicURL + "/api/v1/tenants/" + s.Name.String() + "/commits/" + sha
}

// worstOf finds what is to be told of all that is missing: what is wrong with a
// definition itself, which only a person can mend, then what fails.
func worstOf(missing []live.Missing) (worst live.Missing, wrong bool) {
	for _, m := range missing {
		if m.Target == nil && m.State == fault.Error {
			return m, true
		}
		if worst.State == "" || m.State == fault.Error && worst.State != fault.Error {
			worst = m
		}
	}
	return worst, false
}

func liveWords(v *live.Verdict) string {
	targets := 0
	for i := range v.Definitions {
		targets += len(v.Definitions[i].Targets)
	}
	switch {
	case len(v.Definitions) == 0:
		return "live; it changes no definition"
	case targets == 0:
		return "live; it has no target to sync to"
	case targets == 1:
		return "live in 1 target"
	}
	return fmt.Sprintf("live in %d targets", targets)
}

// heldWords say that copies are not deleted, and which first.
func heldWords(held *sweep.Deletions) string {
	first := &held.Held[0]
	said := fmt.Sprintf("%s: %s/%s/%s", fault.ReasonDeletionHeld, first.Cluster, first.Namespace, first.Secret)
	if more := len(held.Held) - 1; more > 0 {
		said += fmt.Sprintf(" (and %d more)", more)
	}
	return said + "; release " + held.ID
}

// missingWords says what is missing without the words of clusters and vaults,
// which may tell of an operator's network.
func missingWords(m live.Missing, of int) string {
	said := string(m.Reason)
	switch {
	case m.Target != nil:
		said += ": " + m.Target.Target.Place(m.Name).String()
	case m.Path != "":
		said += ": " + m.Path
	}
	if of > 1 {
		said += fmt.Sprintf(" (and %d more)", of-1)
	}
	return said
}
