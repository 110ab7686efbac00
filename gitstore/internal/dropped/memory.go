// Package dropped remembers which commits were dropped from a branch by force, and has the
// tenant told.
//
// Who may write to a repository's files, or push by force, can drop commits that were answered.
// That is as the new HEAD says, which is the truth, but not without a word. It is a problem till
// the commits are back in the history of the branch, or for some days, and outlives a restart,
// in a file of ours: see [Drop.Sentence] for how it is told.
//
// What happens while no process is up is noticed by comparison with the cached index. After a
// kill that may be a little older than what was answered last.
package dropped

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"

	"k8s.io/utils/clock"

	"secretsync/gitstore/internal/condition"
)

const (
	file = "dropped"
	// most bounds how many are remembered: the newest.
	most = 10
)

// Config says of which repository the drops are, and who is told.
type Config struct {
	Files     Files
	Condition *condition.Condition
	Clock     clock.PassiveClock
	Log       *slog.Logger
	Tenant    string
}

// Files are those that a repository keeps for us, a *gitdir.Repository.
type Files interface {
	ReadOwn(name string, limit int64) ([]byte, error)
	WriteOwn(name string, content ...[]byte) error
}

// Memory is what is remembered of one repository. It is for one goroutine.
type Memory struct {
	cfg   Config
	drops []Drop // oldest first
}

// Restore brings back what was told before the start, and tells it again.
func Restore(cfg Config) *Memory {
	m := &Memory{cfg: cfg}
	content, err := cfg.Files.ReadOwn(file, 1<<20)
	if err == nil {
		err = json.Unmarshal(content, &m.drops)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.drops = nil // in part, perhaps
		cfg.Log.Warn("what was dropped before the start can't be told", "tenant", cfg.Tenant, "error", err)
	}
	m.tell()
	m.Review(nil)
	return m
}

// Add remembers a drop, unless it was noticed before the last start.
func (m *Memory) Add(d Drop) {
	for _, known := range m.drops {
		if known.From == d.From && known.To == d.To {
			return
		}
	}
	m.drops = append(m.drops, d)
	m.drops = m.drops[max(0, len(m.drops)-most):]
	m.save()
}

// Review forgets the drops that are over: mended, as mended says, which only a move of the
// branch can do; or told for long enough. Nil: the branch has not moved.
func (m *Memory) Review(mended func(Drop) bool) {
	var kept []Drop
	for _, d := range m.drops {
		if m.cfg.Clock.Since(d.Time) < Kept && (mended == nil || !mended(d)) {
			kept = append(kept, d)
		}
	}
	if len(kept) < len(m.drops) {
		m.drops = kept
		m.save()
	}
}

func (m *Memory) save() {
	text, err := json.Marshal(m.drops)
	if err == nil {
		err = m.cfg.Files.WriteOwn(file, text)
	}
	if err != nil {
		m.cfg.Log.Warn("what was dropped will not be told after a restart", "tenant", m.cfg.Tenant, "error", err)
	}
	m.tell()
}

func (m *Memory) tell() {
	var sentences []string
	for _, d := range m.drops {
		sentences = append(sentences, d.Sentence())
	}
	m.cfg.Condition.SetProblems(condition.RewriteProblem, sentences...)
}
