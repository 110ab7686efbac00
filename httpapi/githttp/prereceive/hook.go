package prereceive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"secretsync/gitstore/definition"
)

const (
	// patience is how long a judgement may take.
	patience = time.Minute
	// mostTold is how many mistakes are told, and mostOfLine how much of one.
	mostTold   = 20
	mostOfLine = 500

	// mostRefs bounds the references of a repository: each conversation begins with
	// all of them.
	mostRefs = 10_000

	branches = "refs/heads/"
	// receipts are notes that the server writes; a push could only forge them.
	receipts = "refs/notes/secretsync"
)

// Main judges the push that stands on the standard input, a line "old new
// reference" each, as git-receive-pack(1) has it. It returns the exit code: 0 takes
// the push, all of it, anything else refuses it.
func Main() int {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return run(ctx, os.NewFile(rulesFile, "rules"), os.Stdin, os.Stderr)
}

func run(ctx context.Context, rules, updates io.Reader, terminal io.Writer) int {
	refused, err := judgePush(ctx, rules, updates)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintf(terminal, "secretsync: to check the push took too long; push less at once\n")
	case err != nil:
		fmt.Fprintf(terminal, "secretsync: the push can't be checked, so it is not taken: %v\n", err)
	case refused != "":
		fmt.Fprint(terminal, refused)
	default:
		return 0
	}
	return 1
}

// update is what is pushed to one reference; nothing is where it is not there.
type update struct{ old, new, ref string }

// judgePush says why the push is refused; nothing if it is not.
func judgePush(ctx context.Context, rules, updates io.Reader) (refused string, err error) {
	r, err := readRules(rules)
	if err != nil {
		return "", err
	}
	o := &objects{git: r.Git}
	defer func() {
		if ended := o.close(); err == nil && refused == "" {
			err = ended
		}
	}()
	lines := bufio.NewScanner(updates)
	added := 0
	for lines.Scan() {
		u, err := parseUpdate(lines.Text())
		if err == nil && u.old == "" {
			added++
		}
		if err == nil && refused == "" {
			refused, err = r.judgeUpdate(ctx, o, u)
		}
		if err != nil {
			return "", err
		}
	}
	if added > 0 && refused == "" && lines.Err() == nil {
		there, err := o.references(ctx, mostRefs)
		if err != nil {
			return "", err
		}
		if there+added > mostRefs {
			refused = fmt.Sprintf("secretsync: there can be %d branches, tags and the like, and the push makes more; delete some\n", mostRefs)
		}
	}
	return refused, lines.Err()
}

func parseUpdate(line string) (update, error) {
	words := strings.SplitN(line, " ", 3)
	if len(words) != 3 {
		return update{}, fmt.Errorf("git says %.80q of what is pushed", line)
	}
	for i := range 2 {
		if strings.Trim(words[i], "0123456789abcdef") != "" || len(words[i]) < 40 {
			return update{}, fmt.Errorf("git says %.80q of what is pushed", line)
		}
		if strings.Trim(words[i], "0") == "" {
			words[i] = ""
		}
	}
	return update{words[0], words[1], words[2]}, nil
}

func (r *Rules) judgeUpdate(ctx context.Context, o *objects, u update) (refused string, err error) {
	followed := branches + r.Branch
	switch {
	case u.ref == receipts || strings.HasPrefix(u.ref, receipts+"/"):
		return "secretsync: refs/notes/secretsync is written by the server alone; push the other references\n", nil
	case u.old == "" && u.new != "" && u.ref != followed && (strings.HasPrefix(u.ref, followed+"/") || strings.HasPrefix(followed, u.ref+"/")):
		return fmt.Sprintf("secretsync: where %s is, there can be no branch %s, which holds the definitions; choose another name\n", quoted(strings.TrimPrefix(u.ref, branches)), r.Branch), nil
	case u.ref != followed:
		return "", nil
	case u.new == "":
		if r.MayDelete {
			return "", nil
		}
		return fmt.Sprintf("secretsync: %s holds the definitions and can't be deleted; the operator can allow it with allowForcePush\n", r.Branch), nil
	}
	return r.judgeBranch(ctx, o, u)
}

// judgeBranch judges what the branch that is followed is to be.
func (r *Rules) judgeBranch(ctx context.Context, o *objects, u update) (refused string, err error) {
	if refused, err := r.judgeSignatures(ctx, o, u); err != nil || refused != "" {
		return refused, err
	}
	allowed := r.Definitions
	if allowed == 0 {
		allowed = definition.DefaultLimit
	}
	before, err := o.version(ctx, u.old, allowed)
	crowded := errors.Is(err, errTooMany)
	if err != nil && !crowded {
		return "", err
	}
	after, err := o.version(ctx, u.new, allowed)
	switch {
	case errors.Is(err, errTooMany) && crowded:
		return "", nil // it was no better before, and can't be judged
	case errors.Is(err, errTooMany):
		return r.refusal([]*definition.FileError{{Path: definition.Folder, Cause: fmt.Sprintf("holds more than %d files; remove some", len(after.files))}}), nil
	case err != nil:
		return "", err
	case before.folder == after.folder && after.folder != "":
		return "", nil
	}
	for _, v := range []*version{before, after} {
		if err := o.read(ctx, v, allowed); err != nil {
			return "", err
		}
	}
	return r.refusal(r.judge(before, after)), nil
}

// refusal puts mistakes into words for a terminal.
func (r *Rules) refusal(problems []*definition.FileError) string {
	if len(problems) == 0 {
		return ""
	}
	var b strings.Builder
	mistakes := "1 mistake"
	if n := len(problems); n > 1 {
		mistakes = fmt.Sprintf("%d mistakes", n)
	}
	fmt.Fprintf(&b, "secretsync: the push to %s is refused, nothing has changed; mend %s:\n", r.Branch, mistakes)
	for _, problem := range problems[:min(len(problems), mostTold)] {
		line := problem.Error()
		if len(line) > mostOfLine {
			line = strings.ToValidUTF8(line[:mostOfLine], "") + "…"
		}
		fmt.Fprintf(&b, "  %s\n", line)
	}
	if more := len(problems) - mostTold; more > 0 {
		fmt.Fprintf(&b, "  and %d more\n", more)
	}
	return b.String()
}

// quoted shows a name that was pushed in words for a terminal.
func quoted(name string) string { return fmt.Sprintf("%.100q", name) }
