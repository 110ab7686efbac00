package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"secretsync/cmd/secretsync/internal/checkout"
	"secretsync/cmd/secretsync/internal/cli"
	"secretsync/cmd/secretsync/internal/cli/place"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/folder"
	"secretsync/httpapi/client"
	"secretsync/reconcile/plan"
)

// planForms are the forms of output, the usual one first.
var planForms = []string{"text", "json", "markdown"}

// planOptions is what the command line of plan says.
type planOptions struct {
	from, to string
	output   string
	most     int
	reach    configuredReach
	place    place.Flags
	ask      bool // a server makes the plan, whichever it is
}

func newPlan() *cobra.Command {
	var o planOptions
	cmd := &cobra.Command{
		Use:   "plan [PATH]",
		Short: "Say what a change of definitions would do",
		Long: `Say which Secrets a change of definitions would create, update, hand from one
definition to another or no longer sync, where, and why; and what is wrong with it.
PATH is a clone of a tenant's repository, by default the current folder.

--to is the revision that is planned, by default the files as they stand in PATH,
committed or not. --from is what it is compared with, by default where HEAD left
the branch that is followed: with a server, its HEAD; without one, origin/HEAD as
it was last fetched.

Offline nothing but files is looked at; with --config, the server's configuration,
clusters and namespaces are judged by it. With --url or --context, or with
--online by whichever server the variables or the current context say, a server
makes the plan: it knows what stands in the clusters now, and whether the vault has
a value at each path, in which version and with which keys. A readonly key
suffices; what it has at most of a value is the names of its keys.

The exit code is 0 if nothing changes, 2 if something does, and 1 if the change
brings a mistake or something failed. As markdown it is fit for a comment.`,
		Example: `  secretsync plan
  secretsync plan --from origin/main --to HEAD --output markdown
  secretsync plan --url https://secretsync.example.org --tenant acme --key-file key`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := "."
			if len(args) > 0 {
				root = args[0]
			}
			if !slices.Contains(planForms, o.output) {
				return fmt.Errorf("--output: %q is no form of output; use one of %s", o.output, strings.Join(planForms, ", "))
			}
			planned := o.offline
			if o.ask || o.place.Named() {
				planned = o.online
			}
			p, err := planned(cmd.Context(), checkout.Open(root))
			if err != nil {
				return err
			}
			if err := o.write(cmd.OutOrStdout(), p); err != nil {
				return err
			}
			switch {
			case p.Failing() != "":
				return cli.ErrReported
			case p.Changes():
				return &cli.Exit{Code: 2, Err: cli.ErrReported}
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.from, "from", "", "the revision to compare with (default where HEAD left the branch that is followed)")
	flags.StringVar(&o.to, "to", "", "the revision to plan (default the files as they stand)")
	flags.StringVarP(&o.output, "output", "o", planForms[0], strings.Join(planForms, ", "))
	flags.IntVar(&o.most, "definitions", 0, "the server's limit of definitions a tenant, for a plan without it (default that of the configuration, or 1000)")
	flags.BoolVar(&o.ask, "online", false, "have the server make the plan that SECRETSYNC_URL or the current context says")
	o.place.BindServer(cmd, "a readonly or an admin key")
	o.reach.bind(cmd)
	cmd.MarkFlagsMutuallyExclusive("url", "config")
	cmd.MarkFlagsMutuallyExclusive("url", "definitions")
	cmd.MarkFlagsMutuallyExclusive("context", "config")
	cmd.MarkFlagsMutuallyExclusive("online", "config")
	cmd.MarkFlagsMutuallyExclusive("context", "definitions")
	_ = cmd.MarkFlagFilename("key-file")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(planForms, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (o *planOptions) write(out io.Writer, p *plan.Plan) error {
	switch o.output {
	case "json":
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(p)
	case "markdown":
		_, err := io.WriteString(out, p.Markdown())
		return err
	}
	return p.WriteText(out)
}

// offline makes the plan from the clone alone.
func (o *planOptions) offline(_ context.Context, f *checkout.Folder) (*plan.Plan, error) {
	reach, allowed, err := o.reach.load()
	if err != nil {
		return nil, err
	}
	from := o.from
	if from == "" {
		if from, err = f.Base(f.Upstream()); err != nil {
			return nil, fmt.Errorf("%w; say by --from what to compare with", err)
		}
	}
	in := plan.Input{Reach: reach}
	if from, err = f.Resolve(from); err != nil {
		return nil, err
	}
	if in.From, err = readSet(f, from, cmp.Or(o.most, allowed)); err != nil {
		return nil, err
	}
	to := ""
	if o.to != "" {
		if to, err = f.Resolve(o.to); err != nil {
			return nil, err
		}
	}
	if in.To, err = readSet(f, to, cmp.Or(o.most, allowed)); err != nil {
		return nil, err
	}
	p := plan.Make(in)
	p.From, p.To = from, to
	return p, nil
}

// filesOfRevision returns the files of a commit, or those that stand where it is empty.
func filesOfRevision(f *checkout.Folder, commit string) ([]folder.File, error) {
	if commit == "" {
		return f.Files()
	}
	return f.At(commit)
}

func readSet(f *checkout.Folder, commit string, allowed int) (definition.Set, error) {
	files, err := filesOfRevision(f, commit)
	if err != nil {
		return definition.Set{}, err
	}
	return folder.Read(files, allowed)
}

// mostOfRequest is how long the files of a request may be, of the 1 MiB that the
// server takes.
const mostOfRequest = 900 << 10

// online has a server make the plan. It need not know the revision that is planned:
// files are sent; all of them if they are few, else those that differ.
func (o *planOptions) online(ctx context.Context, f *checkout.Folder) (*plan.Plan, error) {
	o.place.Within(o.reach.tenant)
	c, err := o.place.Client()
	if err != nil {
		return nil, err
	}
	request := client.PlanRequest{From: o.from}
	if request.From != "" && f.Has(request.From) {
		request.From, _ = f.Resolve(request.From)
	} else if request.From == "" {
		tenant, err := c.GetTenant(ctx)
		if err != nil {
			return nil, err
		}
		if request.From = tenant.ResourceVersion; f.Has(request.From) {
			if base, err := f.Base(request.From); err == nil {
				request.From = base
			}
		}
	}
	to := ""
	if o.to != "" {
		var err error
		if to, err = f.Resolve(o.to); err != nil {
			return nil, err
		}
	}
	others, err := o.fill(&request, f, to)
	if err != nil {
		return nil, err
	}
	made, err := c.PlanChange(ctx, request)
	if err != nil {
		return nil, err
	}
	p := new(plan.Plan)
	if err := json.Unmarshal(made.Raw, p); err != nil {
		return nil, fmt.Errorf("the plan is not what this version of the program expects: %w", err)
	}
	p.To = to
	p.Problems = append(others, p.Problems...)
	return p, nil
}

// fill puts the files of a revision into a request. What can't be sent, because it
// is no file, is a problem.
func (o *planOptions) fill(request *client.PlanRequest, f *checkout.Folder, to string) ([]plan.Problem, error) {
	files, err := filesOfRevision(f, to)
	if err != nil {
		return nil, err
	}
	texts, others, err := checkout.Texts(files)
	if err != nil {
		return nil, err
	}
	size := 0
	request.Files = make(map[string]*string, len(texts))
	for path, text := range texts {
		request.Files[path] = &text
		size += len(path) + len(text)
	}
	if size > mostOfRequest {
		before, err := f.At(request.From)
		if err != nil {
			return nil, fmt.Errorf("the definitions are too many to be sent whole: %w", err)
		}
		old, _, err := checkout.Texts(before)
		if err != nil {
			return nil, err
		}
		request.Partial = true
		for path, text := range old {
			switch now, ok := texts[path]; {
			case !ok:
				request.Files[path] = nil
			case now == text:
				delete(request.Files, path)
			}
		}
	}
	var odd []folder.File
	for _, file := range files {
		if slices.Contains(others, file.Name) {
			odd = append(odd, file)
		}
	}
	set, err := folder.Read(odd, 0)
	return plan.Check(set, nil), err
}
