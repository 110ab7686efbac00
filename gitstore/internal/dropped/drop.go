package dropped

import (
	"fmt"
	"time"

	"secretsync/gitstore/internal/condition"
)

// A Drop is one move of the branch to where some of its commits are not.
type Drop struct {
	Branch   string    `json:"branch"`
	From     string    `json:"from"`
	To       string    `json:"to"` // of zeros: the branch was deleted
	Time     time.Time `json:"time"`
	Commits  int       `json:"commits"`            // that were dropped
	Partial  bool      `json:"partial,omitempty"`  // there may be more
	Answered int       `json:"answered,omitempty"` // of them, made by the API
	Named    []string  `json:"named,omitempty"`    // some of those
	Gone     []string  `json:"gone,omitempty"`     // some of the definitions that went
	GoneAll  int       `json:"goneAll,omitempty"`
}

// Kept is how long a drop is told that nobody mends.
const Kept = 7 * 24 * time.Hour

// Sentence says what was dropped and how to have it back.
func (d Drop) Sentence() string {
	count := fmt.Sprintf("%d commits were", d.Commits)
	if d.Commits == 1 {
		count = "1 commit was"
	}
	if d.Partial {
		count = "at least " + count
	}
	text := fmt.Sprintf("history of branch %s was rewritten at %s: %s dropped", condition.QuoteBranch(d.Branch), d.Time.Format(time.RFC3339), count)
	asIs := func(s string) string { return s }
	if d.Answered > 0 {
		text += fmt.Sprintf(", %d of them made by the API (%s)", d.Answered, condition.Listed(d.Named, d.Answered, asIs))
	}
	if d.GoneAll > 0 {
		text += fmt.Sprintf("; definitions that went: %s", condition.Listed(d.Gone, d.GoneAll, asIs))
	}
	return text + fmt.Sprintf("; to have them back, merge commit %s and push; this is told till then, or for %d days", d.From, int(Kept.Hours()/24))
}
