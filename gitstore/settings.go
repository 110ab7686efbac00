package gitstore

import (
	"cmp"
	"time"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/gitdir/refs"
	"secretsync/gitstore/internal/remote"
	"secretsync/gitstore/internal/trust"
)

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

// RemoteSettings say where a remote repository is and how it is reached; see
// [ParseRemote].
type RemoteSettings = remote.Settings

// GitHubApp is an installation of a GitHub App, which lets a server in instead of
// a person's password.
type GitHubApp = remote.App

// Remote is where a tenant's repository is, if that is not the folder. Only
// [ParseRemote] makes one; the zero Remote is none.
type Remote struct {
	settings RemoteSettings
	endpoint *remote.Endpoint
	poll     time.Duration
}

// defaultRemotePoll is how often a remote is asked for its branch.
const defaultRemotePoll = 30 * time.Second

// ParseRemote checks settings, and reads no file yet: those that it names are read
// when they are needed, and again when they change. Poll is how often the remote
// is asked where its branch is, besides by [Repository.Hint]; zero: 30 seconds. An
// error names the setting and shows nothing that may be secret.
func ParseRemote(settings RemoteSettings, poll time.Duration) (Remote, error) {
	endpoint, err := remote.ParseEndpoint(settings)
	if err != nil {
		return Remote{}, err
	}
	return Remote{settings: settings, endpoint: &endpoint, poll: cmp.Or(poll, defaultRemotePoll)}, nil
}

// IsZero reports whether there is no remote.
func (r Remote) IsZero() bool { return r.endpoint == nil }

// String returns the URL with nothing secret in it; nothing for none.
func (r Remote) String() string {
	if r.IsZero() {
		return ""
	}
	return r.endpoint.String()
}

// Equal reports whether two are reached alike.
func (r Remote) Equal(o Remote) bool { return r.settings == o.settings && r.poll == o.poll }

// Signatures say whose commits count. The zero value: everybody's. The files are
// read again when they change.
type Signatures struct {
	// AllowedSignersFile lists SSH keys, as ssh-keygen(1) describes it under ALLOWED
	// SIGNERS. Empty: none.
	AllowedSignersFile string
	// OpenPGPKeysFile holds public keys, armored or as a keyring. Empty: none.
	OpenPGPKeysFile string
	// Since is a commit on the first-parent line that counts with all before it.
	// Zero: all of history has to be signed.
	Since catalog.Revision
}

func (s Signatures) rules() trust.Rules {
	rules := trust.Rules{AllowedSignersFile: s.AllowedSignersFile, OpenPGPKeysFile: s.OpenPGPKeysFile}
	if !s.Since.IsZero() {
		rules.Since = s.Since.Hash()
	}
	return rules
}

// parsed is the hidden content of a parsed word: it can be read, compared and
// marshalled, but outside this package only a Parse function can make one, so a
// non-zero value is always well-formed.
type parsed struct{ s string }

// String returns the word as it was written.
func (p parsed) String() string { return p.s }

// IsZero reports whether the word was never set.
func (p parsed) IsZero() bool { return p.s == "" }

// MarshalText lets parsed words stand in JSON and YAML and as map keys.
func (p parsed) MarshalText() ([]byte, error) { return []byte(p.s), nil }

// TenantName names a tenant: a DNS label. It is also the name of the tenant's
// repository in the data folder.
type TenantName struct{ parsed }

// ParseTenantName parses a tenant's name. A failure matches [definition.ErrInvalid].
func ParseTenantName(s string) (TenantName, error) {
	if err := definition.CheckLabel("tenant", s, 1); err != nil {
		return TenantName{}, err
	}
	return TenantName{parsed{s}}, nil
}

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
