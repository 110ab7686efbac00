package cli

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"secretsync/cmd/secretsync/internal/cli/manifest"
	"secretsync/httpapi/client"
)

// writeFlags says how a change is to be made.
type writeFlags struct{ lenient, propose bool }

func (f *writeFlags) bind(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.lenient, "lenient", false, "accept a target that another definition holds; it is synced as soon as that lets go of it")
	f.bindPropose(cmd)
}

func (f *writeFlags) bindPropose(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.propose, "propose", false, "make it a pull request rather than a commit of the branch")
}

func (f *writeFlags) options(etag string) client.WriteOptions {
	return client.WriteOptions{IfMatch: etag, Strict: !f.lenient, Propose: f.propose}
}

func newCreate() *cobra.Command {
	var file string
	var how writeFlags
	cmd := &cobra.Command{
		Use:   "create -f FILE",
		Short: "Add a definition, as a commit",
		Long: `Add the definition that a file holds, as a commit of the tenant's branch. The
fields of the file are sent as they are; the server says what is wrong with them.
A target that another definition holds is refused, unless --lenient.`,
		Example: `  secretsync create -f db-password.yaml
  printf 'name: smtp\nsecretPath: production/smtp\nsync: [{cluster: production, namespace: default}]' | secretsync create -f -`,
		Args: cobra.NoArgs,
	}
	online(cmd, "an admin key", func(s *session, _ []string) error {
		text, err := s.read(file)
		if err != nil {
			return err
		}
		definitions, err := manifest.Parse(text)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", file, err)
		case len(definitions) != 1:
			return fmt.Errorf("%s: holds %d definitions; create takes one, apply several", file, len(definitions))
		}
		made, err := s.CreateSecret(s.ctx, definitions[0].JSON(), how.options(""))
		if err != nil {
			return err
		}
		return s.tellChange(definitions[0].Name, "is created", made)
	})
	fileFlag(cmd, &file, "the file, in YAML or JSON; - is the standard input")
	how.bind(cmd)
	return cmd
}

func fileFlag(cmd *cobra.Command, into *string, usage string) {
	cmd.Flags().StringVarP(into, "file", "f", "", usage)
	_ = cmd.MarkFlagRequired("file")
	_ = cmd.MarkFlagFilename("file", "yaml", "yml", "json")
}

// tellChange says what became of a definition that was written.
func (s *session) tellChange(name, what string, made *client.Change) error {
	s.warn(made.Warnings)
	if made.Proposal != nil {
		return s.tellProposal(made.Proposal)
	}
	if made.Secret == nil {
		return s.printf("%s %s\n", name, what)
	}
	return s.printf("%s %s, by commit %s\n", name, what, short(made.Secret.ResourceVersion))
}

func newDelete() *cobra.Command {
	var how writeFlags
	cmd := &cobra.Command{
		Use:   "delete NAME...",
		Short: "Remove definitions, a commit each",
		Long: `Remove definitions, a commit each. Syncing stops; the Secrets stay, unless the
definition says otherwise (deletionPolicy). revert brings a definition back.`,
		Example:           `  secretsync delete smtp-password`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeNames(0),
	}
	online(cmd, "an admin key", func(s *session, names []string) error {
		for _, name := range names {
			if err := s.remove(name, &how); err != nil {
				return err
			}
		}
		return nil
	})
	how.bindPropose(cmd)
	return cmd
}

func (s *session) remove(name string, how *writeFlags) error {
	var what string
	made, err := s.again(name, func(stands *client.Secret) (*client.Change, error) {
		d, err := manifest.FromJSON(stands.Raw)
		if err != nil {
			return nil, err
		}
		what = "is removed; its copies stay"
		var policy string
		if json.Unmarshal(d.Field("deletionPolicy"), &policy) == nil && policy == "Delete" {
			what = "is removed; its copies go"
		}
		return s.DeleteSecret(s.ctx, name, client.WriteOptions{IfMatch: etagOf(stands), Propose: how.propose})
	})
	if err != nil {
		return err
	}
	return s.tellChange(name, what, made)
}

// again makes a change that follows from how a definition stands, and makes it anew
// where somebody else was faster: for changes that mean the same whatever stands.
func (s *session) again(name string, change func(stands *client.Secret) (*client.Change, error)) (*client.Change, error) {
	const tries = 5
	for try := 1; ; try++ {
		stands, err := s.GetSecret(s.ctx, name, client.WaitOptions{})
		if err != nil {
			return nil, err
		}
		made, err := change(stands)
		if told, ok := errors.AsType[*client.Error](err); ok && told.Status == 412 && !told.Repeated && try < tries {
			continue
		}
		return made, err
	}
}

func newSync() *cobra.Command {
	var paths []string
	var all bool
	cmd := &cobra.Command{
		Use:   "sync (NAME... | --path PATH | --all)",
		Short: "Have the vault read again now",
		Long: `Have the values of definitions read from the vault again now, rather than at the next
interval: of those that are named, of those that use a path, or of all. For paths
and all a key of the role sync suffices, which can do nothing else.`,
		Example: `  secretsync sync db-password && secretsync wait db-password
  secretsync sync --path production/db-password`,
		ValidArgsFunction: completeNames(0),
	}
	online(cmd, "an admin key", func(s *session, names []string) error {
		if len(names) == 0 && len(paths) == 0 && !all || all && len(names)+len(paths) > 0 {
			return errors.New("say what to read: definitions by their names, --path PATH, or --all")
		}
		for _, name := range names {
			if _, err := s.SyncSecret(s.ctx, name); err != nil {
				return err
			}
			if err := s.printf("%s is read again\n", name); err != nil {
				return err
			}
		}
		for _, path := range paths {
			told, err := s.SyncPath(s.ctx, path)
			if err != nil {
				return err
			}
			if err := s.printf("%s is read again, for %s\n", path, count(told.Definitions, "definition")); err != nil {
				return err
			}
		}
		if !all {
			return nil
		}
		told, err := s.SyncAll(s.ctx)
		if err != nil {
			return err
		}
		return s.printf("everything is read again, for %s\n", count(told.Definitions, "definition"))
	})
	cmd.Flags().StringArrayVar(&paths, "path", nil, "a path in the vault, as definitions have it; may be given again")
	cmd.Flags().BoolVar(&all, "all", false, "read all values of the tenant again")
	return cmd
}
