package gitstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
	"secretsync/gitstore/signature"
)

// Where commits have to be signed, the newest revision whose first-parent line is
// signed throughout is HEAD for us: from the commit that settings name, or from the
// root, each commit has to bear the signature of a key that is listed. One that
// does not keeps itself and all that follows it from being in force, till it is
// replaced, or till the settings vouch for it:
//
//	since ─ signed ─ signed ─ not signed ─ signed ─ tip of the branch
//	                 in force └ withheld ─────────────────┘
//
// A merge stands for what it merges: its own signature counts, as does that of
// a forge in whose pages it was made, if its key is listed.
//
// A commit is verified once. What is remembered goes when the list changes: a key
// that was taken off it counts no more for what it signed before, and so may bring
// back an older revision; one that was given an end (valid-before) does.

// Signatures say whose commits count. The zero value: everybody's. The files are
// read again when they change.
type Signatures struct {
	// AllowedSignersFile lists SSH keys, as ssh-keygen(1) describes it under ALLOWED
	// SIGNERS. Empty: none.
	AllowedSignersFile string
	// OpenPGPKeysFile holds public keys, armored or as a keyring. Empty: none.
	OpenPGPKeysFile string
	// Since is a commit on the first-parent line that counts with all before it.
	// Zero: all of history has to be signed.
	Since Revision
}

// required reports whether commits have to be signed.
func (s Signatures) required() bool { return s.AllowedSignersFile != "" || s.OpenPGPKeysFile != "" }

// Withheld is why the tip of a branch is not in force.
type Withheld struct {
	Tip    Revision // of the branch
	Commit Revision // the oldest one that is not signed as it has to be
	Reason string   // words that follow "commit X …"
}

// Withheld tells what is on the branch and not in force, because it is not signed as
// the settings ask; nil if nothing is.
func (r *Repository) Withheld() *Withheld { return r.withheld.Load() }

// trust is what is known of the signatures on the branch.
type trust struct {
	signers *signature.Signers // nil: commits need not be signed
	rules   string             // another one whenever a verdict may be another
	files   [2][]byte          // what signers was made of

	tip  object.Hash // of the branch, as judged last; zero: not yet
	head object.Hash // what is in force of it

	// good are commits whose first-parent line is signed throughout: the newest, in
	// the order in which that was found.
	good  map[object.Hash]bool
	order []object.Hash
	bad   badCommit // that was found last
}

// badCommit is one that is not signed as it has to be.
type badCommit struct {
	id    object.Hash
	below object.Hash // its first parent; zero at the root
	why   error
}

const (
	// mostGood bounds how many signed commits are remembered, so that a push by
	// force that drops fewer costs no walk to the root.
	mostGood = 4096
	// mostUnverified bounds the commits that are verified at a time.
	mostUnverified = 1 << 20
)

func (t *trust) mark(id object.Hash) {
	if t.good[id] {
		return
	}
	if t.good == nil {
		t.good = make(map[object.Hash]bool)
	}
	t.good[id] = true
	if t.order = append(t.order, id); len(t.order) > mostGood {
		delete(t.good, t.order[0])
		t.order = slices.Delete(t.order, 0, 1)
	}
}

// made takes note that the branch was moved to a commit of ours.
func (t *trust) made(id object.Hash) {
	if t.signers != nil {
		t.mark(id)
		t.tip, t.head = id, id
	}
}

// errSigners: who may sign is not known.
var errSigners = errors.New("the list of those who may sign commits can't be read")

// readSigners brings the list of signers up to date.
func (r *Repository) readSigners() error {
	s, t := r.settings.Signatures, &r.trust
	if !s.required() {
		r.trust = trust{}
		return nil
	}
	var files [2][]byte
	for i, name := range []string{s.AllowedSignersFile, s.OpenPGPKeysFile} {
		if name == "" {
			continue
		}
		content, err := disk.ReadFile(disk.OS{}, name, biggestSigners)
		if err != nil {
			return fmt.Errorf("%w: %w", errSigners, err)
		}
		files[i] = append([]byte{}, content...) // not nil
	}
	since := "since " + s.Since.s + " "
	if t.signers == nil || !bytes.Equal(files[0], t.files[0]) || !bytes.Equal(files[1], t.files[1]) {
		*t = trust{signers: signature.ParseSigners(files[0], files[1], time.Local), files: files}
	}
	if rules := since + t.signers.ID(); rules != t.rules {
		*t = trust{signers: t.signers, files: t.files, rules: rules}
		r.cached = object.Hash{} // what is cached says nothing of these
	}
	return nil
}

// unsignedError: no revision of the branch can be in force.
type unsignedError struct{ sentence string }

func (e *unsignedError) Error() string { return e.sentence }

// inForce returns the newest revision of the branch that is signed as it has to be:
// the tip, where nothing is asked. Where none is, what was in force stays.
func (r *Repository) inForce(ctx context.Context, turn *turn, tip object.Hash) (object.Hash, error) {
	if err := r.readSigners(); err != nil {
		return object.Hash{}, err
	}
	t := &r.trust
	if t.signers == nil || tip.IsZero() {
		r.withhold(tip, tip, nil)
		return tip, nil
	}
	if t.tip == tip {
		return t.head, nil
	}
	bad, err := r.judgeLine(ctx, turn, tip)
	if err != nil {
		return object.Hash{}, err
	}
	head := tip
	if bad != nil {
		if head = bad.below; head.IsZero() {
			if !r.state.snapshot.Read() || r.switched {
				r.withhold(tip, head, bad)
				return head, &unsignedError{"no revision of the branch is signed as it has to be: " + bad.sentence(head)}
			}
			head = r.state.head
		}
	}
	t.tip, t.head = tip, head
	r.withhold(tip, head, bad)
	return head, nil
}

// judgeLine goes down from the tip to what is known, and up again as far as the
// commits are signed. It returns the first that is not, or nil.
func (r *Repository) judgeLine(ctx context.Context, turn *turn, tip object.Hash) (*badCommit, error) {
	t, since := &r.trust, object.Hash{}
	if s := r.settings.Signatures.Since; !s.IsZero() {
		since = s.hash()
	}
	w := newWalk(ctx, turn, r.git, r.maxDefinitions)
	var line []object.Hash // that nothing is known of, newest first
	below := object.Hash{} // the newest one that counts
	for at := tip; !at.IsZero(); {
		if t.good[at] || at == since {
			below = at
			break
		}
		if t.bad.why != nil && at == t.bad.id {
			return &t.bad, nil
		}
		if line = append(line, at); len(line) > mostUnverified {
			return nil, fmt.Errorf("more than %d commits would have to be verified; have the operator set signatures.since to one of them: %w", mostUnverified, pack.ErrOverBudget)
		}
		w.reader.Allow(workPerCommit(r.maxDefinitions))
		c, err := w.commit(at)
		if errors.Is(err, object.ErrMissing) && len(line) > 1 {
			cut, failed := r.git.Shallow(line[len(line)-2])
			if cut {
				line = line[:len(line)-1]
				break
			}
			err = errors.Join(err, failed)
		}
		if err != nil {
			return nil, err
		}
		at = c.Parent
	}
	if below == since && !below.IsZero() {
		t.mark(below)
	}
	for _, id := range slices.Backward(line) {
		content, err := w.reader.ReadVerified(id, object.KindCommit, pack.MaxCommit)
		if err != nil {
			return nil, err
		}
		c, err := object.ParseCommit(id, content)
		if err != nil {
			return nil, err
		}
		if _, why := t.signers.Verify(content, c.Time); why != nil {
			t.bad = badCommit{id, below, why}
			return &t.bad, nil
		}
		t.mark(id)
		below = id
	}
	return nil, nil
}

// withhold tells what is not in force, if anything.
func (r *Repository) withhold(tip, head object.Hash, bad *badCommit) {
	var sentences []string
	if t := &r.trust; t.signers != nil {
		for _, fault := range t.signers.Faults()[:min(len(t.signers.Faults()), mostNamed)] {
			sentences = append(sentences, fmt.Sprintf("who may sign commits is not known in full, nobody signs with what can't be read: %s; have the operator mend it", fault))
		}
	}
	var withheld *Withheld
	count := 0.0
	if bad != nil {
		withheld = &Withheld{Tip: revisionOf(tip), Commit: revisionOf(bad.id), Reason: bad.why.Error()}
		count = 1
		sentences = append(sentences, bad.sentence(head))
	}
	r.withheld.Store(withheld)
	r.metrics.withheld.Set(count)
	r.problems.set(r, signatureProblem, sentences...)
}

// sentence says what is wrong with a commit and how that can be mended.
func (bad *badCommit) sentence(head object.Hash) string {
	stays := "nothing of the branch is in force"
	if !head.IsZero() {
		stays = fmt.Sprintf("it and what follows it are not in force, and %s stays so", head)
	}
	return fmt.Sprintf("commit %s %s; %s: replace it by a signed one (git rebase --gpg-sign, and push with force), or have the operator list the key, or set signatures.since to a later commit that was looked through", bad.id, bad.why, stays)
}

// signatureRefusal says why no commit can be made on top of what is in force.
func (r *Repository) signatureRefusal() error {
	withheld := r.withheld.Load()
	if withheld == nil {
		return nil
	}
	return fmt.Errorf("%w: the branch is at a commit that is not in force, and nothing on top of it would be: commit %s %s; mend that in Git first, or have the operator do so", ErrConflict, withheld.Commit, withheld.Reason)
}
