package review

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/forge"
)

// verdict is what is said of a pull request.
type verdict struct {
	state       forge.State
	description string
	comment     string                // empty: none
	touched     []*definition.Located // as they are, and as they are to be
}

// tellAfter is after how many failures in a row to fetch a head that is told there.
const tellAfter = 2

// review looks at one pull request and reports it. A failure leaves it to be looked
// at again.
func (r *Reviewer) review(ctx context.Context, p forge.Pull, on *catalog.Snapshot) error {
	v, err := r.judge(ctx, p, on)
	if err != nil {
		return fmt.Errorf("pull request %d: %w", p.Number, err)
	}
	if v == nil {
		return nil // its head moved: the forge lists the new one soon
	}
	was := r.reported[p.Number]
	now := report{head: p.Head.Commit, on: on, commented: was.commented, text: was.text, names: make(map[definition.Name]bool), places: make(map[definition.Place]bool)}
	for _, l := range v.touched {
		now.names[l.Name] = true
		for _, t := range l.Sync {
			now.places[t.Place(l.Name)] = true
		}
	}
	status := forge.Status{State: v.state, Context: Context, Description: v.description, URL: p.URL}
	if err := r.Pulls.SetPullStatus(ctx, p, status); err != nil {
		return fmt.Errorf("pull request %d: %w", p.Number, err)
	}
	text := v.comment
	if text == "" && was.commented {
		text = v.description + "\n" // the comment of earlier is not true any more
	}
	if text != "" && text != was.text {
		if err := r.Pulls.Comment(ctx, p.Number, Context, text); err != nil {
			return fmt.Errorf("pull request %d: %w", p.Number, err)
		}
		now.commented, now.text = true, text
	}
	r.reported[p.Number] = now
	r.Log.Info("pull request checked", "number", p.Number, "commit", p.Head.Commit, "state", string(v.state))
	return nil
}

// judge works out what to say. It is nil where the head is another by now, and an
// error where trying again may help.
func (r *Reviewer) judge(ctx context.Context, p forge.Pull, on *catalog.Snapshot) (*verdict, error) {
	broken := func(why string) (*verdict, error) {
		return &verdict{state: forge.Broken, description: why}, nil
	}
	head, err := catalog.ParseRevision(p.Head.Commit)
	switch {
	case err != nil:
		return broken("the forge names no commit as its head")
	case p.FetchRef == "":
		return broken("its head lies in a fork that can't be fetched; push the branch to the repository itself")
	}
	proposed, err := r.Repository.At(ctx, head.String())
	if errors.Is(err, gitstore.ErrNotFound) {
		_, err = r.Repository.FetchRef(ctx, p.FetchRef)
		switch {
		case errors.Is(err, gitstore.ErrNotFound):
			return nil, nil
		case errors.Is(err, gitstore.ErrLimit), errors.Is(err, definition.ErrInvalid):
			return broken("its head can't be fetched: it is too large, or its reference is malformed")
		case err != nil && r.failed[p.Number].head == p.Head.Commit && r.failed[p.Number].count == tellAfter:
			return nil, errors.Join(err, r.Pulls.SetPullStatus(ctx, p, forge.Status{State: forge.Broken, Context: Context, Description: "its head can't be fetched now; it is tried again", URL: p.URL}))
		case err != nil:
			return nil, err
		}
		proposed, err = r.Repository.At(ctx, head.String())
	}
	switch {
	case errors.Is(err, gitstore.ErrNotFound):
		return nil, nil
	case errors.Is(err, gitstore.ErrLimit):
		return broken("its definitions cost too much to read; make the change smaller")
	case err != nil:
		return nil, err
	}
	from, err := r.base(ctx, head, on)
	if err != nil {
		return nil, err
	}
	if from == nil {
		return broken("it parted from the branch too long ago; rebase it")
	}
	change, removed := changed(from, proposed)
	if len(change.Definitions)+len(change.Invalid)+len(change.Strange)+len(removed) == 0 {
		return &verdict{state: forge.Success, description: "no definition is touched"}, nil
	}
	before := on.Set()
	drawn, err := r.Planner.Plan(ctx, r.Tenant, before, before.With(change, removed), !p.Fork)
	if err != nil {
		return nil, err
	}
	drawn.From, drawn.To = on.Head().String(), head.String()
	v := &verdict{state: forge.Success, description: drawn.Headline(), comment: drawn.Markdown()}
	for i := range change.Definitions {
		v.touched = append(v.touched, &change.Definitions[i])
	}
	for _, i := range change.Invalid {
		v.touched = append(v.touched, &definition.Located{Definition: definition.Definition{Name: i.Name}})
	}
	for _, e := range before.Definitions {
		if slices.Contains(removed, e.Path()) {
			v.touched = append(v.touched, &e)
		}
	}
	if failing := drawn.Failing(); failing != "" {
		v.state, v.description = forge.Failure, failing
	}
	if p.Fork {
		v.comment += "\n_It comes from a fork: neither the clusters nor the vault were looked at._\n"
	}
	return v, nil
}

// base returns what the definitions were where the head left the branch; nil where
// that can't be told.
func (r *Reviewer) base(ctx context.Context, head catalog.Revision, on *catalog.Snapshot) (*catalog.Snapshot, error) {
	if on.Head().IsZero() {
		return on, nil // the branch has no commit yet
	}
	base, err := r.Repository.MergeBase(ctx, head, on.Head())
	if errors.Is(err, gitstore.ErrNotFound) || errors.Is(err, gitstore.ErrLimit) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	from, err := r.Repository.At(ctx, base.String())
	if errors.Is(err, gitstore.ErrLimit) {
		return nil, nil
	}
	return from, err
}

// changed returns what files that differ between two commits say in the second, and
// the paths of those that are gone.
func changed(from, to *catalog.Snapshot) (change definition.Set, removed []string) {
	touched := make(map[string]bool)
	for _, c := range catalog.Diff(from, to) {
		if c.Old == nil || c.New == nil || !c.Old.SameFile(c.New) {
			touched[c.Name.String()] = true
		}
		if c.New == nil {
			removed = append(removed, definition.Folder+"/"+c.Name.String()+definition.FileSuffix)
		}
	}
	all := to.Set()
	for _, l := range all.Definitions {
		if touched[l.Name.String()] {
			change.Definitions = append(change.Definitions, l)
		}
	}
	for _, i := range all.Invalid {
		if touched[i.Name.String()] {
			change.Invalid = append(change.Invalid, i)
		}
	}
	before := make(map[definition.FileError]bool)
	for _, e := range from.Problems() {
		before[e] = true
	}
	after := make(map[string]bool)
	for _, e := range to.Problems() {
		if after[e.Path] = true; !before[e] {
			change.Strange = append(change.Strange, &e)
		}
	}
	for _, e := range from.Problems() {
		if !after[e.Path] && strings.HasPrefix(e.Path, definition.Folder+"/") {
			removed = append(removed, e.Path)
		}
	}
	return change, removed
}
