package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"secretsync/httpapi/client"
)

func newRevert() *cobra.Command {
	var name string
	var how writeFlags
	cmd := &cobra.Command{
		Use:   "revert (REV | --name NAME)",
		Short: "Undo what a commit did to definitions, as a commit",
		Long: `Undo what a commit did to definitions: each that it changed is put back as it
stood before, byte for byte, in one commit of the tenant's branch. It is what
git revert does, for those who have only the API. REV is the commit's SHA, in full
or its first seven digits or more.

With --name only that definition is put back, and without REV what is undone is
its newest change; a definition that was removed comes back.

With --propose, and always where the tenant's repository is configured so, it is a
pull request, which is named; it is in force once somebody merges it.

Where a definition was changed since, nothing is done and the conflict is told.
What is undone already is left as it is.`,
		Example: `  secretsync revert 3f786850e3
  secretsync revert --name db-password`,
		Args: cobra.MaximumNArgs(1),
	}
	online(cmd, "an admin key", func(s *session, args []string) error {
		// What stood before stands again, whoever else has a target by now.
		o := client.WriteOptions{Propose: how.propose}
		switch {
		case name != "":
			commit := ""
			if len(args) > 0 {
				commit = args[0]
			}
			return s.revertDefinition(name, commit, o)
		case len(args) == 0:
			return errors.New("say what to undo: a commit by its SHA, or the newest change of a definition with --name NAME")
		}
		return s.revertCommit(args[0], o)
	})
	cmd.Flags().StringVar(&name, "name", "", "the definition that is put back; default all that the commit changed")
	_ = cmd.RegisterFlagCompletionFunc("name", completeNames(0))
	how.bindPropose(cmd)
	return cmd
}

func (s *session) revertDefinition(name, commit string, o client.WriteOptions) error {
	made, err := s.RevertSecret(s.ctx, name, commit, o)
	if err != nil {
		return err
	}
	s.warn(made.Warnings)
	switch {
	case made.Proposal != nil:
		return s.tellProposal(made.Proposal)
	case made.Secret == nil:
		return s.printf("%s is gone again\n", name)
	}
	return s.printf("%s stands as before, at %s\n", name, made.ETag)
}

func (s *session) revertCommit(commit string, o client.WriteOptions) error {
	made, err := s.RevertCommit(s.ctx, commit, o)
	if err != nil {
		return err
	}
	s.warn(made.Warnings)
	if made.Proposal != nil {
		return s.tellProposal(made.Proposal)
	}
	told := made.Result
	if told.Commit == "" {
		return s.printf("what commit %s did is undone already\n", told.Reverted)
	}
	for _, item := range told.Items {
		what := "stands as before"
		if item.Secret == nil {
			what = "is gone again"
		}
		if err := s.printf("%s %s\n", item.Name, what); err != nil {
			return err
		}
	}
	return s.printf("commit %s undoes %s\n", told.Commit, told.Reverted)
}
