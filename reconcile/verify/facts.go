package verify

import (
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"secretsync/gitstore/definition"
)

// ErrNoCommit: the repository doesn't have that commit, any more or at all.
var ErrNoCommit = errors.New("no such commit")

// Place is where a copy stands, as the tenant names it.
type Place struct {
	Cluster   string `json:"cluster"`
	Namespace string `json:"namespace"`
	Secret    string `json:"secretName"`
}

func (p Place) String() string { return p.Cluster + "/" + p.Namespace + "/" + p.Secret }

// Definition is what a file of the repository asks for.
type Definition struct {
	Name     string
	Path     string
	Places   []Place
	Selected []Selection // the targets that select namespaces
	// Shape is what the file says of its copies besides; nil: nothing.
	Shape *definition.Shape
	// Invalid: the file at HEAD is no definition. The rest is its last valid
	// version, empty where there never was one.
	Invalid bool
}

// Selection is a target that selects namespaces. Those in which the server says that it
// stands are judged, that their labels match, and that it lacks none.
type Selection struct {
	Place    Place // with no namespace
	Selector definition.Selector
}

// declares reports whether a target is one that the definition names or may select.
func (d *Definition) declares(p Place) bool {
	return slices.Contains(d.Places, p) || d.selects(p, func(Selection) bool { return true })
}

// selects reports whether there is such a selection of which a target may come.
func (d *Definition) selects(p Place, such func(Selection) bool) bool {
	p.Namespace = ""
	return slices.ContainsFunc(d.Selected, func(s Selection) bool { return s.Place == p && such(s) })
}

// Claim is what the server says of one definition.
type Claim struct {
	Definition string
	Path       string  // the definition's, as the server has it
	Sync       []Place // likewise
	Phase      string
	Reason     string // of the condition Ready
	Targets    []TargetClaim
}

// TargetClaim is what the server says of one target.
type TargetClaim struct {
	Place
	State        string
	Reason       string
	LastSync     time.Time // zero: never
	VaultVersion int       // zero: not told
	Commit       string    // empty: not told
}

// Value is what the vault says of one path.
type Value struct {
	Found   bool
	Version int
	Created time.Time
	Gone    bool // deleted or destroyed
	// Unfit is the reason why it can't be copied, InvalidKey or ValueTooLarge;
	// else empty.
	Unfit string
	Data  Data
	Parts Parts
}

// Secret is a Secret as it stands.
type Secret struct {
	Type        string
	Owned       bool // has an owner reference
	Immutable   bool
	Labels      map[string]string
	Annotations map[string]string
	Data        Data
}

// Namespace is a namespace as it stands.
type Namespace struct {
	Exists      bool
	Terminating bool
	UID         string
	Labels      map[string]string
}

// Data is a Secret's data, with a digest in place of each value.
type Data map[string][sha256.Size]byte

// Digest makes digests of values.
func Digest(values map[string][]byte) Data {
	d := make(Data, len(values))
	for key, value := range values {
		d[key] = sha256.Sum256(value)
	}
	return d
}

// String keeps digests out of anything that is formatted: that of a password
// can be guessed.
func (Data) String() string { return "(data)" }

// GoString does the same.
func (Data) GoString() string { return "(data)" }
