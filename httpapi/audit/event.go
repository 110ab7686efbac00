package audit

import "time"

// Kind says what a line tells of.
type Kind string

// The kinds. A request that succeeds with one of the middle group is that, and no
// [Access] as well.
const (
	Access Kind = "access" // a right key was used
	Denied Kind = "denied" // a request was refused for who made it, or how often

	SignedIn           Kind = "signed-in"
	SignedOut          Kind = "signed-out"
	KeyMade            Kind = "key-made"
	KeyRevoked         Kind = "key-revoked"
	DefinitionsWritten Kind = "definitions-written"
	Proposed           Kind = "proposed"
	Pushed             Kind = "pushed"
	DeletionsReleased  Kind = "deletions-released"
	OrphanRemoved      Kind = "orphan-removed"

	DefinitionsChanged   Kind = "definitions-changed" // another commit is in force
	ValueRead            Kind = "value-read"
	ConfigurationChanged Kind = "configuration-changed"
	ConfigurationRefused Kind = "configuration-refused"
	Started              Kind = "started"
	Stopped              Kind = "stopped"
	Lost                 Kind = "lost" // lines before this one could not be written
)

// Kinds are all of them.
func Kinds() []Kind {
	return []Kind{
		Access, Denied, SignedIn, SignedOut, KeyMade, KeyRevoked, DefinitionsWritten, Proposed, Pushed, DeletionsReleased, OrphanRemoved,
		DefinitionsChanged, ValueRead, ConfigurationChanged, ConfigurationRefused, Started, Stopped, Lost,
	}
}

// Reason says why a request was denied.
type Reason string

// The reasons.
const (
	NoKey       Reason = "no-key"
	WrongKey    Reason = "wrong-key"
	ExpiredKey  Reason = "expired-key"
	WrongTenant Reason = "wrong-tenant"
	WrongRole   Reason = "wrong-role"
	NotGenuine  Reason = "not-genuine" // what a forge sends, without the right signature
	Limited     Reason = "limited"     // too many requests, or too many wrong keys before
)

// Reasons are all of them.
func Reasons() []Reason {
	return []Reason{NoKey, WrongKey, ExpiredKey, WrongTenant, WrongRole, NotGenuine, Limited}
}

// Event is one line. A field that says nothing is left out of it.
type Event struct {
	Time time.Time `json:"time"` // UTC; set by [Log.Record] where it is zero
	Kind Kind      `json:"event"`

	// Of a request:
	RequestID   string `json:"request_id,omitempty"`
	Remote      string `json:"remote,omitempty"` // address, as limits count it
	Method      string `json:"method,omitempty"`
	Route       string `json:"route,omitempty"` // the pattern, never the path
	Status      int    `json:"status,omitempty"`
	Tenant      string `json:"tenant,omitempty"`
	Key         string `json:"key,omitempty"` // id of the API key
	Role        string `json:"role,omitempty"`
	Reason      Reason `json:"reason,omitempty"`
	ClaimedKey  string `json:"claimed_key,omitempty"`  // id of one of ours whose secret was not shown
	AskedTenant string `json:"asked_tenant,omitempty"` // that a key gave no access to
	Repeated    int    `json:"repeated,omitempty"`     // as many more before it were not told one by one

	// What was done, or done to:
	Name       string   `json:"name,omitempty"` // of a definition
	Operations int      `json:"operations,omitempty"`
	Subject    string   `json:"subject,omitempty"` // a key's id, a list of deletions, cluster/namespace/Secret
	Branch     string   `json:"branch,omitempty"`
	Commit     string   `json:"commit,omitempty"`
	Previous   string   `json:"previous,omitempty"`   // the commit that was in force before
	References []string `json:"references,omitempty"` // that a push asked for: name, and old..new or refused
	Changed    []string `json:"changed,omitempty"`    // definitions, or settings
	More       int      `json:"more,omitempty"`       // than Changed has room for
	Path       string   `json:"path,omitempty"`       // in the vault, with mount and prefix
	Version    int      `json:"version,omitempty"`    // of the value

	Release string     `json:"release,omitempty"` // of secretsync
	Count   int        `json:"count,omitempty"`   // of lines that are lost
	Since   *time.Time `json:"since,omitempty"`   // they are lost
}
