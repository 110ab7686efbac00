package config

import "time"

// Git is how repositories are served to stock git.
type Git struct {
	Serve   bool
	Command string
	Timeout time.Duration
	Idle    time.Duration
	MaxPush int64 // in bytes, as the next
	MaxSize int64 // of a repository
	Runs    int
	OfOne   int // tenant, at most
}

func (d *document) parseGit() Git {
	in := d.Git
	d.checkInterval("git.timeout", in.Timeout)
	d.checkInterval("git.idleTimeout", in.IdleTimeout)
	d.atLeast("git.maxPushMiB", float64(in.MaxPushMiB), 0)
	d.atLeast("git.maxRepositoryMiB", float64(in.MaxSizeMiB), 0)
	d.atLeast("git.concurrency", float64(in.Runs), 0)
	d.atLeast("git.concurrencyPerTenant", float64(in.OfTenant), 0)
	return Git{
		Serve:   in.Serve == nil || *in.Serve,
		Command: in.Command, Timeout: in.Timeout, Idle: in.IdleTimeout,
		MaxPush: in.MaxPushMiB << 20, MaxSize: in.MaxSizeMiB << 20, Runs: in.Runs, OfOne: in.OfTenant,
	}
}
