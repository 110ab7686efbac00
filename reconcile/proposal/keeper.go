package proposal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"k8s.io/utils/clock"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/forge"
	"secretsync/gitstore/operation"
)

// Pulls opens and finds pull requests. It is a *[forge.Client].
type Pulls interface {
	Proposed(ctx context.Context, branch, base string) (forge.Pull, bool, error)
	Propose(ctx context.Context, p forge.Proposal) (forge.Pull, error)
	OpenPulls(ctx context.Context) ([]forge.Pull, error)
	Pull(ctx context.Context, number int) (forge.Pull, error)
	Close(ctx context.Context, number int) error
}

// Repository makes and removes branches. It is a *[gitstore.Repository].
type Repository interface {
	Propose(ctx context.Context, by gitstore.Attribution, how operation.Handling, replace catalog.Revision, operations ...operation.Operation) (gitstore.Proposed, error)
	Withdraw(ctx context.Context, branch string, commit catalog.Revision) error
}

// Config says whose changes are proposed, and where.
type Config struct {
	Tenant     gitstore.TenantName
	Base       string // the branch that they are proposed for
	Pulls      Pulls
	Repository Repository
	// File is where it is kept what was proposed. It may be deleted.
	File  string
	Clock clock.Clock  // nil: the machine's
	Log   *slog.Logger // nil: nothing is logged
}

// A Proposal is a change that waits for somebody to merge it, or did.
type Proposal struct {
	Number int             `json:"number"`
	Title  string          `json:"title"`
	URL    string          `json:"url"`
	State  forge.PullState `json:"state"`
	Branch string          `json:"branch"` // without refs/heads/
	Commit string          `json:"commit"` // where the branch is, or was last
	// Merged is the commit that brought it in; empty before, and where the forge does
	// not tell.
	Merged string `json:"merged,omitempty"`
	// Author is the key that proposed it first, and At when that was. Zero where it is
	// known from the forge alone.
	Author gitstore.Author `json:"author,omitzero"`
	At     time.Time       `json:"at,omitzero"`
	// Untidy: it has ended, and its branch may still be there.
	Untidy bool `json:"untidy,omitempty"`
}

// The kinds of error that come of the forge, besides those of the repository.
var (
	// ErrRefused: the forge refuses to open the pull request, and says why.
	ErrRefused = errors.New("the forge refuses to open a pull request")
	// ErrForge: the branch is pushed, but the pull request could not be opened. The
	// same request again goes on from there.
	ErrForge = errors.New("the pull request could not be opened now")
)

// forgeError is of one of the kinds. It says what the forge said, and not how that was
// reached, which is the operator's business and in the log.
type forgeError struct {
	kind   error
	branch string
	told   *forge.Error // nil: nothing
}

func (e *forgeError) Error() string {
	text := fmt.Sprintf("%v; branch %s is pushed, and the same request again goes on from there", e.kind, e.branch)
	if e.told == nil {
		return text
	}
	if text += ": " + e.told.Kind.Error(); e.told.Words != "" {
		text += ": " + e.told.Words
	}
	return text
}

func (e *forgeError) Unwrap() error { return e.kind }

// failed is what who proposes is told of an error of the forge.
func (k *Keeper) failed(branch string, err error) error {
	k.log.Warn("a pull request could not be opened", "branch", branch, "error", err)
	e := &forgeError{kind: ErrForge, branch: branch}
	if errors.Is(err, forge.ErrRefused) {
		e.kind = ErrRefused
	}
	e.told, _ = errors.AsType[*forge.Error](err)
	return e
}

// Keeper proposes changes of one tenant and knows what became of them.
type Keeper struct {
	cfg   Config
	clock clock.Clock
	log   *slog.Logger
	// turn is held by who asks the forge or changes what is known: one at a time, so
	// that no branch is removed while a pull request is opened for it.
	turn   chan struct{}
	wake   func() // tells the desk that there is something to look at
	known  []Proposal
	looked time.Time // when the forge was asked last; zero: never
	// Of the desk: when it has it look next, and when it did last.
	due, asked time.Time
}

func newKeeper(c Config, wake func()) *Keeper {
	k := &Keeper{cfg: c, clock: c.Clock, log: c.Log, turn: make(chan struct{}, 1), wake: wake}
	if k.clock == nil {
		k.clock = clock.RealClock{}
	}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	k.log = k.log.With("tenant", c.Tenant.String())
	k.recall()
	return k
}

// take waits for the turn.
func (k *Keeper) take(ctx context.Context) (release func(), err error) {
	select {
	case k.turn <- struct{}{}:
		return func() { <-k.turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Propose has a change be an open pull request and returns that; nil where nothing
// had to be changed. What cannot be made fails as [gitstore.Repository.Propose] says,
// what the forge does not do with [ErrRefused] or [ErrForge].
func (k *Keeper) Propose(ctx context.Context, by gitstore.Attribution, how operation.Handling, operations ...operation.Operation) (*Proposal, []operation.Written, error) {
	release, err := k.take(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	made, err := k.cfg.Repository.Propose(ctx, by, how, catalog.Revision{}, operations...)
	if err != nil {
		return nil, nil, err
	}
	var pull forge.Pull
	open := false
	if made.Found {
		if pull, open, err = k.cfg.Pulls.Proposed(ctx, made.Branch, k.cfg.Base); err != nil {
			return nil, nil, k.failed(made.Branch, err)
		}
		if !open {
			if made, err = k.cfg.Repository.Propose(ctx, by, how, made.Commit, operations...); err != nil {
				return nil, nil, err
			}
		}
	}
	if made.Branch == "" {
		return nil, made.Written, nil
	}
	if !open {
		pull, err = k.open(ctx, forge.Proposal{Title: made.Subject, Body: body(by, made), Branch: made.Branch, Base: k.cfg.Base})
		if err != nil {
			return nil, nil, k.failed(made.Branch, err)
		}
	}
	p := Proposal{
		Number: pull.Number, Title: pull.Title, URL: pull.URL, State: pull.State, Branch: made.Branch, Commit: made.Commit.String(),
		Author: by.Author, At: k.clock.Now().UTC().Truncate(time.Second),
	}
	if at := k.find(p.Number); at >= 0 {
		before := k.known[at]
		if p.Author, p.At = before.Author, before.At; !open {
			p.At = k.clock.Now().UTC().Truncate(time.Second)
		}
		k.known[at] = p
	} else {
		k.known = append(k.known, p)
		k.log.Info("a change was proposed", "branch", p.Branch, "commit", p.Commit, "pull", p.Number, "key", by.Author.ID, "request_id", by.RequestID)
	}
	k.remember()
	k.wake()
	return &p, made.Written, nil
}

// open opens a pull request. Gitea lets two be opened for one branch at the same
// instant, as two servers may: the first stays, and who opened another one sees that
// afterwards and closes it.
func (k *Keeper) open(ctx context.Context, p forge.Proposal) (forge.Pull, error) {
	opened, err := k.cfg.Pulls.Propose(ctx, p)
	if err != nil {
		return opened, err
	}
	pulls, err := k.cfg.Pulls.OpenPulls(ctx)
	if err != nil {
		return opened, err
	}
	first := opened
	for _, pull := range pulls {
		if !pull.Fork && pull.Head.Name == p.Branch && pull.Base == p.Base && pull.Number < first.Number {
			first = pull
		}
	}
	if first.Number == opened.Number {
		return opened, nil
	}
	return first, k.cfg.Pulls.Close(ctx, opened.Number)
}

// body tells who reviews it what the change is and where it comes from.
func body(by gitstore.Attribution, p gitstore.Proposed) string {
	var b strings.Builder
	for _, line := range p.Details {
		b.WriteString("- " + code(line) + "\n")
	}
	if len(p.Details) > 0 {
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "Proposed through the API by %s (key %s), request %s. It is in force when it is merged; the branch is removed then, or when this is closed.\n",
		code(by.Author.Name), code(by.Author.ID), code(by.RequestID))
	return b.String()
}

// code has text stand in Markdown as it is, and mention nobody.
func code(text string) string {
	return "`" + strings.Join(strings.Fields(strings.ReplaceAll(text, "`", "'")), " ") + "`"
}

func (k *Keeper) find(number int) int {
	return slices.IndexFunc(k.known, func(p Proposal) bool { return p.Number == number })
}

// fresh is how long what the forge said is believed by who only wants to see it.
const fresh = 10 * time.Second

// List returns the proposals, newest first. Failing is why what is told may be old;
// nil: it isn't.
func (k *Keeper) List(ctx context.Context) (list []Proposal, failing, err error) {
	release, err := k.take(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	if k.looked.IsZero() || k.clock.Since(k.looked) >= fresh {
		failing = k.look(ctx)
	}
	list = slices.Clone(k.known)
	slices.SortStableFunc(list, func(a, b Proposal) int { return cmp.Compare(b.Number, a.Number) })
	return list, failing, nil
}

// tidy looks what became of the proposals, and removes branches that are done with.
func (k *Keeper) tidy(ctx context.Context) error {
	release, err := k.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	return k.look(ctx)
}

// busy reports whether there is something that can change by itself.
func (k *Keeper) busy(ctx context.Context) bool {
	release, err := k.take(ctx)
	if err != nil {
		return false
	}
	defer release()
	return k.looked.IsZero() || slices.ContainsFunc(k.known, func(p Proposal) bool { return p.State == forge.Open || p.Untidy })
}

// look asks the forge. k.turn is held.
func (k *Keeper) look(ctx context.Context) error {
	pulls, err := k.cfg.Pulls.OpenPulls(ctx)
	if err != nil {
		return err
	}
	open := make(map[int]bool, len(pulls))
	branches := make(map[string]bool, len(pulls))
	for _, pull := range pulls {
		if pull.Fork {
			continue
		}
		open[pull.Number], branches[pull.Head.Name] = true, true
		if pull.Base != k.cfg.Base || !gitstore.IsProposal(pull.Head.Name) {
			continue
		}
		at := k.find(pull.Number)
		if at < 0 {
			k.known = append(k.known, Proposal{Number: pull.Number})
			at = len(k.known) - 1
		}
		k.known[at].follow(pull)
	}
	var errs []error
	for i := range k.known {
		p := &k.known[i]
		if p.State == forge.Open && !open[p.Number] {
			pull, err := k.cfg.Pulls.Pull(ctx, p.Number)
			if err != nil {
				errs = append(errs, err)
				if _, throttled := forge.RetryAfter(err); throttled || ctx.Err() != nil {
					break
				}
				continue
			}
			if p.follow(pull); p.State != forge.Open {
				p.Untidy = true
				k.log.Info("a proposal has ended", "branch", p.Branch, "pull", p.Number, "state", string(p.State))
			}
		}
		if p.Untidy && branches[p.Branch] {
			p.Untidy = false // it is proposed again: who ends that removes it
		}
		if p.Untidy {
			errs = append(errs, k.withdraw(ctx, p))
		}
	}
	k.looked = k.clock.Now()
	k.remember()
	return errors.Join(errs...)
}

// follow takes over how a pull request stands. What its branch is at is told as long as
// it is open: afterwards some forges tell of the merge, and some of nothing.
func (p *Proposal) follow(pull forge.Pull) {
	p.Title, p.URL, p.State, p.Merged = pull.Title, pull.URL, pull.State, pull.Merged
	if pull.Head.Name != "" {
		p.Branch = pull.Head.Name
	}
	if pull.Head.Commit != "" {
		p.Commit = pull.Head.Commit
	}
}

// withdraw removes the branch of a proposal that has ended.
func (k *Keeper) withdraw(ctx context.Context, p *Proposal) error {
	commit, err := catalog.ParseRevision(p.Commit)
	if err == nil {
		err = k.cfg.Repository.Withdraw(ctx, p.Branch, commit)
	}
	switch {
	case errors.Is(err, gitstore.ErrUnavailable) || ctx.Err() != nil:
		return err
	case err != nil:
		k.log.Warn("the branch of a proposal that has ended is left as it is", "branch", p.Branch, "pull", p.Number, "error", err)
	}
	p.Untidy = false
	return nil
}
