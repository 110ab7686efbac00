package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"secretsync/gitstore/definition"
	"secretsync/httpapi/client"
)

func newRevert() *cobra.Command {
	var c clientFlags
	var name string
	var propose bool
	cmd := &cobra.Command{
		Use:   "revert (REV | --name NAME) --url URL --tenant TENANT --key-file FILE",
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
		Example: `  secretsync revert 3f786850e3 --url https://secretsync.example.org --tenant acme --key-file key
  secretsync revert --name db-password --url https://secretsync.example.org --tenant acme --key-file key`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case name != "":
				return revertDefinition(cmd, &c.Client, name, args, propose)
			case len(args) == 0:
				return errors.New("say what to undo: a commit by its SHA, or the newest change of a definition with --name NAME")
			}
			return revertCommit(cmd, &c.Client, args[0], propose)
		},
	}
	c.bind(cmd, "an admin key")
	cmd.Flags().StringVar(&name, "name", "", "the definition that is put back; default all that the commit changed")
	cmd.Flags().BoolVar(&propose, "propose", false, "make it a pull request rather than a commit of the branch")
	return cmd
}

// proposing is what is asked for behind a path.
func proposing(propose bool) string {
	if propose {
		return "?propose=true"
	}
	return ""
}

// tellProposal says where a change waits for somebody to merge it.
func tellProposal(cmd *cobra.Command, answer *client.Answer) error {
	var told struct{ Proposal struct{ URL, Branch string } }
	if err := json.Unmarshal(answer.Body, &told); err != nil {
		return fmt.Errorf("the answer is not what this version of the program expects: %w", err)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "proposed on branch %s: %s\n", told.Proposal.Branch, told.Proposal.URL)
	return err
}

func revertDefinition(cmd *cobra.Command, c *client.Client, name string, args []string, propose bool) error {
	if _, err := definition.ParseName(name); err != nil {
		return fmt.Errorf("--name: %w", err)
	}
	body := map[string]string{}
	if len(args) > 0 {
		body["commit"] = args[0]
	}
	answer, err := c.Do(cmd.Context(), http.MethodPost, "/secrets/"+name+"/revert"+proposing(propose), body)
	if err != nil {
		return err
	}
	switch answer.Status {
	case http.StatusAccepted:
		return tellProposal(cmd, answer)
	case http.StatusNoContent:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is gone again\n", name)
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s stands as before, at %s\n", name, answer.Header.Get("Etag"))
	return err
}

func revertCommit(cmd *cobra.Command, c *client.Client, commit string, propose bool) error {
	var told struct {
		Reverted string
		Commit   string // empty: nothing had to be done
		Items    []struct {
			Name   string
			Status int
		}
	}
	answer, err := c.Do(cmd.Context(), http.MethodPost, "/commits/"+url.PathEscape(commit)+":revert"+proposing(propose), nil)
	if err != nil {
		return err
	}
	if answer.Status == http.StatusAccepted {
		return tellProposal(cmd, answer)
	}
	if err := json.Unmarshal(answer.Body, &told); err != nil {
		return fmt.Errorf("the answer is not what this version of the program expects: %w", err)
	}
	out := cmd.OutOrStdout()
	if told.Commit == "" {
		_, err := fmt.Fprintf(out, "what commit %s did is undone already\n", told.Reverted)
		return err
	}
	for _, item := range told.Items {
		what := "stands as before"
		if item.Status == http.StatusNoContent {
			what = "is gone again"
		}
		fmt.Fprintf(out, "%s %s\n", item.Name, what)
	}
	_, err = fmt.Fprintf(out, "commit %s undoes %s\n", told.Commit, told.Reverted)
	return err
}
