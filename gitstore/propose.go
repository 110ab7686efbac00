package gitstore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/budget"
	"secretsync/gitstore/internal/condition"
	"secretsync/gitstore/internal/draft"
	"secretsync/gitstore/internal/failure"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
	"secretsync/gitstore/internal/gitdir/refs"
	"secretsync/gitstore/internal/message"
	"secretsync/gitstore/internal/mirror"
	"secretsync/gitstore/internal/remote"
	"secretsync/gitstore/operation"
)

// A proposal is a write whose commit goes to a branch of its own, on top of HEAD,
// for people to merge. The branch is named after the change, so that the same change
// is the same branch:
//
//	branch at the remote            asked to propose            asked to replace it
//	------------------------------  --------------------------  ----------------------------
//	not there                       made, on top of HEAD        made, on top of HEAD
//	there                           left as it is               -
//	there, at another commit        left as it is               left as it is
//	there, ours, on top of HEAD     left as it is               left as it is
//	there, ours, on an older HEAD   left as it is               made anew, on top of HEAD
//	there, with others' commits     left as it is               refused: ErrConflict
//
// Each push says from where to where, as those of writes do. The mirror keeps
// nothing of it: what is merged comes with the fetch.

// ProposalPrefix begins the name of each branch that proposes a change.
const ProposalPrefix = "secretsync/"

// Proposed is a change on a branch of its own.
type Proposed struct {
	// Branch is its name, without refs/heads/. Empty: nothing had to be changed, and
	// there is none.
	Branch string
	// Commit is where the branch is.
	Commit catalog.Revision
	// Found: the branch was there already, perhaps with more than the change.
	Found bool
	// Subject is what the change does, in a line; Details, of several, one by one.
	Subject string
	Details []string
	// Written is what each operation left, or will when it is merged.
	Written []operation.Written
}

// Propose has operations judged on top of HEAD, as [Repository.Apply] does, and
// their commit pushed to a branch of its own. Where that is there at the commit
// replace, and HEAD has moved since it was made, it is made anew; a zero replace
// replaces nothing.
//
// It fails as Apply does, and with [ErrConflict] if the repository has no remote,
// or if that refuses the branch.
func (r *Repository) Propose(ctx context.Context, by Attribution, how operation.Handling, replace catalog.Revision, operations ...operation.Operation) (Proposed, error) {
	if len(operations) == 0 {
		return Proposed{}, nil
	}
	write, err := operation.Together(how, operations)
	if err != nil {
		return Proposed{}, err
	}
	var made Proposed
	err = r.inTurn(ctx, func(ctx context.Context) (err error) {
		return r.replay("propose a change to the repository of tenant "+r.tenant.s, func() error {
			made, err = r.tryPropose(ctx, by, replace, write)
			return err
		})
	})
	return made, err
}

// tryPropose proposes once. [refs.ErrMoved] says that somebody else was faster.
func (r *Repository) tryPropose(ctx context.Context, by Attribution, replace catalog.Revision, write *operation.Write) (Proposed, error) {
	fault := func(err error) (Proposed, error) {
		_, refused := errors.AsType[*mirror.RejectedError](err)
		if refused || errors.Is(err, refs.ErrMoved) {
			return Proposed{}, err
		}
		return Proposed{}, failure.CannotNow("propose a change to the repository of tenant "+r.tenant.s, err)
	}
	session, err := r.catchUp(ctx, refs.BranchFolder+ProposalPrefix)
	if err != nil {
		return fault(err)
	}
	if session == nil {
		return Proposed{}, fmt.Errorf("%w: the repository of tenant %s is not on a server where a change could be proposed; make it without propose, or have the operator set repository.url", ErrConflict, r.tenant.s)
	}
	defer session.Close()
	refusal, err := r.refusalOfAll()
	if err != nil {
		return fault(err)
	}
	d := draft.New(r.state, r.builder, r.claims, r.blobReader(ctx))
	defer d.Undo()
	if err := r.writable(); err != nil {
		return Proposed{}, err
	}
	change, written, err := write.Judge(d, r.limit())
	if err != nil {
		return Proposed{}, err
	}
	if len(change.Files) == 0 {
		for i := range written {
			written[i].Entry, _ = d.Get(written[i].Name)
		}
		return Proposed{Written: written}, nil
	}
	if d.Base.Head.IsZero() {
		refusal = fmt.Errorf("%w: branch %s has no commit yet that a change could be proposed to; push a first one with git, or make it without propose", ErrConflict, condition.QuoteBranch(r.settings.Branch.s))
	}
	if refusal != nil {
		return Proposed{}, refusal
	}
	p := Proposed{Branch: proposalBranch(change), Subject: change.Message.Subject, Details: change.Message.List, Written: written}
	ref := refs.BranchFolder + p.Branch
	at := session.Refs.Hashes[ref]
	p.Commit, p.Found = catalog.RevisionOf(at), !at.IsZero()
	if p.Found {
		if at != replace.Hash() {
			return p, nil
		}
		stands, err := r.standsOn(ctx, p.Branch, at, d.Base.Head)
		if err != nil && !errors.Is(err, ErrConflict) {
			return fault(err)
		}
		if stands || err != nil {
			return p, err
		}
	}
	if d.Sign, err = r.signing(); err == nil {
		err = d.Commit(by.made(r.committer), r.clock.Now(), change)
	}
	if errors.Is(err, ErrConflict) {
		return Proposed{}, err
	} else if err != nil {
		return fault(err)
	}
	if err := r.mirror.Push(ctx, session, remote.Update{Ref: ref, Old: at, New: d.Head}, d.Pack); err != nil {
		return fault(err)
	}
	p.Commit, p.Found = catalog.RevisionOf(d.Head), false
	return p, nil
}

// standsOn reports whether the proposal that a branch is at was made on top of a
// commit. It fails with [ErrConflict] if what is there is not ours alone.
func (r *Repository) standsOn(ctx context.Context, branch string, at, head object.Hash) (bool, error) {
	done, err := r.mirror.TakeIn(ctx, at, head)
	if err != nil {
		return false, err
	}
	defer done()
	content, err := r.git.Reader(ctx, budget.PerAnswer).ReadVerified(at, object.KindCommit, pack.MaxCommit)
	if err != nil {
		return false, err
	}
	c, err := object.ParseCommit(at, content)
	if err != nil {
		return false, err
	}
	if len(c.Others) > 0 || !message.MayBeOurs(content) {
		return false, fmt.Errorf("%w: branch %s is there without an open pull request, and with commits that were not made here; open one for it, or delete the branch", ErrConflict, condition.QuoteBranch(branch))
	}
	return c.Parent == head, nil
}

// Withdraw removes the branch of a proposal at the remote, if it is still at a
// commit; one that is gone is no error. It fails with [ErrPrecondition] if it is
// elsewhere, and then leaves it alone; with [ErrConflict] if the remote refuses; and
// with [ErrUnavailable].
func (r *Repository) Withdraw(ctx context.Context, branch string, commit catalog.Revision) error {
	if !IsProposal(branch) {
		return &definition.FieldError{Field: "branch", Reason: fmt.Sprintf("%q is not one of a proposal", branch)}
	}
	ref := refs.BranchFolder + branch
	return r.inTurn(ctx, func(ctx context.Context) error {
		if r.mirror == nil || ref == r.settings.Branch.ref() {
			return nil
		}
		err := r.mirror.Remove(ctx, ref, commit.Hash())
		switch {
		case errors.Is(err, refs.ErrMoved):
			return fmt.Errorf("%s is not at %s any more: %w", ref, commit, ErrPrecondition)
		case err != nil && !errors.Is(err, ErrConflict):
			return failure.CannotNow("remove "+ref, err)
		}
		return err
	})
}

const (
	// hashOfProposal is how many digits of a hash end the name of a branch.
	hashOfProposal = 12
	// mostSlug is how many letters of it tell people what the change does.
	mostSlug = 48
)

// proposalBranch names the branch of a change, after what it does and to what: files
// and what they hold then.
func proposalBranch(e draft.Edit) string {
	files := slices.Clone(e.Files)
	slices.SortFunc(files, func(a, b draft.FileEdit) int { return cmp.Compare(a.Name.String(), b.Name.String()) })
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%s %o %d\n", f.Name, uint32(f.Mode), len(f.Content))
		h.Write(f.Content)
	}
	return ProposalPrefix + slug(e.Message.Subject) + "-" + hex.EncodeToString(h.Sum(nil))[:hashOfProposal]
}

// slug makes of a sentence what can be a part of a branch's name.
func slug(sentence string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(sentence) {
		if b.Len() == mostSlug {
			break
		}
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			b.WriteRune(c)
		} else if s := b.String(); s != "" && !strings.HasSuffix(s, "-") {
			b.WriteByte('-')
		}
	}
	return strings.TrimRight(b.String(), "-")
}

// IsProposal reports whether a branch has a name that [Repository.Propose] gives.
func IsProposal(branch string) bool {
	rest, ok := strings.CutPrefix(branch, ProposalPrefix)
	dash := strings.LastIndexByte(rest, '-')
	return ok && dash > 0 && slug(rest[:dash]) == rest[:dash] &&
		len(rest)-dash-1 == hashOfProposal && strings.Trim(rest[dash+1:], "0123456789abcdef") == ""
}
