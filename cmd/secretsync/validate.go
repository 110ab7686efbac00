package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"secretsync/cmd/secretsync/internal/cli"
	"secretsync/cmd/secretsync/internal/config"
	"secretsync/cmd/secretsync/internal/findings"
	"secretsync/gitstore/definition/folder"
	"secretsync/reconcile"
	"secretsync/reconcile/plan"
)

// configuredReach is what flags say of the configuration that definitions are
// judged by.
type configuredReach struct{ config, tenant string }

func (c *configuredReach) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.config, "config", "", "the server's configuration file: clusters, namespaces and paths are judged by it")
	cmd.Flags().StringVar(&c.tenant, "tenant", "", "the tenant of that configuration whose definitions they are")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
}

// load returns what the tenant may reach, and how many definitions it may have;
// nil and 0 without a configuration.
func (c *configuredReach) load() (plan.Reach, int, error) {
	switch {
	case c.config == "" && c.tenant == "":
		return nil, 0, nil
	case c.config == "":
		return nil, 0, fmt.Errorf("--tenant %s is of a configuration; name that by --config", c.tenant)
	}
	tenants, definitions, err := config.LoadTenants(c.config)
	if err != nil {
		return nil, 0, err
	}
	i := slices.IndexFunc(tenants, func(t config.Tenant) bool { return t.Name.String() == c.tenant })
	if i < 0 && c.tenant == "" && len(tenants) == 1 {
		i = 0
	}
	if i < 0 {
		names := make([]string, len(tenants))
		for i, t := range tenants {
			names[i] = t.Name.String()
		}
		return nil, 0, fmt.Errorf("--tenant: the configuration has no tenant %q; it has %s", c.tenant, strings.Join(names, ", "))
	}
	t := tenants[i]
	return reconcile.Tenant{Name: t.Name, Clusters: t.Grants, Vault: t.Vault, MinRefreshInterval: t.MinRefresh}.Reach(), definitions, nil
}

func newValidate() *cobra.Command {
	var most int
	var output string
	var reach configuredReach
	cmd := &cobra.Command{
		Use:   "validate [PATH]",
		Short: "Check the definitions in a checkout",
		Long: `Check the definitions in a checkout of a tenant's repository as the server would
read them: its folder, by default the current one. Each mistake is a line
"file:line: cause" on the standard output; the exit code is 1 if there is one.

With --config, the server's configuration, it also tells of clusters that are not
registered for the tenant and of namespaces that are not granted to it; and it
warns of what may not be meant, such as a path that repeats the tenant's prefix.
A warning does not change the exit code.

Nothing is asked of a server, a cluster or a vault. Other forms of output are json,
sarif (SARIF 2.1.0, for code scanning and editors) and github (workflow commands,
which show each mistake beside its line in a pull request).`,
		Example: `  secretsync validate .
  secretsync validate --output github
  secretsync validate --config secretsync.yaml --tenant acme --output sarif > definitions.sarif`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := "."
			if len(args) > 0 {
				root = args[0]
			}
			if !slices.Contains(findings.Forms, output) {
				return fmt.Errorf("--output: %q is no form of output; use one of %s", output, strings.Join(findings.Forms, ", "))
			}
			within, allowed, err := reach.load()
			if err != nil {
				return err
			}
			set, err := folder.ReadDir(os.DirFS(root), cmp.Or(most, allowed))
			if err != nil {
				return fmt.Errorf("%s: %w", root, err)
			}
			report := findings.Report{Root: root, Definitions: set.Count, Problems: plan.Check(set, within), Version: buildVersion()}
			if err := report.Write(cmd.OutOrStdout(), output); err != nil {
				return err
			}
			if report.Mistakes() > 0 {
				return cli.ErrReported
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	reach.bind(cmd)
	cmd.Flags().IntVar(&most, "definitions", 0, "the server's limit of definitions a tenant (default that of the configuration, or 1000)")
	cmd.Flags().StringVarP(&output, "output", "o", findings.Forms[0], strings.Join(findings.Forms, ", "))
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(findings.Forms, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}
