package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"secretsync/cmd/secretsync/internal/config"
	"secretsync/cmd/secretsync/internal/datafolder"
	"secretsync/cmd/secretsync/internal/keystore"
	"secretsync/gitstore"
)

func newKeysMigrate() *cobra.Command {
	var path, to string
	cmd := &cobra.Command{
		Use:   "migrate --config FILE --to kubernetes|folder",
		Short: "Move all API keys and the hash key between the data folder and the cluster",
		Long: `Move the keys of all tenants that were made through the API, and the key of the hash
that copies carry, from the data folder into Secrets of the home namespace, or back.
It is for whoever runs the server; of the configuration only dataDir, hashKeyFile, home
and keys are read, and no other file that it names has to be there.

Stop the servers first. One that uses the data folder is found, and nothing is moved
then. One that uses the Secrets is not; it makes and revokes no key any more once they
are moved, and what it changed before makes the move fail.

Nothing is deleted. What was left behind is marked when all was read back from where it
is now, and no server starts with it any more. The move can be interrupted at any
instant, and made again. It is refused where the target has keys of its own: another
one under the same id, another hash key, or one that is not to be moved, which would be
good again after it was revoked.`,
		Example: `  secretsync keys migrate --config /etc/secretsync/secretsync.yaml --to kubernetes`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			place, known := config.ParseKeyPlace(to)
			if !known {
				return fmt.Errorf("--to: %.80q is neither kubernetes nor folder", to)
			}
			return migrateKeys(cmd, path, place)
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "the server's configuration file")
	cmd.Flags().StringVar(&to, "to", "", "where the keys go: kubernetes or folder")
	_ = cmd.MarkFlagRequired("config")
	_ = cmd.MarkFlagRequired("to")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	_ = cmd.RegisterFlagCompletionFunc("to", cobra.FixedCompletions([]string{"kubernetes", "folder"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func migrateKeys(cmd *cobra.Command, path string, to config.KeyPlace) (err error) {
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	cfg, err := config.LoadKeys(path)
	if err != nil {
		return err
	}
	if cfg.Home == nil {
		return fmt.Errorf("%s: home: is missing; it says in which cluster and namespace the Secrets are", path)
	}
	client, err := cfg.Home.Client()
	if err != nil {
		return err
	}
	if err := datafolder.Check(cfg.DataDir); err != nil {
		return err
	}
	// For as long as it is open no server uses the data folder.
	store, err := gitstore.Open(gitstore.Config{Dir: datafolder.Repositories(cfg.DataDir)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	moved, err := keystore.Move{
		Folder: cfg.DataDir, Secrets: client.CoreV1().Secrets(cfg.Home.Namespace), Namespace: cfg.Home.Namespace,
		ToFolder: to == config.KeysInFolder, KeepHashKey: cfg.HashKeyFile != "", Now: time.Now,
	}.Run(cmd.Context())
	if err != nil {
		return err
	}
	return tellMoved(cmd.OutOrStdout(), cfg, path, to, moved)
}

func tellMoved(w io.Writer, cfg *config.Config, path string, to config.KeyPlace, m keystore.Moved) error {
	var told error
	say := func(format string, args ...any) {
		if told == nil {
			_, told = fmt.Fprintf(w, format+"\n", args...)
		}
	}
	switch hash := " and the hash key"; {
	case m.Before:
		say("all was moved from %s to %s before; nothing was done", m.From, m.To)
	default:
		if !m.HashKey {
			hash = ""
		}
		say("moved %d API keys of %d tenants%s from %s to %s, and read them back", m.Keys, m.Tenants, hash, m.From, m.To)
	}
	if cfg.HashKeyFile != "" {
		say("the hash key stays in %s, as hashKeyFile says", cfg.HashKeyFile)
	}
	if cfg.Keys != to {
		say("now set keys.store: %s in %s, and start the server", to, path)
	}
	say("when all is well, what was left behind can be removed:")
	for _, command := range m.Left {
		say("  %s", command)
	}
	return told
}
