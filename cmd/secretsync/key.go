package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
)

func newKey() *cobra.Command {
	key := &cobra.Command{
		Use:   "key",
		Short: "Make API keys that stand in the server's configuration",
		Long: `Make API keys that stand in the server's configuration, such as the first one of a
tenant. Those that are made and revoked while it runs are the business of keys.`,
		Args: cobra.NoArgs,
	}
	key.AddCommand(newKeyNew())
	return key
}

func newKeyNew() *cobra.Command {
	var name, role, expires string
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Make an API key and the lines of configuration that admit it",
		Long: `Make an API key. The key is printed once and kept nowhere; the configuration
holds only its hash. Put the printed lines under tenants.<tenant>.keys.`,
		Example: `  secretsync key new --name "Platform team" --role admin
  secretsync key new --name "Nightly report" --role readonly --expires 2027-01-31T00:00:00Z`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			displayName, err := apikey.ParseDisplayName(name)
			if err != nil {
				return fmt.Errorf("--name: %w", err)
			}
			parsedRole, err := apikey.ParseRole(role)
			if err != nil {
				return fmt.Errorf("--role: %w", err)
			}
			var expiresAt time.Time
			if expires != "" {
				if expiresAt, err = apikey.ParseExpiry(expires); err != nil {
					return fmt.Errorf("--expires: %q is not a time such as 2027-01-31T00:00:00Z", expires)
				}
				if !expiresAt.After(time.Now()) {
					return fmt.Errorf("--expires: %s is in the past; the key would never work", expires)
				}
			}
			made, plaintext := apikey.New(gitstore.TenantName{}, parsedRole, displayName)
			stanza, err := yaml.Marshal([]keyStanza{{made.ID, made.DisplayName, string(made.Role), made.Hash.String(), time.Now().UTC().Truncate(time.Second), expiresAt}})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(),
				"%s\n\n# The key stands above, this once. Add these lines under tenants.<tenant>.keys:\n%s", plaintext, stanza)
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "who holds the key; becomes the author of its commits")
	cmd.Flags().StringVar(&role, "role", "readonly", `what it may do: "admin", "readonly" or "sync"`)
	cmd.Flags().StringVar(&expires, "expires", "", "when it ends, RFC 3339 (default never)")
	_ = cmd.MarkFlagRequired("name")
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(apikey.Roles, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// keyStanza is a key of the configuration in the order and with the omissions a person wants.
type keyStanza struct {
	ID          string    `yaml:"id"`
	DisplayName string    `yaml:"displayName"`
	Role        string    `yaml:"role"`
	Hash        string    `yaml:"hash"`
	CreatedAt   time.Time `yaml:"createdAt"`
	ExpiresAt   time.Time `yaml:"expiresAt,omitempty"`
}
