package server

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"secretsync/cmd/secretsync/internal/config"
	"secretsync/gitstore"
	"secretsync/httpapi/audit"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sync/errgroup"
)

// settleTime is how long the configuration file must stay as it is before it
// is read: editors and config maps change a file in several steps.
const settleTime = 200 * time.Millisecond

// followConfig puts a changed configuration in force, on SIGHUP and when the
// file changes, until ctx ends. One that is wrong changes nothing. On SIGHUP the
// files that it names are looked at again as well.
func (p *Program) followConfig(ctx context.Context, running *config.Config) error {
	changed, missed, stop := p.watchConfig()
	defer stop()

	seen := p.source
	// It is looked at once without a cause: it may have changed during the start.
	settled := time.NewTimer(settleTime)
	defer settled.Stop()
	waiting, before := true, []byte(nil) // for settled, and what the file held when that began
	defer p.replica.coolDown()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.Hangup:
			seen = configSource(p.Path)
			p.audit.Reopen()
			running = p.reload(ctx, running)
			if p.reconciler != nil {
				p.reconciler.Reread()
			}
			if p.store != nil {
				p.store.Reread()
			}
			p.desk.Reread()
			p.proposals.Reread()
		case err := <-missed:
			p.log.Warn("a change of the configuration file may have been missed; send SIGHUP after a change", "error", err)
		case <-changed:
			// Not begun anew by each: another file of the folder, such as a log, may change all the time.
			if !waiting {
				waiting, before = true, configSource(p.Path)
				settled.Reset(settleTime)
			}
		case <-settled.C:
			content := configSource(p.Path)
			same := bytes.Equal(content, before)
			waiting, before = false, content
			switch {
			case content == nil || bytes.Equal(content, seen): // another file of the folder, or a step of a replacement
			case !same:
				waiting = true
				settled.Reset(settleTime)
			default:
				seen = content
				running = p.reload(ctx, running)
			}
		case <-p.replica.changed():
			p.rehold(ctx, running)
		case <-p.replica.retry():
			p.rehold(ctx, running)
		case w := <-p.replica.warmed():
			p.serveWarm(running, w)
		}
	}
}

// configSource returns what the configuration file holds. It is called before
// the file is parsed: a change in between is then taken for new once more, and
// never missed. A pipe, which can be read only once, is left alone: nil.
func configSource(path string) []byte {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return content
}

// watchConfig watches the folder of the configuration file rather than the
// file, which is usually replaced and not written. Where that can't be had the
// channels stay silent, and SIGHUP remains.
func (p *Program) watchConfig() (changed <-chan fsnotify.Event, missed <-chan error, stop func() error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		p.log.Warn("the configuration file is not watched; send SIGHUP after a change", "error", err)
		return nil, nil, func() error { return nil }
	}
	if err := watcher.Add(filepath.Dir(p.Path)); err != nil {
		p.log.Warn("the configuration file is not watched; send SIGHUP after a change", "error", err)
	}
	return watcher.Events, watcher.Errors, watcher.Close
}

// reload puts the configuration file in force and returns the configuration
// that is in force afterwards.
func (p *Program) reload(ctx context.Context, running *config.Config) *config.Config {
	next, err := config.Load(p.Path)
	if err != nil {
		p.audit.Record(audit.Event{Kind: audit.ConfigurationRefused})
		p.log.Error("the new configuration is refused; the old one stays in force", "error", err)
		return running
	}
	next.Reserve(p.home) // another one is in use only after a start
	if err := p.apply(ctx, next); err != nil {
		p.audit.Record(audit.Event{Kind: audit.ConfigurationRefused})
		p.log.Error("the new configuration is refused; the old one stays in force", "error", err)
		if err := p.apply(ctx, running); err != nil {
			p.log.Error("the old configuration can't be put back in force", "error", err)
		}
		return running
	}
	for _, warning := range next.Warnings {
		p.log.Warn("a file that the configuration names is not usable now; it is looked at again by itself", "warning", warning)
	}
	fields := running.NeedRestart(next)
	if len(fields) > 0 {
		p.log.Warn("these settings take effect at the next start", "fields", fields)
	}
	changes := running.Changes(next)
	if len(changes) == 0 {
		p.log.Info("the configuration is in force as before; the files it names are looked at again once a poll interval, and on SIGHUP now", "notYet", fields)
		return next
	}
	p.auditChanges(changes)
	p.log.Info("the new configuration is in force", "changed", changes, "notYet", fields, "tenants", len(next.Tenants), "clusters", len(next.Clusters))
	return next
}

// apply puts a configuration in force, for those tenants that are this replica's.
func (p *Program) apply(ctx context.Context, cfg *config.Config) error {
	r := p.replica
	if r == nil {
		p.configure(cfg.Tenants)
		return p.put(cfg)
	}
	r.pin(cfg)
	r.keep(cfg, func(t gitstore.TenantName) bool { return r.holding.Has(t) || r.holding.Comes(t) }, r.holding.Has)
	p.configure(r.narrow(cfg).Tenants)
	err := p.put(cfg)
	// Who came with the configuration is warmed like who came with a shard.
	p.warmUp(ctx, cfg)
	return err
}

// put replaces tenants, clusters, keys and limits; the repositories were told before
// (configure). When it is done nobody works for a tenant any more who is not in the
// configuration, or is not served by this replica. Who is told what he was told before goes
// on undisturbed: a replica does this for each shard that comes or goes.
func (p *Program) put(all *config.Config) error {
	cfg := p.replica.narrow(all)
	repositories, err := p.repositories(cfg)
	if err != nil {
		return err
	}
	told, err := p.reports(cfg, repositories)
	if err != nil {
		return err
	}
	checked, err := p.reviews(cfg, repositories)
	if err != nil {
		return err
	}
	proposable, err := p.proposable(cfg, repositories)
	if err != nil {
		return err
	}
	p.proposals.Assign(proposable)
	if err := p.reconciler.Reconfigure(p.reconcileConfig(cfg, repositories)); err != nil {
		return fmt.Errorf("reconciler: %w", err)
	}
	if err := p.api.Reconfigure(p.settings(cfg, repositories)); err != nil {
		return err
	}
	p.reporter.Reconfigure(told)
	p.desk.Assign(checked)
	// All at once, since each has a goroutine of its own that ends it, and waits for the disk.
	var closing errgroup.Group
	for _, tenant := range p.store.Tenants() {
		if repositories[tenant] != nil || p.replica != nil && p.replica.open[tenant] {
			continue
		}
		closing.Go(func() error {
			if err := p.store.CloseRepository(tenant); err != nil {
				p.log.Warn("the repository of a tenant who left was not closed in order", "tenant", tenant.String(), "error", err)
			}
			return nil
		})
	}
	return closing.Wait()
}
