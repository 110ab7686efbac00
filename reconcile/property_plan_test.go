package reconcile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	corev1 "k8s.io/api/core/v1"

	"secretsync/gitstore/definition/folder"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/plan"
)

// foresight is what a plan says of each place, and how that is before the change.
type foresight struct {
	steps  map[spot][]plan.Step
	whole  bool // everything was looked at
	before map[spot]outlook
}

// outlook is how a place stands as the model says.
type outlook struct {
	right  bool // those who have it are content
	shared bool // by several, so that what one lets go of another may have
	mixed  bool // claimed as a whole and in shares, which a plan tells by the definitions alone
}

// outlooks are those of all places that are claimed.
func (p *property) outlooks() map[spot]outlook {
	all := make(map[spot]outlook)
	for at, name := range p.should.wholes {
		all[at] = outlook{right: slices.Equal(p.want[name][at], []fault.Reason{fault.ReasonSynced}), mixed: len(p.should.sharers[at]) > 0}
	}
	for at, names := range p.should.sharers {
		o, whole := all[at]
		if !whole {
			o.right = true
		}
		o.shared = len(names) > 1
		for _, name := range names {
			for _, reason := range p.want[name][at] {
				o.right = o.right && (reason == fault.ReasonSynced || reason == fault.ReasonKeyConflict)
			}
		}
		all[at] = o
	}
	for _, places := range p.want { // what is refused, too
		for at := range places {
			if _, ok := all[at]; !ok {
				all[at] = outlook{}
			}
		}
	}
	return all
}

func (p *property) plan(name, text string) foresight {
	p.t.Helper()
	files := maps.Clone(p.files)
	if files[name] = text; text == "" {
		delete(files, name)
	}
	var list []folder.File
	for name, text := range files {
		list = append(list, folder.File{Name: name + ".yaml", Mode: filemode.Regular, Read: func(int64) ([]byte, error) { return []byte(text), nil }})
	}
	to, err := folder.Read(list, 0)
	p.must(err)
	made, err := p.r.Plan(p.ctx, p.tenant(), p.repo.Snapshot().Set(), to, true)
	p.must(err)
	if said, err := json.Marshal(made); err != nil || bytes.Contains(said, []byte(canary)) {
		p.fail("a plan tells a value: " + string(said))
	}
	f := foresight{steps: make(map[spot][]plan.Step), whole: made.Unlooked == 0, before: p.outlooks()}
	for _, s := range made.Steps {
		at := spot{s.Cluster, s.Namespace, s.Secret}
		f.steps[at] = append(f.steps[at], s)
	}
	return f
}

// writes reports whether one of the steps says that a Secret is written.
func (f *foresight) writes(at spot, shared bool) bool {
	return slices.ContainsFunc(f.steps[at], func(s plan.Step) bool {
		held := s.Held != nil && s.Held.Reason != fault.ReasonKeyConflict // the other keys are written all the same
		switch s.Action {
		case plan.Create, plan.Update, plan.Move, plan.Resume:
			return !held
		case plan.Delete, plan.Stop:
			return !held && shared
		}
		return false
	})
}

// tellsOf reports whether a step is one of a definition's.
func (f *foresight) tellsOf(at spot, name string) bool {
	return slices.ContainsFunc(f.steps[at], func(s plan.Step) bool { return s.Definition == name })
}

// foresaw compares what a plan said with what was written.
func (p *property) foresaw(f foresight, stood map[spot]*corev1.Secret) {
	p.t.Helper()
	after, stand := p.outlooks(), p.secrets()
	fails := func(at spot, what string) {
		p.t.Helper()
		p.fail(fmt.Sprintf("%v was %s, and the plan said %+v; it was %+v and is %+v, wanted are %v", at, what, f.steps[at], f.before[at], after[at], p.want))
	}
	for at, now := range stand {
		was, claimed := f.before[at]
		switch before := stood[at]; {
		case before != nil && before.ResourceVersion == now.ResourceVersion, was.mixed, after[at].mixed:
		case f.writes(at, p.should.stands[at].whole == ""):
			p.foretold++
		case claimed && !was.right: // what was held up before is done when it can be
		case !claimed && before != nil && p.should.stands[at].whole == "" && after[at] == (outlook{}): // a share that nobody claimed already left
		default:
			fails(at, "written")
		}
	}
	for at := range stood {
		was, claimed := f.before[at]
		switch goes := slices.ContainsFunc(f.steps[at], func(s plan.Step) bool { return s.Action == plan.Delete && s.Held == nil }); {
		case stand[at] != nil, was.mixed, after[at].mixed:
		case goes:
			p.foretold++
		case claimed && p.should.definition[stood[at].Labels["secretsync.dev/name"]] == nil && !f.tellsOf(at, stood[at].Labels["secretsync.dev/name"]):
			// That of a definition which is long gone, where another one waited for it.
		case claimed: // else it was one that nobody claimed already
			fails(at, "deleted")
		}
	}
	for at, steps := range f.steps {
		before, now := stood[at], stand[at]
		was, claimed := f.before[at]
		if was.mixed || after[at].mixed || claimed && !was.right || !f.whole && !after[at].right {
			continue // it may be right by what was written before that
		}
		if before != nil && now == nil || now != nil && (before == nil || before.ResourceVersion != now.ResourceVersion) {
			continue
		}
		for _, s := range steps {
			switch {
			case s.Held != nil, s.Selects, s.Action == plan.Resume, s.Action == plan.Stop, s.Action == plan.Unchanged, s.Action == plan.Delete && before == nil:
			default:
				fails(at, "not written")
			}
		}
	}
}
