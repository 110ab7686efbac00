package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"secretsync/cmd/secretsync/internal/scratch"
	"secretsync/cmd/secretsync/internal/server"
	"secretsync/gitstore/definition"
	"secretsync/httpapi/client"
)

func newDev() *cobra.Command {
	var given scratch.Given
	var namespace, dir string
	cmd := &cobra.Command{
		Use:   "dev [PATH...]",
		Short: "Try it with the cluster and the vault you have",
		Long: `Try secretsync without setting anything up: a tenant "dev" is made of the current
context of your kubeconfig, your vault token and a scratch repository, and served
on this machine. Each PATH of the vault becomes a definition, and its value a
Secret in the namespace, named by the last part of the path.

It acts with your own rights, in every namespace, keeps what it makes in a folder
that goes with it, and is for one person on one machine. The Secrets that it made
stay in the cluster; at the end it says how to remove them. For real use see
secretsync serve and secretsync key.

The kubeconfig, the vault's address and its token are those that kubectl and
vault use: KUBECONFIG, VAULT_ADDR, VAULT_TOKEN or ~/.vault-token, VAULT_CACERT,
VAULT_NAMESPACE.`,
		Example: `  secretsync dev production/db-password
  secretsync dev --kubeconfig ~/.kube/config --vault-addr https://127.0.0.1:8200 --mount kv db smtp`,
		RunE: func(cmd *cobra.Command, paths []string) (err error) {
			if dir == "" {
				if dir, err = os.MkdirTemp("", "secretsync-dev-"); err != nil {
					return err
				}
				defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
			} else if err := os.MkdirAll(dir, 0o700); err != nil {
				return fmt.Errorf("--dir: %w", err)
			}
			made, err := scratch.Make(dir, given, os.Getenv)
			if err != nil {
				return err
			}
			if namespace == "" {
				namespace = made.Namespace
			}
			wanted, err := definitionsOf(paths, namespace)
			if err != nil {
				return err
			}
			d := &trial{made: made, out: cmd.OutOrStdout(), wanted: wanted, begun: time.Now(),
				client: &client.Client{URL: "http://" + given.Listen, Tenant: scratch.Tenant, Key: made.Key, Patience: -1}}
			return d.run(cmd.Context(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&given.Kubeconfig, "kubeconfig", "", "the kubeconfig (default as kubectl)")
	flags.StringVar(&given.Context, "context", "", "its context (default the current one)")
	flags.StringVar(&given.Vault, "vault-addr", "", "the vault's address (default VAULT_ADDR)")
	flags.StringVar(&given.Mount, "mount", "secret", "the KV v2 mount")
	flags.StringVar(&given.Prefix, "prefix", "", "the path in it below which every PATH lies")
	flags.StringVarP(&namespace, "namespace", "n", "", "where the Secrets go (default the context's)")
	flags.StringVar(&given.Listen, "listen", "127.0.0.1:8080", "where the API listens")
	flags.StringVar(&dir, "dir", "", "keep repository and keys here, to go on another time (default a folder that goes with it)")
	_ = cmd.MarkFlagFilename("kubeconfig")
	_ = cmd.MarkFlagDirname("dir")
	return cmd
}

// wantedDefinition is a definition as the API takes it.
type wantedDefinition struct {
	Name       string         `json:"name"`
	SecretPath string         `json:"secretPath"`
	Sync       []wantedTarget `json:"sync"`
}

type wantedTarget struct {
	Cluster   string `json:"cluster"`
	Namespace string `json:"namespace"`
}

// definitionsOf makes a definition of each path, named by its last part.
func definitionsOf(paths []string, namespace string) (wanted []wantedDefinition, err error) {
	if _, err := definition.ParseNamespace(namespace); err != nil {
		return nil, fmt.Errorf("--namespace: %w", err)
	}
	for _, p := range paths {
		if _, err := definition.ParseSecretPath(p); err != nil {
			return nil, fmt.Errorf("%.80q: %w", p, err)
		}
		name := strings.ToLower(path.Base(p))
		if _, err := definition.ParseName(name); err != nil {
			return nil, fmt.Errorf("%q can't name a definition: %w; begin without paths and create it by the API", name, err)
		}
		if i := slices.IndexFunc(wanted, func(w wantedDefinition) bool { return w.Name == name }); i >= 0 {
			return nil, fmt.Errorf("%s and %s would both be the Secret %s; give one of them, and create the other by the API", wanted[i].SecretPath, p, name)
		}
		wanted = append(wanted, wantedDefinition{name, p, []wantedTarget{{scratch.Cluster, namespace}}})
	}
	return wanted, nil
}

// trial is a server on this machine for the one who typed the command.
type trial struct {
	made   *scratch.Made
	wanted []wantedDefinition
	client *client.Client
	out    io.Writer
	begun  time.Time
}

func (d *trial) run(ctx context.Context, stderr io.Writer) error {
	p, cfg, err := server.Load(server.Config{Path: d.made.Config, Version: buildVersion(), Build: buildMetric()})
	if err != nil {
		return err
	}
	// Better before anything is shown than after.
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("%w; choose another address with --listen", err)
	}
	if err := listener.Close(); err != nil {
		return err
	}
	d.printf("Cluster    %s (context %s)\nVault      %s\nAPI        %s\nRepository %s\n\n", d.made.Server, d.made.Context, d.made.Vault, d.client.URL, d.made.Repository)
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return p.Run(inner, cfg, stderr) })
	group.Go(func() error {
		if err := d.show(inner); err != nil && inner.Err() == nil {
			return err
		}
		return nil
	})
	err = group.Wait()
	if len(d.wanted) > 0 && err == nil {
		d.printf("\nThe Secrets stay. To remove them all:\n  kubectl --context %s delete secrets -A -l app.kubernetes.io/managed-by=secretsync,secretsync.dev/tenant=%s\n", d.made.Context, scratch.Tenant)
	}
	return err
}

// show brings the definitions in, says how each came out, and what can be done
// then.
func (d *trial) show(ctx context.Context) error {
	if err := d.ready(ctx); err != nil {
		return err
	}
	for _, w := range d.wanted {
		if err := d.bring(ctx, w); err != nil {
			return err
		}
	}
	d.printf("\nWhat you can do now: open %[1]s in a browser and sign in with the key %[2]s\nOr, in another terminal:\n\n"+
		"  export SECRETSYNC=%[1]s KEY=%[2]s\n"+
		"  export SECRETSYNC_URL=$SECRETSYNC SECRETSYNC_TENANT=%[3]s SECRETSYNC_KEY=$KEY\n"+
		"  secretsync status; secretsync edit NAME; secretsync history NAME --patch\n"+
		"  curl -sS -H \"Authorization: Bearer $KEY\" $SECRETSYNC/api/v1/tenants/%[3]s/secrets\n"+
		"  git clone %[4]s && ls %[4]s/secrets\n\n"+
		"A change pushed to the repository is synced at once, a new value in the vault within 5 seconds.\nCtrl-C ends it.\n",
		d.client.URL, d.made.Key, scratch.Tenant, d.made.Repository)
	return nil
}

// ready waits until the server takes requests.
func (d *trial) ready(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := d.client.GetTenant(ctx)
		answered, ok := errors.AsType[*client.Error](err)
		if _, refused := errors.AsType[*url.Error](err); err == nil || ok && answered.Status != http.StatusServiceUnavailable || !ok && !refused {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// bring makes a definition, unless it is there from another time, and waits
// until its Secret is right.
func (d *trial) bring(ctx context.Context, w wantedDefinition) error {
	encoded, err := json.Marshal(w)
	if err != nil {
		return err
	}
	if _, err := d.client.CreateSecret(ctx, encoded, client.WriteOptions{}); err != nil && client.StatusOf(err) != http.StatusConflict {
		return err
	}
	stands, err := d.client.GetSecret(ctx, w.Name, client.WaitOptions{For: "Active", Timeout: 15 * time.Second})
	if err != nil {
		return err
	}
	for i, t := range stands.Status.SyncStatuses {
		place := w.Name
		if i < len(w.Sync) {
			place = w.Sync[i].Namespace + "/" + w.Name
		}
		if t.State == "Synced" && t.VaultVersion != nil {
			d.printf("Secret %s holds version %d of %s, %.1f s after the start\n", place, *t.VaultVersion, w.SecretPath, time.Since(d.begun).Seconds())
			continue
		}
		d.printf("Secret %s is not there yet: %s: %s\n  what to do: secretsync explain %[2]s\n", place, t.Reason, t.Message)
	}
	return nil
}

func (d *trial) printf(format string, args ...any) { fmt.Fprintf(d.out, format, args...) }
