package prereceive

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"secretsync/gitstore/signature"
)

const (
	// mostCommits bounds the commits of one push that are verified.
	mostCommits = 10_000
	// mostOfCommit is the size of a commit up to which it is verified.
	mostOfCommit = 1 << 20
)

// judgeSignatures says which commit is not signed as it has to be; nothing if all
// are that the push adds to the first-parent line of the branch.
func (r *Rules) judgeSignatures(ctx context.Context, o *objects, u update) (refused string, err error) {
	signers, err := r.signers()
	if signers == nil || err != nil {
		return "", err
	}
	// Only what was on the first-parent line is known to be signed: a commit that was
	// merged may be on that line from now on.
	args := []string{"rev-list", "--first-parent", "--exclude-first-parent-only", "--reverse", "--timestamp", "--max-count=" + strconv.Itoa(mostCommits+1), u.new}
	switch {
	case u.old != "":
		args = append(args, "^"+u.old)
	case r.Since != "":
		args = append(args, "^"+r.Since)
	}
	out, err := o.command(ctx, args...).Output()
	if err != nil {
		return "", err
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) > mostCommits {
		return fmt.Sprintf("secretsync: the commits pushed to %s are to be verified, and are more than %d; push fewer at once\n", r.Branch, mostCommits), nil
	}
	for _, line := range lines {
		when, id, ok := strings.Cut(line, " ")
		if !ok {
			continue // there is none
		}
		seconds, err := strconv.ParseInt(when, 10, 64)
		if err != nil {
			return "", fmt.Errorf("git rev-list says %.80q", line)
		}
		commit, err := o.content(ctx, "commit", id, mostOfCommit)
		if err != nil {
			return "", err
		}
		if _, why := signers.Verify(commit, time.Unix(seconds, 0)); why != nil {
			return fmt.Sprintf("secretsync: the push to %s is refused, nothing has changed: commit %s %v\n", r.Branch, id, why), nil
		}
	}
	return "", nil
}

// signers reads the lists of who may sign; nil: nothing has to be signed.
func (r *Rules) signers() (*signature.Signers, error) {
	if r.AllowedSignersFile == "" && r.OpenPGPKeysFile == "" {
		return nil, nil
	}
	var lists [2][]byte
	for i, path := range []string{r.AllowedSignersFile, r.OpenPGPKeysFile} {
		if path == "" {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("the list of those who may sign commits can't be read; have the operator look at it")
		}
		lists[i] = append(bytes.Clone(content), '\n') // not nil
	}
	return signature.ParseSigners(lists[0], lists[1], time.Local), nil
}
