package trust

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"secretsync/gitstore/internal/gitdir/disk"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/pack"
	"secretsync/gitstore/internal/history"
	"secretsync/gitstore/signature"
)

// ErrSigners: who may sign is not known.
var ErrSigners = errors.New("the list of those who may sign commits can't be read")

// Rules say whose commits count. The zero value: everybody's.
type Rules struct {
	// AllowedSignersFile and OpenPGPKeysFile list who may sign, see package signature.
	// Empty: nobody does there.
	AllowedSignersFile, OpenPGPKeysFile string
	// Since is a commit on the first-parent line that counts with all before it.
	// Zero: all of history has to be signed.
	Since object.Hash
}

// Trust is what is known of the signatures on a branch. The zero value knows nothing,
// and asks for no signatures. It is for one goroutine.
type Trust struct {
	signers *signature.Signers // nil: commits need not be signed
	since   object.Hash
	id      string    // another one whenever a verdict may be another
	files   [2][]byte // what signers was made of

	tip  object.Hash // of the branch, as judged last; zero: not yet
	head object.Hash // what is in force of it

	// good are commits whose first-parent line is signed throughout: the newest, in
	// the order in which that was found.
	good  map[object.Hash]bool
	order []object.Hash
	bad   Bad // that was found last
}

// Bad is a commit that is not signed as it has to be.
type Bad struct {
	Commit object.Hash
	Below  object.Hash // its first parent; zero at the root
	Why    error       // words that follow "commit X …"
}

const (
	// mostGood bounds how many signed commits are remembered, so that a push by
	// force that drops fewer costs no walk to the root.
	mostGood = 4096
	// mostUnverified bounds the commits that are verified at a time.
	mostUnverified = 1 << 20
	// biggestSigners bounds how much of a file that lists who may sign is read.
	biggestSigners = 4 << 20
)

// Mark takes note of a commit whose first-parent line is signed throughout.
func (t *Trust) Mark(id object.Hash) {
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

// Made takes note that the branch was moved to a commit of ours, which was signed as
// it had to be.
func (t *Trust) Made(id object.Hash) {
	if t.signers != nil {
		t.Mark(id)
		t.tip, t.head = id, id
	}
}

// Good reports whether a commit is known to be signed, with all of its first-parent
// line.
func (t *Trust) Good(id object.Hash) bool { return t.good[id] }

// Asks reports whether commits have to be signed.
func (t *Trust) Asks() bool { return t.signers != nil }

// ID names the rules that are in force, and with them what a verdict is worth later;
// nothing where there are none.
func (t *Trust) ID() string { return t.id }

// Faults are the lines of the lists that can't be read: nobody signs with those.
func (t *Trust) Faults() []string {
	if t.signers == nil {
		return nil
	}
	return t.signers.Faults()
}

// Verify says why a commit is not signed as it has to be, in words that follow
// "commit X …"; nil: it is.
func (t *Trust) Verify(commit []byte, when time.Time) error {
	if t.signers == nil {
		return nil
	}
	_, why := t.signers.Verify(commit, when)
	return why
}

// Follow puts rules in force, and reads the lists again where they changed. It reports
// whether verdicts may be others than before. It fails with [ErrSigners].
func (t *Trust) Follow(rules Rules) (changed bool, err error) {
	names := [2]string{rules.AllowedSignersFile, rules.OpenPGPKeysFile}
	if names == [2]string{} {
		*t = Trust{}
		return false, nil
	}
	var files [2][]byte
	for i, name := range names {
		if name == "" {
			continue
		}
		content, err := disk.ReadFile(disk.OS{}, name, biggestSigners)
		if err != nil {
			return false, fmt.Errorf("%w: %w", ErrSigners, err)
		}
		files[i] = append([]byte{}, content...) // not nil
	}
	if t.signers == nil || !bytes.Equal(files[0], t.files[0]) || !bytes.Equal(files[1], t.files[1]) {
		*t = Trust{signers: signature.ParseSigners(files[0], files[1], time.Local), files: files}
	}
	since := ""
	if !rules.Since.IsZero() {
		since = rules.Since.String()
	}
	id := "since " + since + " " + t.signers.ID()
	if id == t.id {
		return false, nil
	}
	*t = Trust{signers: t.signers, since: rules.Since, files: t.files, id: id}
	return true, nil
}

// Verdict is what is known of the tip of a branch.
type Verdict struct {
	// Head is the newest revision that is signed as it has to be; zero: there is none.
	Head object.Hash
	// Bad is the oldest commit that is not, nil: all are.
	Bad *Bad
	// Known: it was judged before, and is as it was then. Bad is not given again.
	Known bool
}

// Judge finds what of a branch counts. allow is called for each commit
// that has to be read, which may cost as much more then.
func (t *Trust) Judge(commits *history.Commits, tip object.Hash, allow func()) (Verdict, error) {
	if t.tip == tip {
		return Verdict{Head: t.head, Known: true}, nil
	}
	bad, err := t.judgeLine(commits, tip, allow)
	if err != nil {
		return Verdict{}, err
	}
	if bad != nil {
		return Verdict{Head: bad.Below, Bad: bad}, nil
	}
	return Verdict{Head: tip}, nil
}

// Settle takes note of what is in force while the branch is at the tip.
func (t *Trust) Settle(tip, head object.Hash) { t.tip, t.head = tip, head }

// judgeLine goes down from the tip to what is known, and up again as far as the
// commits are signed. It returns the first that is not, or nil.
func (t *Trust) judgeLine(commits *history.Commits, tip object.Hash, allow func()) (*Bad, error) {
	var line []object.Hash // that nothing is known of, newest first
	below := object.Hash{} // the newest one that counts
	for at := tip; !at.IsZero(); {
		if t.good[at] || at == t.since {
			below = at
			break
		}
		if t.bad.Why != nil && at == t.bad.Commit {
			return &t.bad, nil
		}
		if line = append(line, at); len(line) > mostUnverified {
			return nil, fmt.Errorf("more than %d commits would have to be verified; have the operator set signatures.since to one of them: %w", mostUnverified, pack.ErrOverBudget)
		}
		allow()
		_, c, err := commits.Read(at)
		if errors.Is(err, object.ErrMissing) && len(line) > 1 {
			cut, failed := commits.Shallow(line[len(line)-2])
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
	if below == t.since && !below.IsZero() {
		t.Mark(below)
	}
	for _, id := range slices.Backward(line) {
		content, c, err := commits.Read(id)
		if err != nil {
			return nil, err
		}
		if _, why := t.signers.Verify(content, c.Time); why != nil {
			t.bad = Bad{id, below, why}
			return &t.bad, nil
		}
		t.Mark(id)
		below = id
	}
	return nil, nil
}

// Sentence says what is wrong with a commit and how that can be mended; head is what
// stays in force.
func (bad *Bad) Sentence(head object.Hash) string {
	stays := "nothing of the branch is in force"
	if !head.IsZero() {
		stays = fmt.Sprintf("it and what follows it are not in force, and %s stays so", head)
	}
	return fmt.Sprintf("commit %s %s; %s: replace it by a signed one (git rebase --gpg-sign, and push with force), or have the operator list the key, or set signatures.since to a later commit that was looked through", bad.Commit, bad.Why, stays)
}
