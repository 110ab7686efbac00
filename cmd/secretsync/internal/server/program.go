package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"secretsync/cmd/secretsync/internal/config"
	"secretsync/cmd/secretsync/internal/datafolder"
	"secretsync/cmd/secretsync/internal/telemetry"
	"secretsync/gitstore"
	"secretsync/gitstore/durable"
	"secretsync/httpapi"
	"secretsync/httpapi/audit"
	"secretsync/httpapi/githttp"
	"secretsync/httpapi/tenants"
	"secretsync/reconcile"
	"secretsync/reconcile/proposal"
	"secretsync/reconcile/report"
	"secretsync/reconcile/review"
)

// Config is what a [Program] is told beside its configuration file.
type Config struct {
	// Path is the configuration file.
	Path string
	// Hangup asks for the file to be read again, and for those that it names. Nil: nobody asks.
	Hangup <-chan os.Signal
	// Version is that of this program, for the log, the audit stream and traces. Build, which
	// is required, tells dashboards of it.
	Version string
	Build   prometheus.Collector
}

// Load reads the configuration file: [Program.Run] is to be told what it says. A change that is
// made from now on is noticed.
func Load(c Config) (*Program, *config.Config, error) {
	p := &Program{Config: c, source: configSource(c.Path)}
	cfg, err := config.Load(c.Path)
	return p, cfg, err
}

// Program is the running server's parts, put together from a configuration.
type Program struct {
	Config
	source     []byte // what Path held when it was parsed first
	log        *slog.Logger
	store      *gitstore.Store
	reconciler *reconcile.Reconciler
	api        *httpapi.Server
	reporter   *report.Reporter
	forges     map[gitstore.TenantName]forgeClient
	hooks      map[gitstore.TenantName]tenantHook
	git        *githttp.Server // nil: repositories are not served
	home       *config.Home    // that it started with, and works with; nil: none
	keys       keyring
	registry   *prometheus.Registry
	audit      *audit.Log         // nil: there is none
	tracing    *telemetry.Tracing // nil: nothing is traced
	desk       review.Desk        // of those who check pull requests
	proposals  proposal.Desk
	replica    *replica // nil: the only one
}

// Run runs with a configuration, which another one may take the place of, until ctx ends or a
// part fails. It returns when every part has ended.
func (p *Program) Run(ctx context.Context, cfg *config.Config, stderr io.Writer) (err error) {
	if err := datafolder.Check(cfg.DataDir); err != nil {
		return err
	}
	p.home = cfg.Home
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
		p.Build,
		&p.desk,
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
		Dir:            datafolder.Repositories(cfg.DataDir),
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
	if err := datafolder.Note(cfg.DataDir); err != nil {
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

	p.log.Info("starting", "version", p.Version, "tenants", len(cfg.Tenants), "clusters", len(cfg.Clusters))
	p.audit.Record(audit.Event{Kind: audit.Started, Release: p.Version})
	if err := p.runParts(ctx, cfg); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	p.log.Info("stopped")
	p.audit.Record(audit.Event{Kind: audit.Stopped})
	return nil
}

// runParts runs all parts until ctx ends or one fails. What is held among replicas is handed over
// first, while all goes on. Then the server ends: as long as it answers there is somebody behind
// it who works. What could not be handed over is given up last, when nobody works any more.
func (p *Program) runParts(ctx context.Context, cfg *config.Config) error {
	all, fail := context.WithCancelCause(context.WithoutCancel(ctx))
	end := func() { fail(nil) }
	defer end()
	leave, err := p.join(ctx, fail)
	if err != nil {
		return err
	}
	defer leave()
	group, work := errgroup.WithContext(all)
	serving, endServing := context.WithCancel(work)
	group.Go(func() error {
		defer endServing()
		select {
		case <-ctx.Done():
			p.replica.handOver(work)
		case <-work.Done():
		}
		return nil
	})
	group.Go(func() error {
		defer end()
		return p.api.Run(serving)
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
// is what is known of each target, which stays. With 100,000 of them 510 MiB are
// resident, and 635 at most while they are synced. What an operator set stands.
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
func (p *Program) assemble(cfg *config.Config) error {
	p.configure(cfg.Tenants)
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
	p.api, err = httpapi.New(httpapi.Config{
		Settings:      p.settings(cfg, repositories),
		Git:           served,
		Reconciler:    p.reconciler,
		KeyStore:      p.keys.api,
		UsageFile:     datafolder.KeysUsed(cfg.DataDir),
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

// configure says how the repositories of tenants are kept. Each of them looks at its branch
// because of it, which for hundreds takes its time.
func (p *Program) configure(tenants []config.Tenant) {
	for _, t := range tenants {
		p.store.Configure(t.Name, t.Repository)
	}
}

// repositories has the repository of every tenant opened, and waits for none:
// those that aren't open yet, or can't be opened, say so themselves.
func (p *Program) repositories(cfg *config.Config) (map[gitstore.TenantName]*gitstore.Repository, error) {
	repositories := make(map[gitstore.TenantName]*gitstore.Repository, len(cfg.Tenants))
	for _, t := range cfg.Tenants {
		r, err := p.store.Repository(t.Name)
		if err != nil {
			return nil, fmt.Errorf("the repository of tenant %s: %w", t.Name, err)
		}
		repositories[t.Name] = r
	}
	return repositories, nil
}

func (p *Program) reconcileConfig(cfg *config.Config, repositories map[gitstore.TenantName]*gitstore.Repository) reconcile.Config {
	rc := reconcile.Config{
		Clusters:     cfg.Clusters,
		HashKey:      p.keys.hash,
		PollInterval: cfg.PollInterval, MinRefreshInterval: cfg.MinRefresh,
		SelectedNamespaces: cfg.Selected,
		Workers:            cfg.Workers,
		ValueRead:          p.auditValues(),
		Tracer:             p.tracing.Tracer(),
		Log:                p.log,
		Metrics:            p.registry,
	}
	for _, t := range cfg.Tenants {
		rc.Tenants = append(rc.Tenants, reconcile.Tenant{
			Name:         t.Name,
			Repository:   repositories[t.Name],
			Vault:        t.Vault,
			Clusters:     t.Grants,
			PollInterval: t.PollInterval, MinRefreshInterval: t.MinRefresh,
			SelectedNamespaces: t.Selected,
			Suspend:            t.Suspend, Brake: &t.Brake, May: p.may(t.Name),
		})
	}
	return rc
}

func (p *Program) settings(cfg *config.Config, repositories map[gitstore.TenantName]*gitstore.Repository) httpapi.Settings {
	s := httpapi.Settings{Limits: cfg.Limits, TrustedProxies: cfg.TrustedProxies}
	p.hooks = p.tenantHooks(cfg, repositories)
	for _, t := range cfg.Tenants {
		s.Tenants = append(s.Tenants, tenants.Tenant{
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
