package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"secretsync/cmd/secretsync/internal/cli/place"
	"secretsync/httpapi/client"
)

// patienceOfCompletion is how long a shell waits for names. What is not there by then,
// or can't be had, is not completed, without a word.
const patienceOfCompletion = 2 * time.Second

// ask has the server asked for what completes an argument.
func ask(cmd *cobra.Command, names func(context.Context, *client.Client) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	text := func(flag string) string {
		if f := cmd.Flags().Lookup(flag); f != nil {
			return f.Value.String()
		}
		return ""
	}
	c, err := place.Given(text("url"), text("tenant"), text("context"), text("key-file")).Client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c.Patience = -1
	parent := cmd.Context()
	if parent == nil {
		parent = context.Background()
	}
	ctx, cancel := context.WithTimeout(parent, patienceOfCompletion)
	defer cancel()
	found, err := names(ctx, c)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.DeleteFunc(found, unfit), cobra.ShellCompDirectiveNoFileComp
}

// unfit reports whether something is no word that a shell should be given.
func unfit(word string) bool {
	return word == "" || strings.ContainsFunc(word, func(r rune) bool {
		return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || strings.ContainsRune("-./", r))
	})
}

func definitionNames(ctx context.Context, c *client.Client) (names []string, err error) {
	secrets, err := c.AllSecrets(ctx, true)
	for i := range secrets {
		names = append(names, secrets[i].Name)
	}
	return names, err
}

// completeNames completes names of definitions, so many at most; 0: any number.
func completeNames(most int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names, directive := ask(cmd, definitionNames)
		return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(args, name) }), directive
	}
}

// completeTargets completes a definition's name, and then targets: those it has, to
// take away, or the clusters there are, to add.
func completeTargets(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return ask(cmd, definitionNames)
	}
	words, directive := ask(cmd, func(ctx context.Context, c *client.Client) (words []string, err error) {
		if cmd.Name() == "add-target" {
			clusters, err := c.ListClusters(ctx)
			if err != nil {
				return nil, err
			}
			for _, cluster := range clusters.Items {
				words = append(words, cluster.Name+"/")
			}
			return words, nil
		}
		secret, err := c.GetSecret(ctx, args[0], client.WaitOptions{})
		if err != nil {
			return nil, err
		}
		for _, t := range secret.Sync {
			words = append(words, target{t.Cluster, t.Namespace, t.SecretName}.String())
		}
		return words, nil
	})
	return words, directive | cobra.ShellCompDirectiveNoSpace
}

func completeKeys(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return ask(cmd, func(ctx context.Context, c *client.Client) (ids []string, err error) {
		keys, err := c.ListKeys(ctx)
		if err != nil {
			return nil, err
		}
		for _, key := range keys.Items {
			if !slices.Contains(args, key.ID) {
				ids = append(ids, key.ID)
			}
		}
		return ids, nil
	})
}
