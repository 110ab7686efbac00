package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"secretsync/cmd/secretsync/internal/config"
	"secretsync/cmd/secretsync/internal/telemetry"
	"secretsync/gitstore"
	"secretsync/gitstore/durable"
	"secretsync/httpapi"
	"secretsync/httpapi/audit"
	"secretsync/httpapi/githttp"
	"secretsync/reconcile"
	"secretsync/reconcile/proposal"
	"secretsync/reconcile/report"
	"secretsync/reconcile/review"
)

func newServe() *cobra.Command {
	var path string
	var check bool
	cmd := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Run the server: the API and the reconciler",
		Long: `Run the server until it is interrupted. A complete configuration with the
meaning of each field is examples/secretsync.yaml in the source.

The configuration is read again on SIGHUP and when the file changes. One that is
wrong is refused, with its cause in the log, and the old one stays in force. The
files that it names (certificates, tokens, kubeconfigs) are looked at again once a
poll interval, and on SIGHUP; one that is missing or bad stops nobody but who
needs it.`,
		Example: `  secretsync serve --config /etc/secretsync/secretsync.yaml
  secretsync serve --config secretsync.yaml --check`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// From the beginning: till it is asked for, SIGHUP ends the program.
			hangup := make(chan os.Signal, 1)
			signal.Notify(hangup, syscall.SIGHUP)
			defer signal.Stop(hangup)
			p := &program{path: path, source: configSource(path), hangup: hangup}
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			if check {
				for _, warning := range cfg.Warnings {
					fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", warning)
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: is right: %d tenants, %d clusters\n", path, len(cfg.Tenants), len(cfg.Clusters))
				return err
			}
			return p.serve(cmd.Context(), cfg, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "the configuration file")
	cmd.Flags().BoolVar(&check, "check", false, "check the configuration and end")
	_ = cmd.MarkFlagRequired("config")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	return cmd
}

// program is the running server's parts, put together from a configuration.
type program struct {
	path       string
	source     []byte // what path held when it was parsed first
	hangup     <-chan os.Signal
	log        *slog.Logger
	store      *gitstore.Store
	reconciler *reconcile.Reconciler
	server     *httpapi.Server
	reporter   *report.Reporter
	forges     map[gitstore.TenantName]forgeClient
	hooks      map[gitstore.TenantName]tenantHook
	git        *githttp.Server // nil: repositories are not served
	keys       keyring
	registry   *prometheus.Registry
	audit      *audit.Log         // nil: there is none
	tracing    *telemetry.Tracing // nil: nothing is traced
	desk       review.Desk        // of those who check pull requests
	proposals  proposal.Desk
	replica    *replica // nil: the only one
}

// serve runs until ctx ends or a part fails, and returns when every part has
// ended.
func (p *program) serve(ctx context.Context, cfg *config.Config, stderr io.Writer) (err error) {
	if err := checkDataFormat(cfg.DataDir); err != nil {
		return err
	}
	p.log, p.registry = newLog(cfg, stderr), prometheus.NewRegistry()
	// client-go writes lines of its own making; what they tell stands in ours.
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	if err := pingClusters(); err != nil {
		return err
	}
	boundGarbage()
	p.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		buildMetric(),
	)
	if err := p.openAudit(cfg); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.audit.Close()) }()
	if err := p.openTracing(cfg); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.tracing.Close()) }()
	if err := durable.MkdirAll(cfg.DataDir); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	p.store, err = gitstore.Open(gitstore.Config{
		Dir:            filepath.Join(cfg.DataDir, "repositories"),
		Committer:      cfg.Committer,
		SigningKey:     cfg.SigningKey,
		MaxDefinitions: cfg.Definitions,
		MaxMirror:      cfg.Mirror,
		Log:            p.log,
		Metrics:        p.registry,
		Published:      p.auditSnapshots(),
		Tracer:         p.tracing.Tracer(),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.store.Close()) }()
	if p.keys, err = p.openKeys(ctx, cfg); err != nil {
		if ctx.Err() != nil {
			return nil // it was told to end while it waited
		}
		return err
	}
	if err := noteDataFormat(cfg.DataDir); err != nil {
		return err
	}
	// What a process made that died before it synced is on disk before it is used.
	if err := durable.SyncDir(cfg.DataDir); err != nil {
		return fmt.Errorf("sync the data folder: %w", err)
	}
	if p.replica, err = p.newReplica(cfg); err != nil {
		return err
	}
	if err := p.assemble(p.replica.narrow(cfg)); err != nil {
		return err
	}

	p.log.Info("starting", "version", buildVersion(), "tenants", len(cfg.Tenants), "clusters", len(cfg.Clusters))
	p.audit.Record(audit.Event{Kind: audit.Started, Release: buildVersion()})
	if err := p.run(ctx, cfg); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	p.log.Info("stopped")
	p.audit.Record(audit.Event{Kind: audit.Stopped})
	return nil
}

// run runs all parts until ctx ends or one fails. The server ends first: as long as it
// answers there is somebody behind it who works. What is held among replicas is given up
// last, when nobody works any more.
func (p *program) run(ctx context.Context, cfg *config.Config) error {
	all, fail := context.WithCancelCause(context.WithoutCancel(ctx))
	end := func() { fail(nil) }
	defer end()
	leave, err := p.join(ctx, fail)
	if err != nil {
		return err
	}
	defer leave()
	group, work := errgroup.WithContext(all)
	group.Go(func() error {
		defer end()
		serving, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(work, cancel)()
		if p.replica != nil {
			defer context.AfterFunc(ctx, p.replica.Leave)()
		}
		return p.server.Run(serving)
	})
	group.Go(func() error { return p.keys.run(work) })
	group.Go(func() error { return p.reconciler.Run(work) })
	group.Go(func() error { return p.reporter.Run(work) })
	group.Go(func() error { return p.desk.Run(work) })
	group.Go(func() error { return p.proposals.Run(work) })
	group.Go(func() error { return p.followConfig(work, cfg) })
	if err := group.Wait(); err != nil {
		return err
	}
	return context.Cause(all)
}

// pingClusters has the connections to clusters asked for a sign of life after
// a few seconds of silence, so that the status does not go on saying Synced of a
// cluster that hangs. client-go waits 45 s in all, and takes other times from
// the environment alone; what an operator set there stands.
func pingClusters() error {
	for name, seconds := range map[string]string{"HTTP2_READ_IDLE_TIMEOUT_SECONDS": "5", "HTTP2_PING_TIMEOUT_SECONDS": "5"} {
		if os.Getenv(name) != "" {
			continue
		}
		if err := os.Setenv(name, seconds); err != nil {
			return err
		}
	}
	return nil
}

// boundGarbage has memory collected a little earlier than Go does by itself: most of it
// is what is known of each target, which stays. With 100,000 of them 440 MiB are
// resident in place of some 520, and at most 487. What an operator set stands.
func boundGarbage() {
	const percent = 80
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

func newLog(cfg *config.Config, stderr io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogJSON {
		return slog.New(slog.NewJSONHandler(stderr, options))
	}
	return slog.New(slog.NewTextHandler(stderr, options))
}

// assemble makes the reconciler and the HTTP server over the store.
func (p *program) assemble(cfg *config.Config) error {
	repositories, err := p.repositories(cfg)
	if err != nil {
		return err
	}
	if p.reconciler, err = reconcile.New(p.reconcileConfig(cfg, repositories)); err != nil {
		return err
	}
	if p.reporter, err = p.newReporter(cfg); err != nil {
		return err
	}
	told, err := p.reports(cfg, repositories)
	if err != nil {
		return err
	}
	p.reporter.Reconfigure(told)
	checked, err := p.reviews(cfg, repositories)
	if err != nil {
		return err
	}
	p.desk.Assign(checked)
	proposable, err := p.proposable(cfg, repositories)
	if err != nil {
		return err
	}
	p.proposals.Assign(proposable)
	served, err := p.serveGit(cfg)
	if err != nil {
		return err
	}
	p.server, err = httpapi.New(httpapi.Config{
		Settings:      p.settings(cfg, repositories),
		Git:           served,
		Reconciler:    p.reconciler,
		KeyStore:      p.keys.api,
		UsageFile:     filepath.Join(cfg.DataDir, "keys-used.json"),
		Listen:        cfg.Listen,
		MetricsListen: cfg.MetricsListen,
		Drain:         cfg.Drain,
		Replicas:      p.replicas(cfg),
		Console:       cfg.Console,
		Audit:         p.auditor(),
		AuditNoReads:  cfg.Audit.NoReads,
		Profiles:      cfg.Pprof,
		Tracer:        p.tracing.Tracer(),
		CertFile:      cfg.TLSCert,
		KeyFile:       cfg.TLSKey,
		Log:           p.log,
		Metrics:       p.registry,
	})
	return err
}

// repositories has the repository of every tenant opened, and waits for none:
// those that aren't open yet, or can't be opened, say so themselves.
func (p *program) repositories(cfg *config.Config) (map[gitstore.TenantName]*gitstore.Repository, error) {
	repositories := make(map[gitstore.TenantName]*gitstore.Repository, len(cfg.Tenants))
	for _, t := range cfg.Tenants {
		p.store.Configure(t.Name, t.Repository)
		r, err := p.store.Repository(t.Name)
		if err != nil {
			return nil, fmt.Errorf("the repository of tenant %s: %w", t.Name, err)
		}
		repositories[t.Name] = r
	}
	return repositories, nil
}

func (p *program) reconcileConfig(cfg *config.Config, repositories map[gitstore.TenantName]*gitstore.Repository) reconcile.Config {
	rc := reconcile.Config{
		Clusters:     cfg.Clusters,
		HashKey:      p.keys.hash,
		PollInterval: cfg.PollInterval, MinRefreshInterval: cfg.MinRefresh,
		Workers:   cfg.Workers,
		ValueRead: p.auditValues(),
		Tracer:    p.tracing.Tracer(),
		Log:       p.log,
		Metrics:   p.registry,
	}
	for _, t := range cfg.Tenants {
		rc.Tenants = append(rc.Tenants, reconcile.Tenant{
			Name:         t.Name,
			Repository:   repositories[t.Name],
			Vault:        t.Vault,
			Clusters:     t.Grants,
			PollInterval: t.PollInterval, MinRefreshInterval: t.MinRefresh,
			Suspend: t.Suspend, Brake: &t.Brake, May: p.may(t.Name),
		})
	}
	return rc
}

func (p *program) settings(cfg *config.Config, repositories map[gitstore.TenantName]*gitstore.Repository) httpapi.Settings {
	s := httpapi.Settings{Limits: cfg.Limits, TrustedProxies: cfg.TrustedProxies}
	p.hooks = p.tenantHooks(cfg, repositories)
	for _, t := range cfg.Tenants {
		s.Tenants = append(s.Tenants, httpapi.Tenant{
			Name: t.Name, DisplayName: t.DisplayName, Repository: repositories[t.Name], Clone: p.clone(cfg, t),
			Proposals: p.proposer(t), ProposeOnly: t.ProposeOnly, Hook: p.hooks[t.Name].Hook,
		})
		s.Keys = append(s.Keys, t.Keys...)
	}
	for _, t := range cfg.Elsewhere {
		s.Elsewhere = append(s.Elsewhere, t.Name)
		s.Keys = append(s.Keys, t.Keys...)
	}
	return s
}
