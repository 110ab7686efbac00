package gitstore

import (
	"context"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/internal/gitdir/refs"
)

// BranchName names a branch, such as main or team/main.
type BranchName struct{ parsed }

// ParseBranchName parses the short name of a branch. A failure matches
// [definition.ErrInvalid].
func ParseBranchName(s string) (BranchName, error) {
	if _, err := refs.BranchRef(s); err != nil {
		return BranchName{}, &definition.FieldError{Field: "branch", Reason: err.Error()}
	}
	return BranchName{parsed{s}}, nil
}

// ref is the name as Git writes it in full.
func (b BranchName) ref() string { return refs.BranchFolder + b.s }

// Settings are what a tenant may have otherwise than the others. They can change
// while its repository is open.
type Settings struct {
	// Branch holds the definitions. Zero: main.
	Branch BranchName
	// AllowForcePush lets pushes drop commits of a branch, and delete the branch
	// that HEAD is. It is written into the repository's configuration, where Git
	// goes by it; what somebody set there by hand stays.
	AllowForcePush bool
	// Remote is where the repository is. Zero: in the data folder. What the folder
	// has of its own is never given up for a remote that doesn't have it.
	Remote Remote
	// Signatures say whose commits count.
	Signatures Signatures
}

func (s Settings) equal(o Settings) bool {
	return s.Branch == o.Branch && s.AllowForcePush == o.AllowForcePush && s.Signatures == o.Signatures && s.Remote.Equal(o.Remote)
}

func (s Settings) withDefaults() Settings {
	if s.Branch.IsZero() {
		s.Branch = BranchName{parsed{"main"}}
	}
	return s
}

// Configure says how a tenant's repository is to be kept, from now on if it is
// open, else once it is opened. Without it that is as the zero Settings say.
func (s *Store) Configure(t TenantName, settings Settings) {
	settings = settings.withDefaults()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settings[t] = settings
	if r := s.repositories[t]; r != nil && r.wanted.Swap(&settings) != nil {
		r.notice()
	}
}

// settingsOf returns what Configure said. The caller holds the lock.
func (s *Store) settingsOf(t TenantName) *Settings {
	settings := s.settings[t].withDefaults()
	return &settings
}

// reconfigure puts the settings in force that were wanted last.
func (r *Repository) reconfigure(ctx context.Context) error {
	wanted := r.wanted.Load()
	if wanted.equal(r.settings) {
		return nil
	}
	before := r.settings
	if wanted.Branch != r.settings.Branch {
		if err := r.git.SetRef(ctx, wanted.Branch.ref()); err != nil {
			return err
		}
		r.log.Info("another branch is followed", "tenant", r.tenant.s, "branch", wanted.Branch.s, "before", r.settings.Branch.s)
		// What is known of the old one says nothing of what happened to this one.
		r.switched, r.stuck, r.cached = true, stuck{}, object.Hash{}
		r.store.watcher.watch(r)
	}
	r.settings = *wanted
	if !wanted.Remote.Equal(before.Remote) || r.origin != nil && wanted.Branch != before.Branch {
		if err := r.attach(wanted.Remote); err != nil {
			r.settings.Remote = before.Remote // it is tried again
			return err
		}
		r.log.Info("another remote repository is followed", "tenant", r.tenant.s, "remote", wanted.Remote.String(), "before", before.Remote.String())
	}
	r.pushesTold = false
	r.tellPushes()
	return nil
}

// tellPushes has Git take or refuse pushes as the settings say.
func (r *Repository) tellPushes() {
	if r.pushesTold {
		return
	}
	err := r.git.AllowForcePush(r.settings.AllowForcePush)
	r.complain("allowForcePush could not be written into the repository's configuration; it is tried again", err)
	if r.pushesTold = err == nil; err != nil {
		// The cause names files, which are the operator's business.
		r.problems.set(r, pushProblem, "which pushes Git refuses could not be set; have the operator look into the log")
		return
	}
	r.problems.set(r, pushProblem)
}
