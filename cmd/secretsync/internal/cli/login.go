package cli

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"secretsync/cmd/secretsync/internal/cli/place"
	"secretsync/cmd/secretsync/internal/cli/terminal"
	"secretsync/httpapi/client"
)

func newLogin() *cobra.Command {
	var tenant, name string
	cmd := &cobra.Command{
		Use:   "login URL --tenant TENANT",
		Short: "Keep a server, a tenant and a key for the commands that follow",
		Long: `Keep where a server is, the tenant and its key as a context, which the commands that
follow use. The key is asked for without being shown, or read from the standard
input if that is no terminal; it is tried before it is kept. It is kept in a file
that nobody but you can read: secretsync/contexts.yaml in XDG_CONFIG_HOME, or in
~/.config.`,
		Example: `  secretsync login https://secretsync.example.org --tenant acme
  secretsync login https://secretsync.example.org --tenant acme < key`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s := newSession(cmd)
			return s.ended(s.login(place.Context{Name: name, URL: args[0], Tenant: tenant}))
		},
	}
	cmd.Flags().StringVar(&tenant, "tenant", os.Getenv(place.TenantVariable), "the tenant to work in")
	cmd.Flags().StringVar(&name, "name", "", "what the context is called (default the tenant)")
	cmd.Flags().Lookup("tenant").DefValue = "" // of the help, which is the same for all
	return cmd
}

func (s *session) login(c place.Context) error {
	if c.Tenant == "" {
		return errors.New("which tenant? Give --tenant")
	}
	if c.Name == "" {
		c.Name = c.Tenant
	}
	if strings.ContainsFunc(c.Name, func(r rune) bool { return terminal.Line(string(r)) != string(r) || r == ' ' }) {
		return fmt.Errorf("--name: %q is no name for a context; use letters, digits and dashes", c.Name)
	}
	file, err := place.Load()
	if err != nil {
		return err
	}
	if c.Key, err = s.askKey(c); err != nil {
		return err
	}
	s.Client = &client.Client{URL: c.URL, Tenant: c.Tenant, Key: c.Key}
	if open(c.URL) {
		s.warn([]string{"the key goes over plain http, where others on the way can read it; use https if the server has it"})
	}
	known, err := s.GetTenant(s.ctx)
	if err != nil {
		return err
	}
	file.Put(c)
	if err := file.Save(); err != nil {
		return err
	}
	return s.printf("logged in to %s as tenant %s (%s); the context is called %s\n", c.URL, c.Tenant, terminal.Line(known.DisplayName), c.Name)
}

// open reports whether what is sent there can be read on the way.
func open(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())
}

// askKey reads the key, from a terminal without showing it.
func (s *session) askKey(c place.Context) (string, error) {
	if !terminal.IsTerminal(s.in) {
		key, err := place.ReadKey(s.in)
		if err != nil {
			return "", fmt.Errorf("the standard input %w", err)
		}
		return key, nil
	}
	fmt.Fprintf(s.err, "Key of tenant %s: ", c.Tenant)
	typed, err := term.ReadPassword(int(s.in.(*os.File).Fd()))
	fmt.Fprintln(s.err)
	if err != nil {
		return "", err
	}
	return place.ReadKey(strings.NewReader(string(typed)))
}

func newLogout() *cobra.Command {
	return &cobra.Command{
		Use:   "logout [CONTEXT]",
		Short: "Forget a context, and its key",
		Long: `Forget a context and its key, the current one if none is named. The key itself stays
valid: keys revoke ends it.`,
		Example:           `  secretsync logout`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: place.CompleteContexts,
		RunE: func(cmd *cobra.Command, args []string) error {
			return newSession(cmd).forget(args)
		},
	}
}

func (s *session) forget(names []string) error {
	file, err := place.Load()
	if err != nil {
		return err
	}
	name := file.Current
	if len(names) > 0 {
		name = names[0]
	}
	if name == "" {
		return errors.New("there is no current context; name one of those that are: secretsync context list")
	}
	if !file.Remove(name) {
		return &Exit{4, fmt.Errorf("there is no context %q; there is %s", name, file.List())}
	}
	if err := file.Save(); err != nil {
		return err
	}
	return s.printf("context %s is forgotten\n", name)
}

func newContext() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "context",
		Short: "List, choose and delete contexts",
		Long:  `A context is a server, a tenant and a key that login kept.`,
		Args:  cobra.NoArgs,
		RunE:  listContexts,
	}
	cmd.AddCommand(
		&cobra.Command{Use: "list", Short: "List contexts; the current one has a star", Args: cobra.NoArgs, RunE: listContexts},
		&cobra.Command{
			Use: "use CONTEXT", Short: "Make a context the current one", Args: cobra.ExactArgs(1), ValidArgsFunction: place.CompleteContexts,
			RunE: func(cmd *cobra.Command, args []string) error {
				file, err := place.Load()
				if err != nil {
					return err
				}
				if !slices.Contains(file.Names(), args[0]) {
					return &Exit{4, fmt.Errorf("there is no context %q; there is %s", args[0], file.List())}
				}
				file.Current = args[0]
				if err := file.Save(); err != nil {
					return err
				}
				return newSession(cmd).printf("context %s is in use\n", args[0])
			},
		},
		&cobra.Command{
			Use: "delete CONTEXT", Short: "Forget a context, and its key", Args: cobra.ExactArgs(1), ValidArgsFunction: place.CompleteContexts,
			RunE: func(cmd *cobra.Command, args []string) error { return newSession(cmd).forget(args) },
		},
	)
	return cmd
}

func listContexts(cmd *cobra.Command, _ []string) error {
	file, err := place.Load()
	if err != nil {
		return err
	}
	s := newSession(cmd)
	if len(file.Contexts) == 0 {
		_, err := fmt.Fprintln(s.err, "There is no context yet. Make one with: secretsync login URL --tenant TENANT")
		return err
	}
	table := &terminal.Table{Header: []string{"", "NAME", "TENANT", "URL"}}
	for _, c := range file.Contexts {
		star := ""
		if c.Name == file.Current {
			star = "*"
		}
		table.Add(star, c.Name, c.Tenant, c.URL)
	}
	return s.out.Print(table)
}
