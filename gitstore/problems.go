package gitstore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"secretsync/gitstore/internal/gitdir/refs"
)

// problems are what is wrong with a repository as a whole though it can be read,
// as sentences that say what to do.
type problems struct {
	mu    sync.Mutex
	kinds [6][]string
}

// The kinds of problem.
const (
	branchProblem    = iota // the branch that is followed is not what it should be
	rewriteProblem          // commits were dropped
	pushProblem             // Git could not be told which pushes to refuse
	costProblem             // a commit costs too much to take in
	signatureProblem        // a commit is not signed as it has to be
	remoteProblem           // the remote can't be asked, or the branch is gone there
)

// Problems tells what is wrong with the repository as a whole, though it can be
// read: a branch that isn't there while others are, commits that were dropped by
// force, one that costs too much to take in or is not signed. Each is one sentence that says what to do.
func (r *Repository) Problems() []string {
	r.problems.mu.Lock()
	defer r.problems.mu.Unlock()
	return slices.Concat(r.problems.kinds[:]...)
}

// set replaces the problems of one kind. What is new is logged, once.
func (p *problems) set(r *Repository, kind int, sentences ...string) {
	p.mu.Lock()
	before := p.kinds[kind]
	p.kinds[kind] = sentences
	count := 0
	for _, of := range p.kinds {
		count += len(of)
	}
	p.mu.Unlock()
	if slices.Equal(before, sentences) {
		return
	}
	for _, sentence := range sentences {
		if !slices.Contains(before, sentence) {
			r.log.Warn("repository has a problem", "tenant", r.tenant.s, "problem", sentence)
		}
	}
	if len(sentences) == 0 {
		r.log.Info("a problem of the repository is over", "tenant", r.tenant.s, "problem", strings.Join(before, " "))
	}
	r.metrics.problems.Set(float64(count))
}

// lookAround finds out whether the branch that is followed is the one that
// people see. A failure to do so is told where the branch is followed.
func (r *Repository) lookAround() {
	if r.origin != nil {
		// Its branches are at the remote, and HEAD of the mirror is nobody's.
		r.problems.set(r, branchProblem)
		return
	}
	var found []string
	if r.tip.IsZero() {
		if sentence, err := r.absence(); err != nil {
			return
		} else if sentence != "" {
			found = append(found, sentence)
		}
	}
	head, err := r.git.HeadRef()
	if err != nil {
		return
	}
	if followed := r.settings.Branch; head != followed.ref() {
		what := "a commit and no branch"
		if head != "" {
			what = quoteBranch(strings.TrimPrefix(head, refs.BranchFolder))
		}
		found = append(found, fmt.Sprintf("HEAD is %s, which is what a clone shows, but %s is followed: git symbolic-ref HEAD %s, or have the operator set branch", what, quoteBranch(followed.s), followed.ref()))
	}
	r.problems.set(r, branchProblem, found...)
}

// mostNamed bounds the branches, commits and definitions that one sentence
// names.
const mostNamed = 10

// absence says why the branch, which isn't there, ought to be; nothing where the
// repository has no branch at all.
func (r *Repository) absence() (string, error) {
	if conflict := (*refs.ConflictError)(nil); errors.As(r.git.Conflict(), &conflict) {
		return conflict.Error(), nil
	}
	others, err := r.git.Branches(mostNamed + 1)
	if err != nil || len(others) == 0 {
		return "", err
	}
	return fmt.Sprintf("branch %s is followed and is not there, but %s: push to it, or have the operator set branch to the one that holds the definitions",
		quoteBranch(r.settings.Branch.s), listed(others, len(others), quoteBranch)), nil
}

func quoteBranch(name string) string { return fmt.Sprintf("%.100q", name) }

// listed names some of so many things.
func listed(some []string, all int, quote func(string) string) string {
	var b strings.Builder
	for i, one := range some[:min(len(some), mostNamed)] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quote(one))
	}
	if all > mostNamed {
		b.WriteString(" and more")
	}
	return b.String()
}

// complain logs why something could not be done that is tried again and again:
// once, till it is another cause, or done.
func (r *Repository) complain(what string, err error) {
	if err == nil {
		delete(r.complaints, what)
		return
	}
	if r.complaints[what] != err.Error() {
		r.complaints[what] = err.Error()
		r.log.Warn(what, "tenant", r.tenant.s, "error", err)
	}
}
