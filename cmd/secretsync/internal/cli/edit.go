package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"secretsync/cmd/secretsync/internal/cli/editor"
	"secretsync/cmd/secretsync/internal/cli/manifest"
	"secretsync/cmd/secretsync/internal/cli/terminal"
	"secretsync/httpapi/client"
)

func newEdit() *cobra.Command {
	var how writeFlags
	cmd := &cobra.Command{
		Use:   "edit NAME",
		Short: "Change a definition in your editor",
		Long: `Change a definition in the editor that VISUAL or EDITOR names. What you change is
sent field by field, on the condition that nobody else changed the definition
meanwhile. If somebody did, you are shown what both of you did, and asked again.

Comments in the file in Git stay as they are, and are not shown: they are changed
by a commit. To give up, leave the file as it was or empty it.`,
		Example: `  export EDITOR='code --wait'
  secretsync edit db-password`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeNames(1),
	}
	online(cmd, "an admin key", func(s *session, names []string) error {
		s.ctx = context.WithoutCancel(s.ctx) // an interrupt of the editor is none of the edit
		d, err := editor.New(names[0])
		if err != nil {
			return err
		}
		e := &editing{session: s, draft: d, name: names[0], how: &how}
		err = e.run()
		if err == nil || errors.Is(err, errGivenUp) {
			d.Remove()
		}
		return err
	})
	how.bind(cmd)
	return cmd
}

// editing is one edit, over as many rounds as it takes:
//
//	offered --unchanged--> given up
//	   |    --not YAML, or the server says no--> offered again, with the cause on top
//	   |    --somebody else was faster (412)-->  offered again, with both sides on top
//	   +----> done
type editing struct {
	*session
	draft *editor.Draft
	name  string
	how   *writeFlags

	stands manifest.Definition // as the server has it, at etag
	etag   string
}

func (e *editing) run() error {
	if err := e.fetch(); err != nil {
		return err
	}
	offered := append(heading("Change the definition, save and leave. To give up, leave it as it is."), e.stands.YAML()...)
	for {
		text, err := e.draft.Edit(offered, e.in)
		if err != nil {
			return err
		}
		if bytes.Equal(text, offered) || len(bytes.TrimSpace(text)) == 0 {
			fmt.Fprintln(e.err, "Nothing is changed.")
			if bytes.Contains(offered, []byte(onceMore)) {
				return &Exit{3, errGivenUp}
			}
			return nil
		}
		mine, err := e.parse(text)
		if err == nil {
			var done bool
			if done, err = e.send(mine); done {
				return err
			}
		}
		switch {
		case err == nil: // somebody else was faster
			if offered, err = e.bothSides(mine); err != nil {
				return err
			}
		case client.StatusOf(err) == http.StatusBadRequest, client.StatusOf(err) == http.StatusConflict, client.StatusOf(err) == 0 && isMistake(err):
			_ = e.err.Paint(terminal.Red, err.Error()+"\n")
			offered = append(heading("It can't be so: "+terminal.Clean(err.Error()), onceMore), withoutHeading(text)...)
		default:
			return fmt.Errorf("%w; what you wrote is in %s", err, e.draft.Path)
		}
	}
}

// onceMore stands in what is offered again.
const onceMore = "Change it and save it once more. To give up, leave all as it is."

// mistakeError is one in what was written.
type mistakeError struct{ error }

func (e *mistakeError) Unwrap() error { return e.error }

func isMistake(err error) bool {
	_, ok := errors.AsType[*mistakeError](err)
	return ok
}

func (e *editing) fetch() error {
	secret, err := e.GetSecret(e.ctx, e.name, client.WaitOptions{})
	if err != nil {
		return err
	}
	e.etag = etagOf(secret)
	e.stands, err = manifest.FromJSON(secret.Raw)
	return err
}

func (e *editing) parse(text []byte) (manifest.Definition, error) {
	definitions, err := manifest.Parse(text)
	if err == nil && len(definitions) != 1 {
		err = fmt.Errorf("there are %d definitions where one is wanted", len(definitions))
	}
	if err != nil {
		return manifest.Definition{}, &mistakeError{err}
	}
	return definitions[0], nil
}

// send makes the change. It is not done, without a failure, if somebody else was faster.
func (e *editing) send(mine manifest.Definition) (done bool, err error) {
	patch, err := e.stands.Patch(mine)
	switch {
	case err != nil:
		return false, &mistakeError{err}
	case len(patch) == 0:
		return true, e.printf("%s is so already\n", e.name)
	}
	made, err := e.PatchSecret(e.ctx, e.name, patchOf(patch, mine), e.how.options(e.etag))
	switch {
	case client.StatusOf(err) == http.StatusPreconditionFailed:
		return false, nil
	case err != nil:
		return false, err
	}
	return true, e.tellChange(e.name, "is changed", made)
}

// patchOf is the body of a PATCH. It has the targets always, since every server takes
// a change of those.
func patchOf(patch map[string]json.RawMessage, to manifest.Definition) json.RawMessage {
	if _, ok := patch["sync"]; !ok {
		patch["sync"] = to.Field("sync")
		if patch["sync"] == nil {
			patch["sync"] = json.RawMessage("[]")
		}
	}
	return object(patch)
}

// bothSides tells who was faster and what both did, and offers what comes of both. Of
// fields that both changed it has mine.
func (e *editing) bothSides(mine manifest.Definition) ([]byte, error) {
	base := e.stands
	if err := e.fetch(); err != nil {
		return nil, fmt.Errorf("somebody else changed %s meanwhile, and now: %w; what you wrote is in %s", e.name, err, e.draft.Path)
	}
	merged, conflicts := manifest.Merge(base, mine, e.stands)
	who := "Somebody else"
	if history, err := e.GetHistory(e.ctx, e.name, 1, ""); err == nil && len(history.Items) > 0 {
		newest := history.Items[0]
		who = fmt.Sprintf("%s (commit %s)", terminal.Line(newest.Author), short(newest.SHA))
	}
	lines := []string{who + " changed " + e.name + " while you did. Theirs:", ""}
	lines = append(lines, terminal.Unified("before", "theirs", base.YAML(), e.stands.YAML()), "", "Yours:", "", terminal.Unified("before", "yours", base.YAML(), mine.YAML()), "")
	if len(conflicts) > 0 {
		lines = append(lines, "Both of you changed "+strings.Join(conflicts, ", ")+". Below it is as you wrote it.")
	} else {
		lines = append(lines, "Below are both changes together.")
	}
	lines = append(lines, "To take what is below as it is, remove this line.", onceMore)
	head := heading(lines...)
	for line := range strings.Lines(string(head)) {
		if err := e.err.Paint(terminal.Yellow, strings.TrimPrefix(strings.TrimPrefix(line, "#"), " ")); err != nil {
			return nil, err
		}
	}
	return append(head, merged.YAML()...), nil
}

// withoutHeading takes off what an earlier round put on top.
func withoutHeading(text []byte) []byte {
	for bytes.HasPrefix(text, []byte("#")) {
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return text
}

// heading writes lines as comments.
func heading(lines ...string) []byte {
	var b bytes.Buffer
	for _, line := range lines {
		for part := range strings.SplitSeq(line, "\n") {
			b.WriteString(strings.TrimRight("# "+part, " ") + "\n")
		}
	}
	b.WriteString("#\n")
	return b.Bytes()
}

var errGivenUp = errors.New("given up; nothing is changed")
