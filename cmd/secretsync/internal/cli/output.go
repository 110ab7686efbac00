package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"secretsync/cmd/secretsync/internal/cli/manifest"
	"secretsync/cmd/secretsync/internal/cli/terminal"
)

// form is a form of output.
type form string

// The forms. In json and yaml it is what the server answered, whole.
const (
	formTable form = "table"
	formWide  form = "wide"
	formJSON  form = "json"
	formYAML  form = "yaml"
	formName  form = "name"
)

// formFlag adds -o to a command that can print these forms, the usual one first.
func formFlag(cmd *cobra.Command, into *form, forms ...form) {
	names := make([]string, len(forms))
	for i, f := range forms {
		names[i] = string(f)
	}
	*into = forms[0]
	cmd.Flags().VarP(&formValue{into, names}, "output", "o", strings.Join(names, ", "))
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
}

// formValue is the flag, which takes only the forms there are.
type formValue struct {
	form  *form
	names []string
}

func (v *formValue) String() string { return string(*v.form) }
func (v *formValue) Type() string   { return "form" }

// Set is called with what stands on the command line.
func (v *formValue) Set(s string) error {
	if !slices.Contains(v.names, s) {
		return fmt.Errorf("%q is no form of output; use one of %s", s, strings.Join(v.names, ", "))
	}
	*v.form = form(s)
	return nil
}

// encode prints JSON as it came, in one of the two forms for programs.
func (s *session) encode(f form, encoded json.RawMessage) error {
	if f == formYAML {
		text, err := manifest.ToYAML(encoded)
		if err != nil {
			return err
		}
		_, err = s.out.Write(text)
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, encoded, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := s.out.Write(b.Bytes())
	return err
}

// encodeItems prints several answers as the server lists them.
func (s *session) encodeItems(f form, items []json.RawMessage) error {
	if items == nil {
		items = []json.RawMessage{}
	}
	encoded, err := json.Marshal(map[string]any{"items": items})
	if err != nil {
		return err
	}
	return s.encode(f, encoded)
}

// phaseCell shows a phase or a state.
func phaseCell(phase string) terminal.Cell {
	return terminal.Cell{Text: phase, Style: styleOf(phase)}
}

func styleOf(phase string) terminal.Style {
	switch phase {
	case "Active", "Synced", "Running":
		return terminal.Green
	case "Pending":
		return terminal.Yellow
	case "":
		return terminal.Plain
	}
	return terminal.Red
}

// age says how long ago something was, in the unit that tells it best; "-" if that is
// not known.
func (s *session) age(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return span(s.now().Sub(t))
}

// ago is the same as a sentence has it.
func (s *session) ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return s.age(t) + " ago"
}

func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Second:
		return "0s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/day)
}

// short is a commit as people write it.
func short(sha string) string {
	if len(sha) > 10 {
		return sha[:10]
	}
	return sha
}
