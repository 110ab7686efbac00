package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/reconcile/live"
)

// NotesRef is where receipts are. Git shows them with
// git log --notes=secretsync.
const NotesRef = "refs/notes/secretsync"

const (
	// mostAwaited is how many commits are waited for that are not live yet, and how
	// many of one push get a receipt.
	mostAwaited = 500
	// mostWritten is how many receipts are written in one commit.
	mostWritten = 200
	// mostLines bounds a receipt.
	mostLines = 1000
)

// receipts notes on each commit of one tenant when it became live.
type receipts struct {
	*Reporter
	Tenant
	memory  receiptMemory
	met     *catalog.Snapshot // whose commits are all known
	awaited []*live.Watch     // oldest first
	ready   []readyReceipt    // to be written
	writing pauses
	next    time.Time     // no notes are written before
	waited  time.Duration // for the write, in the look that is under way
	words   string        // what writing failed with, as logged last
}

type readyReceipt struct {
	commit catalog.Revision
	text   []byte
}

// receiptMemory is how far receipts have come: of each commit up to Head the
// receipt is written, but for those in Awaited.
type receiptMemory struct {
	Head    string   `json:"head"`
	Awaited []string `json:"awaited"`
}

func newReceipts(r *Reporter, t Tenant) *receipts {
	c := &receipts{Reporter: r, Tenant: t, writing: pauses{first: r.cfg.pace.retry, most: mostRetry}}
	r.metrics.begin(t.Name, kindReceipt)
	_ = json.Unmarshal(r.recall(t.Name, kindReceipt), &c.memory) // what is none is as nothing
	for _, sha := range c.memory.Awaited {
		c.await(sha)
	}
	return c
}

func (c *receipts) await(sha string) {
	c.awaited = append(c.awaited, &live.Watch{Tenant: c.Name, Repository: c.Repository, Source: c.cfg.Source, SHA: sha})
	if more := len(c.awaited) - mostAwaited; more > 0 {
		c.awaited = slices.Delete(c.awaited, 0, more)
		c.metrics.count(c.Name, kindReceipt, outcomeLeft, more)
	}
}

func (c *receipts) run(ctx context.Context) { c.looks(ctx, c.Name, c.look, &c.waited) }

// look takes in new commits, writes the receipts of those that are live, and
// returns when to look again if nothing changes.
func (c *receipts) look(ctx context.Context) (again time.Duration) {
	if err := c.meet(ctx); err != nil {
		again = mostRetry / 10
	}
	now := c.cfg.Clock.Now()
	kept := make([]*live.Watch, 0, len(c.awaited))
	for _, w := range c.awaited {
		if ctx.Err() != nil || w.StillHeld(ctx) {
			kept = append(kept, w)
			continue
		}
		v, err := w.Look(ctx)
		switch {
		case errors.Is(err, gitstore.ErrNotFound): // the branch was rewritten without it
		case err != nil:
			again = mostRetry / 10
			kept = append(kept, w)
		case !v.Live:
			kept = append(kept, w)
		case len(v.Definitions) > 0:
			c.ready = append(c.ready, readyReceipt{v.Commit.Revision, c.text(&v, now)})
		}
	}
	changed := len(kept) < len(c.awaited)
	c.awaited = kept
	if len(c.ready) > 0 {
		return sooner(again, c.write(ctx))
	}
	if changed {
		c.keep()
	}
	return again
}

// meet has the commits awaited that came since the last time.
func (c *receipts) meet(ctx context.Context) error {
	taken := c.cfg.Source.Taken(c.Name)
	if taken == nil || !taken.Read() || taken == c.met {
		return nil
	}
	since, _ := catalog.ParseRevision(c.memory.Head) // zero: none
	line, err := c.Repository.Line(ctx, taken, since, mostAwaited)
	if err != nil {
		return err
	}
	for _, id := range line {
		c.await(id.String())
	}
	c.met, c.memory.Head = taken, taken.Head().String()
	if len(line) > 0 {
		c.keep()
	}
	return nil
}

// write writes the receipts that are ready, unless it is too early, and returns
// when to try again.
func (c *receipts) write(ctx context.Context) (again time.Duration) {
	now := c.cfg.Clock.Now()
	if wait := max(c.writing.left(now), c.next.Sub(now)); wait > 0 {
		return wait
	}
	batch := c.ready[:min(len(c.ready), mostWritten)]
	_, err := c.Repository.UpdateRef(ctx, NotesRef, func(at gitstore.RefTip) (*gitstore.RefCommit, error) { return notesOf(at, batch) })
	c.waited += c.cfg.Clock.Since(now)
	now = c.cfg.Clock.Now()
	switch {
	case err == nil:
		c.metrics.count(c.Name, kindReceipt, outcomeTold, len(batch))
		c.writing.done()
		c.words = ""
		c.ready = slices.Delete(c.ready, 0, len(batch))
		c.next = now.Add(c.interval())
		c.keep()
		if len(c.ready) > 0 {
			return c.interval()
		}
		return 0
	case ctx.Err() != nil:
		return 0
	}
	c.metrics.count(c.Name, kindReceipt, outcomeFailed, len(batch))
	if words := err.Error(); words != c.words {
		c.words = words
		c.cfg.Log.Warn("receipts can't be written; it is tried again", "tenant", c.Name.String(), "ref", NotesRef, "error", err)
	}
	if more := len(c.ready) - mostAwaited; more > 0 {
		c.ready = slices.Delete(c.ready, 0, more)
		c.metrics.count(c.Name, kindReceipt, outcomeLeft, more)
	}
	c.writing.grow(now, 0)
	return c.writing.left(now)
}

func (c *receipts) interval() time.Duration {
	if c.Repository.Freshness().Remote != "" {
		return c.cfg.pace.remote
	}
	return c.cfg.pace.receipt
}

// keep remembers how far it has come.
func (c *receipts) keep() {
	c.memory.Awaited = nil
	for _, w := range c.awaited {
		c.memory.Awaited = append(c.memory.Awaited, w.SHA)
	}
	for _, r := range c.ready {
		c.memory.Awaited = append(c.memory.Awaited, r.commit.String())
	}
	if content, err := json.Marshal(c.memory); err == nil {
		c.remember(c.Name, kindReceipt, content)
	}
}

// notesOf is the commit that adds receipts to the notes, but for those on commits
// that have a note already; nil if all have one.
func notesOf(at gitstore.RefTip, receipts []readyReceipt) (*gitstore.RefCommit, error) {
	files := make(map[string][]byte)
	for _, r := range receipts {
		noted, err := hasNote(at, r.commit.String())
		if err != nil {
			return nil, err
		}
		if !noted {
			files[notePath(r.commit.String())] = r.text
		}
	}
	if len(files) == 0 {
		return nil, nil
	}
	subject := fmt.Sprintf("%d commits are live", len(files))
	if len(files) == 1 {
		subject = "a commit is live"
	}
	return &gitstore.RefCommit{Subject: "Receipts: " + subject, Files: files}, nil
}

// notePath is where the note on a commit is put: in 256 folders, so that each
// write makes small trees anew. Git finds notes at any depth, mixed or not, and
// chooses a depth of its own when it writes.
func notePath(commit string) string { return commit[:2] + "/" + commit[2:] }

func hasNote(at gitstore.RefTip, commit string) (bool, error) {
	for _, path := range []string{notePath(commit), commit, commit[:2] + "/" + commit[2:4] + "/" + commit[4:]} {
		_, err := at.File(path)
		if err == nil || !errors.Is(err, gitstore.ErrNotFound) {
			return err == nil, err
		}
	}
	return false, nil
}

// text is a receipt: a line for each fact, in the form of trailers.
func (c *receipts) text(v *live.Verdict, now time.Time) []byte {
	var lines []string
	for i := range v.Definitions {
		d := &v.Definitions[i]
		for j := range d.Targets {
			t := &d.Targets[j]
			line := "Target: " + t.Target.Place(d.Touched.Name).String()
			if t.VaultVersion > 0 {
				line += fmt.Sprintf(" (vault version %d)", t.VaultVersion)
			}
			lines = append(lines, line)
		}
		switch {
		case d.Touched.Removed:
			lines = append(lines, "Not-Synced-Any-More: "+d.Touched.Path)
		case d.Superseded && d.Revision.IsZero():
			lines = append(lines, "Superseded: "+d.Touched.Path+" was removed")
		case d.Superseded && d.Revision != v.Commit.Revision:
			lines = append(lines, "Superseded: "+d.Touched.Path+" by "+d.Revision.String())
		}
	}
	if more := len(lines) - mostLines; more > 0 {
		lines = append(lines[:mostLines], fmt.Sprintf("More: %d", more))
	}
	return fmt.Appendf(nil, "Live: %s\nServer: %s\n%s\n", now.UTC().Format(time.RFC3339), c.cfg.Server, strings.Join(lines, "\n"))
}

// serverName is by which name receipts call the server.
func serverName(cfg Config) string {
	if cfg.Server != "" {
		return cfg.Server
	}
	if u, err := url.Parse(cfg.PublicURL); err == nil && u.Host != "" {
		return u.Host
	}
	if host, err := os.Hostname(); err == nil {
		return host
	}
	return "secretsync"
}
