// Package live says whether a commit is live, and what is missing if it is not.
//
// It decides nothing about copies: it puts together what package gitstore knows
// of a commit and what package reconcile says of targets. So it stands beside the
// reconciler and not in it, and whoever has both can ask it: the API for a
// pipeline that waits, the reporter for a forge.
//
// # What live means
//
// A commit is live when the reconciler works by a snapshot that has the commit in
// its history, and everything that the commit touched stands as that snapshot says:
//
//	the commit …                    and at HEAD …              it is live when
//	changed a definition            its version stands         each target is Synced, judged by it
//	                                a later one stands         each target that both have is Synced,
//	                                                           judged by the later one
//	                                it was removed             at once: nothing is synced any more
//	removed a definition or target  it is gone                 at once: the reconciler has let go of it
//	                                it is there again          at once
//	broke a definition's file       it is broken               never: its last valid version is synced
//	                                it was mended              each target is Synced
//	added a file that is none       it is there                never
//	suspended a definition          it is suspended            when it goes on: until then nothing is written
//	changed nothing under secrets/                             at once
//
// So what a later commit changed again counts as live with the later one. A
// commit that a merge brought counts as live with the merge: what it touched is
// what it changed itself, what stands is what the merge made of it.
package live

import (
	"fmt"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
)

// Verdict is how a commit stands.
type Verdict struct {
	Commit *gitstore.Commit
	Live   bool
	// Taken: the reconciler works by a snapshot that has the commit. If not, it
	// will soon, and nothing is known of Definitions.
	Taken       bool
	Definitions []Definition // that the commit touched, by path
}

// Definition is one that a commit touched, as it stands.
type Definition struct {
	Touched gitstore.Touched
	// Revision is the newest commit that changed it; zero where it is gone.
	Revision catalog.Revision
	// Superseded: what stands is not what the commit says, but what another one
	// made of it.
	Superseded bool
	// Targets are those that the commit names and that are there.
	Targets []status.Target
	// Reason and Message say what is wrong with the definition itself; empty:
	// nothing.
	Reason  fault.Reason
	Message string
	// judged are the targets' revision: those of another one say nothing.
	judged catalog.Revision
}

// Missing is one thing that keeps a commit from being live.
type Missing struct {
	Path    string // of the definition's file; empty: it concerns the commit as a whole
	Name    definition.Name
	Target  *status.Target // nil: it concerns the definition
	State   fault.State
	Reason  fault.Reason
	Message string
}

// String says it in words.
func (m Missing) String() string {
	said := m.Message
	if said == "" {
		said = string(m.Reason)
	}
	switch {
	case m.Target != nil:
		return fmt.Sprintf("%s to %s: %s: %s", m.Name, m.Target.Target.Place(m.Name), m.Reason, said)
	case !m.Name.IsZero():
		return fmt.Sprintf("%s: %s: %s", m.Name, m.Reason, said)
	}
	return said
}

// Judge says how a commit stands by the snapshot that is at work, which must be
// the one that the commit was found in. stands tells how an entry of that stands.
// It depends on nothing else.
func Judge(c *gitstore.Commit, at *catalog.Snapshot, stands func(*catalog.Entry) status.Status) Verdict {
	v := Verdict{Commit: c, Taken: true, Live: c.Untold == 0, Definitions: make([]Definition, len(c.Touched))}
	for i := range c.Touched {
		v.Definitions[i] = judge(c, &c.Touched[i], at, stands)
		v.Live = v.Live && v.Definitions[i].live()
	}
	return v
}

// judge says how one definition stands that a commit touched.
func judge(c *gitstore.Commit, t *gitstore.Touched, at *catalog.Snapshot, stands func(*catalog.Entry) status.Status) Definition {
	d := Definition{Touched: *t}
	if t.Name.IsZero() { // no definition's file
		for _, problem := range at.Problems() {
			if problem.Path == t.Path {
				d.Reason, d.Message = fault.ReasonInvalidDefinition, problem.Error()
			}
		}
		return d
	}
	e, ok := at.Get(t.Name)
	if !ok {
		d.Superseded = !t.Removed
		if !t.Removed && at.Surplus() > 0 {
			d.Superseded = false
			d.Reason, d.Message = fault.ReasonInvalidDefinition, "is not served: there are more definitions than the tenant may have; remove some"
		}
		return d
	}
	d.Revision, d.Superseded, d.judged = e.Revision, e.Revision != c.Landed, e.Source
	if t.Removed {
		return d
	}
	// The last valid version is the commit's own or a later one, unless the commit
	// broke the file itself; what a merge did to it is not known.
	if e.Invalid != nil && (t.Invalid != nil || c.Landed != c.Revision) {
		d.Reason, d.Message = fault.ReasonInvalidDefinition, e.Invalid.Error()
		return d
	}
	named := make(map[definition.Place]bool, len(t.Definition.Sync))
	for _, target := range t.Definition.Sync {
		named[target.Place(t.Name)] = true
	}
	for _, target := range stands(e).Targets {
		if t.Invalid != nil || named[target.Declared(t.Name)] {
			d.Targets = append(d.Targets, target)
		}
	}
	return d
}

func (d *Definition) live() bool {
	for i := range d.Targets {
		if !d.synced(&d.Targets[i]) {
			return false
		}
	}
	return d.Reason == ""
}

// synced reports whether a target is, by the revision that stands.
func (d *Definition) synced(t *status.Target) bool {
	return t.State == fault.Synced && t.Observed == d.judged
}

// Missing returns all that keeps the commit from being live, by path and in the
// order of the targets; nothing if it is.
func (v *Verdict) Missing() (missing []Missing) {
	if !v.Taken {
		return []Missing{{State: fault.Pending, Reason: fault.ReasonQueued, Message: "the commit was not taken in yet"}}
	}
	for i := range v.Definitions {
		d := &v.Definitions[i]
		if d.Reason != "" {
			missing = append(missing, Missing{Path: d.Touched.Path, Name: d.Touched.Name, State: fault.Error, Reason: d.Reason, Message: d.Message})
		}
		for j := range d.Targets {
			t := &d.Targets[j]
			if d.synced(t) {
				continue
			}
			m := Missing{Path: d.Touched.Path, Name: d.Touched.Name, Target: t, State: t.State, Reason: t.Reason, Message: t.Message}
			if t.State == fault.Synced { // by an older revision
				m.State, m.Reason, m.Message = fault.Pending, fault.ReasonQueued, "not tried yet"
			}
			missing = append(missing, m)
		}
	}
	if n := v.Commit.Untold; n > 0 {
		missing = append(missing, Missing{State: fault.Error, Reason: fault.ReasonInvalidDefinition,
			Message: fmt.Sprintf("the commit changed %d files more, which are not looked at; nobody may have as many definitions", n)})
	}
	return missing
}
