package condition

import (
	"slices"
	"strings"
)

// Problem is a kind of problem: something that is wrong with a repository as a whole,
// though it can be read. It is told in sentences that say what to do.
type Problem int

// The kinds of problem.
const (
	BranchProblem    Problem = iota // the branch that is followed is not what it should be
	RewriteProblem                  // commits were dropped
	PushProblem                     // Git could not be told which pushes to refuse
	CostProblem                     // a commit costs too much to take in
	SignatureProblem                // a commit is not signed as it has to be
	RemoteProblem                   // the remote can't be asked, or the branch is gone there
	problems                        // how many there are
)

// Problems returns all sentences, in the order of the kinds.
func (c *Condition) Problems() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Concat(c.problems[:]...)
}

// SetProblems replaces the problems of one kind. What is new is logged, once; by then it is
// counted.
func (c *Condition) SetProblems(kind Problem, sentences ...string) {
	c.mu.Lock()
	before := c.problems[kind]
	c.problems[kind] = sentences
	count := 0
	for _, of := range c.problems {
		count += len(of)
	}
	c.mu.Unlock()
	if slices.Equal(before, sentences) {
		return
	}
	c.metrics.Problems.Set(float64(count))
	for _, sentence := range sentences {
		if !slices.Contains(before, sentence) {
			c.log.Warn("repository has a problem", "tenant", c.tenant, "problem", sentence)
		}
	}
	if len(sentences) == 0 {
		c.log.Info("a problem of the repository is over", "tenant", c.tenant, "problem", strings.Join(before, " "))
	}
}

// Complain logs why something could not be done that is tried again and again: once,
// till it is another cause, or done. It is for the goroutine of the repository.
func (c *Condition) Complain(what string, err error) {
	if err == nil {
		delete(c.complaints, what)
		return
	}
	if c.complaints[what] != err.Error() {
		c.complaints[what] = err.Error()
		c.log.Warn(what, "tenant", c.tenant, "error", err)
	}
}
