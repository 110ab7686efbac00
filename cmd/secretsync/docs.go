package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

// newDocs writes what there is to read about the commands, from the commands: it can't
// say what they don't do.
func newDocs() *cobra.Command {
	var man string
	cmd := &cobra.Command{
		Use:   "docs",
		Short: "Write the reference of the commands, or their man pages",
		Long: `Write the reference of all commands in Markdown, as it stands in examples/cli; with
--man their man pages into a folder, such as /usr/local/share/man/man1.`,
		Example: `  secretsync docs --man man1 && man -l man1/secretsync-get.1`,
		Args:    cobra.NoArgs,
		Hidden:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			root := cmd.Root()
			root.DisableAutoGenTag = true
			if man == "" {
				return writeReference(cmd.OutOrStdout(), root)
			}
			if err := os.MkdirAll(man, 0o755); err != nil {
				return err
			}
			header := &doc.GenManHeader{Section: "1", Source: "secretsync " + buildVersion(), Manual: "secretsync"}
			// The day is the commit's, so that the same commit makes the same pages; today, if that is not known.
			if day, err := time.Parse(time.RFC3339, thisBuild().CommitDate); err == nil {
				header.Date = &day
			}
			return doc.GenManTree(root, header, man)
		},
	}
	cmd.Flags().StringVar(&man, "man", "", "the folder for man pages")
	_ = cmd.MarkFlagDirname("man")
	return cmd
}

// placeFlags say where the server is. They are the same for each command that has
// them, and told once.
var placeFlags = []string{"url", "tenant", "context", "key-file"}

// writeReference writes a section for each command that people call.
func writeReference(w io.Writer, root *cobra.Command) error {
	var b strings.Builder
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			if !c.IsAvailableCommand() || c.Name() == "completion" || c.Name() == "help" {
				continue
			}
			if c.Runnable() {
				writeCommand(&b, c)
			}
			walk(c)
		}
	}
	walk(root)
	_, err := io.WriteString(w, b.String())
	return err
}

func writeCommand(b *strings.Builder, cmd *cobra.Command) {
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n```text\n%s\n```\n", cmd.CommandPath(), text, strings.TrimSuffix(cmd.UseLine(), " [flags]"))
	var rows []string
	online := cmd.Flags().Lookup("context") != nil && cmd.Flags().Lookup("key-file") != nil
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Deprecated != "" || f.Name == "help" {
			return
		}
		for _, name := range placeFlags {
			if online && f.Name == name {
				return
			}
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		kind, usage := pflag.UnquoteUsage(f)
		if kind != "" {
			name += " " + kind
		}
		// What stands in for a flag that is not given, unless that is nothing.
		switch f.DefValue {
		case "", "false", "0", "0s", "[]":
		default:
			usage += " (default " + f.DefValue + ")"
		}
		rows = append(rows, fmt.Sprintf("| %s | %s |\n", name, strings.ReplaceAll(usage, "|", `\|`)))
	})
	if len(rows) > 0 {
		b.WriteString("\n| flag | meaning |\n| --- | --- |\n" + strings.Join(rows, ""))
	}
	if online {
		b.WriteString("\nAnd the flags of [where the server is](#which-server-and-as-whom).\n")
	}
	if cmd.Example != "" {
		b.WriteString("\n```console\n")
		for line := range strings.SplitSeq(cmd.Example, "\n") {
			b.WriteString(strings.TrimPrefix(line, "  ") + "\n")
		}
		b.WriteString("```\n")
	}
}
