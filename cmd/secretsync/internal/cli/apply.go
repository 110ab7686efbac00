package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"secretsync/httpapi/client"
	"secretsync/reconcile/plan"
)

func newApply() *cobra.Command {
	var file string
	var dry, prune bool
	var how writeFlags
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIR",
		Short: "Make definitions as files say, as one commit",
		Long: `Make definitions as the files of a folder say, or one file, or the standard input:
those that are missing are added, those that differ are changed, and with --prune
those that no file has are removed; all of it as one commit, or nothing.

What that does in the clusters is shown first. If it brings a mistake, or somebody
changes one of the definitions meanwhile, nothing is done. With --dry-run it ends
there, and the exit code is 0 if nothing would change and 2 if something would.`,
		Example: `  secretsync apply -f secrets/ --dry-run
  secretsync apply -f secrets/ --prune`,
		Args: cobra.NoArgs,
	}
	online(cmd, "an admin key (with --dry-run a readonly one)", func(s *session, _ []string) error {
		changes, err := s.compare(file, prune)
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			return s.printf("nothing differs\n")
		}
		failing, err := s.showPlan(changes)
		switch {
		case err != nil:
			return err
		case failing:
			return &Exit{1, ErrReported}
		case dry:
			return s.tellWouldBe(changes)
		}
		return s.apply(changes, &how)
	})
	fileFlag(cmd, &file, "a file, a folder of files, or - for the standard input")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only show what would change")
	cmd.Flags().BoolVar(&prune, "prune", false, "remove what the tenant has and the files don't")
	how.bind(cmd)
	return cmd
}

// showPlan prints what the changes do, and whether that is a mistake. The server makes
// the plan: it knows what stands in the clusters and what the vault has.
func (s *session) showPlan(changes []difference) (failing bool, err error) {
	request := client.PlanRequest{Files: map[string]*string{}, Partial: true}
	for _, c := range changes {
		path := "secrets/" + c.name + ".yaml"
		request.Files[path] = nil
		if c.after != nil {
			request.Files[path] = &c.text
		}
	}
	made, err := s.PlanChange(s.ctx, request)
	if err != nil {
		return false, err
	}
	var p plan.Plan
	if err := json.Unmarshal(made.Raw, &p); err != nil {
		return false, fmt.Errorf("the plan is not what this version of the program expects: %w", err)
	}
	return p.Failing() != "", p.WriteText(s.out)
}

// tellWouldBe says what a run that is no dry one does to each definition.
func (s *session) tellWouldBe(changes []difference) error {
	for _, c := range changes {
		what := "changed"
		switch {
		case c.before == nil:
			what = "created"
		case c.after == nil:
			what = "removed"
		}
		if err := s.printf("%s would be %s\n", c.name, what); err != nil {
			return err
		}
	}
	return answeredNo
}

func (s *session) apply(changes []difference, how *writeFlags) error {
	if len(changes) > client.MostOperations {
		return fmt.Errorf("%d definitions differ, and one commit of the API changes at most %d; push them with git, or apply them in parts", len(changes), client.MostOperations)
	}
	operations := make([]client.Operation, len(changes))
	for i, c := range changes {
		switch {
		case c.before == nil:
			operations[i] = client.Operation{Op: "create", Name: c.name, Fields: c.after.Fields()}
		case c.after == nil:
			operations[i] = client.Operation{Op: "delete", Name: c.name, IfMatch: c.etag}
		default:
			patch := patchOf(c.patch, *c.after)
			operations[i] = client.Operation{Op: "patch", Name: c.name, IfMatch: c.etag}
			if err := json.Unmarshal(patch, &operations[i].Fields); err != nil {
				return err
			}
		}
	}
	made, err := s.BatchSecrets(s.ctx, operations, how.options(""))
	if err != nil {
		return err
	}
	s.warn(made.Warnings)
	if made.Proposal != nil {
		return s.tellProposal(made.Proposal)
	}
	for _, item := range made.Result.Items {
		what := map[int]string{201: "is created", 200: "is changed", 204: "is removed"}[item.Status]
		if item.Secret != nil {
			what += ", by commit " + short(item.Secret.ResourceVersion)
		}
		if err := s.printf("%s %s\n", item.Name, what); err != nil {
			return err
		}
	}
	return nil
}
