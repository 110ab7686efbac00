package definition

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"secretsync/gitstore/definition/internal/spelling"
)

// Shape is what a definition says of its copies besides what they are copies of
// and where they stand. Nil says nothing: an Opaque Secret with every key of the
// value as it is, ours as a whole, that stays when its target goes. A zero field
// was not given, which stands for its default and is told apart from it, so that
// an answer gives back what was sent. All methods take nil.
type Shape struct {
	Type SecretType // zero: Opaque
	Mode Mode       // empty: ModeOwn
	// Data says key by key what the copy holds, sorted by Key; nil: every key of
	// the value.
	Data []DataKey
	// Labels and Annotations stand on the copy beside ours; nil: not given.
	Labels, Annotations map[string]string
	DeletionPolicy      DeletionPolicy // empty: Retain
	Suspend             *bool          // nil: not given
	// RefreshInterval is how often the vault is asked; zero: as often as for the
	// tenant's other paths.
	RefreshInterval Interval
}

// Mode says whose the data of a copy are.
type Mode string

// The modes.
const (
	ModeOwn   Mode = "Own"   // ours as a whole
	ModeMerge Mode = "Merge" // only the keys that Data names; the others are left alone
)

// DeletionPolicy says what becomes of a copy whose target is gone.
type DeletionPolicy string

// The policies.
const (
	Retain DeletionPolicy = "Retain" // it stays, with its labels
	Delete DeletionPolicy = "Delete" // it goes, if it is proven to be ours
)

// Decoding is how a value is turned into the bytes of a copy.
type Decoding string

// The decodings; empty is none.
const (
	Base64    Decoding = "base64"
	Base64URL Decoding = "base64url"
	Hex       Decoding = "hex"
)

// DataKey says what stands under one key of a copy: a key of a value, a field in
// it, its bytes; or a text that a template composes.
type DataKey struct {
	Key string // of the copy
	// Path is where the value lies; zero: at the definition's secretPath.
	Path     SecretPath
	From     string // the key of the value; empty only with Template
	Field    string // a field within it, such as server.port; empty: the whole of it
	Decode   Decoding
	Template string // instead of From; empty where From is given
}

// SecretType is the type of a Kubernetes Secret, such as kubernetes.io/tls.
type SecretType struct{ text }

// Interval is a time span as somebody wrote it, such as 90s.
type Interval struct {
	text
	d time.Duration
}

// Duration is how long it is.
func (i Interval) Duration() time.Duration { return i.d }

// Selector selects namespaces by their labels. Two with the same meaning written
// in the same order are equal.
type Selector struct{ text } // canonical JSON of a Kubernetes LabelSelector

// Restart lists workloads that are restarted when a copy's data change.
type Restart struct{ text } // kind/name, in the order written, with blanks between

// Check checks what the fields have to keep jointly: that what is shared is named. A
// failure matches [ErrInvalid].
func (s *Shape) Check() error {
	if s.Merges() && s.Data == nil {
		return invalid(FieldMode, "with mode Merge, data has to name the keys that are ours")
	}
	return nil
}

// Doubt says what of it may not be meant as it is written; empty: nothing.
func (s *Shape) Doubt() string {
	if s == nil || s.Type.IsZero() {
		return ""
	}
	return s.Type.Doubt()
}

// Merges reports whether only single keys of the Secret are ours.
func (s *Shape) Merges() bool { return s != nil && s.Mode == ModeMerge }

// Deletes reports whether a copy goes with its target.
func (s *Shape) Deletes() bool { return s != nil && s.DeletionPolicy == Delete }

// Suspended reports whether nothing is to be written.
func (s *Shape) Suspended() bool { return s != nil && s.Suspend != nil && *s.Suspend }

// Equal reports whether both say the same, with what is given and what is not.
func (s *Shape) Equal(o *Shape) bool {
	if s == nil || o == nil {
		return s == o
	}
	return s.Type == o.Type && s.Mode == o.Mode && (s.Data == nil) == (o.Data == nil) && slices.Equal(s.Data, o.Data) &&
		(s.Labels == nil) == (o.Labels == nil) && maps.Equal(s.Labels, o.Labels) &&
		(s.Annotations == nil) == (o.Annotations == nil) && maps.Equal(s.Annotations, o.Annotations) &&
		s.DeletionPolicy == o.DeletionPolicy && s.RefreshInterval == o.RefreshInterval &&
		(s.Suspend == nil) == (o.Suspend == nil) && s.Suspended() == o.Suspended()
}

// Equal reports whether both definitions say the same.
func (d Definition) Equal(o Definition) bool {
	return d.Name == o.Name && d.SecretPath == o.SecretPath && slices.Equal(d.Sync, o.Sync) && d.Shape.Equal(o.Shape)
}

// Paths are all paths a definition reads, each once, its secretPath first. That is
// listed also where Data names only others: it says whether there is anything to
// sync.
func (d Definition) Paths() []SecretPath {
	paths := []SecretPath{d.SecretPath}
	if d.Shape != nil {
		for _, k := range d.Shape.Data {
			if !k.Path.IsZero() && !slices.Contains(paths, k.Path) {
				paths = append(paths, k.Path)
			}
		}
	}
	return paths
}

// ParseSecretType parses the type of a Kubernetes Secret: one that Kubernetes knows
// or a name of one's own. A failure matches [ErrInvalid].
func ParseSecretType(s string) (SecretType, error) {
	switch {
	case s == string(corev1.SecretTypeServiceAccountToken):
		return SecretType{}, invalid("type", fmt.Sprintf("%s is made by Kubernetes itself, which would fill it with a token; choose another", Quote(s)))
	case ReservedType(s):
		return SecretType{}, invalid("type", fmt.Sprintf("%s is for Secrets in which a server of secretsync keeps its own keys; choose another", Quote(s)))
	case !secretType.MatchString(s) || len(s) > maxSecretType:
		return SecretType{}, invalid("type", fmt.Sprintf("%s is no type of a Secret: use Opaque, one of Kubernetes such as kubernetes.io/tls, or a name of your own such as example.com/license", Quote(s)))
	}
	return SecretType{text{s}}, nil
}

// knownTypes are the types that Kubernetes knows and a definition can have.
var knownTypes = []string{
	string(corev1.SecretTypeOpaque), string(corev1.SecretTypeTLS), string(corev1.SecretTypeDockerConfigJson), string(corev1.SecretTypeDockercfg),
	string(corev1.SecretTypeBasicAuth), string(corev1.SecretTypeSSHAuth), string(corev1.SecretTypeBootstrapToken),
}

// Doubt says that a type is likely one of Kubernetes' own that was mistyped, such as opaque
// for Opaque; empty: it is not. It stays a type of its own, as Kubernetes has it: somebody
// may have to keep to the type of a Secret that is there.
func (t SecretType) Doubt() string {
	if slices.Contains(knownTypes, t.s) {
		return ""
	}
	var meant string
	if i := slices.IndexFunc(knownTypes, func(known string) bool { return strings.EqualFold(known, t.s) }); i >= 0 {
		meant = knownTypes[i]
	} else if strings.HasPrefix(strings.ToLower(t.s), "kubernetes.io/") {
		meant = spelling.Meant(t.s, knownTypes)
	}
	if meant == "" {
		return ""
	}
	return fmt.Sprintf("type %s is none that Kubernetes knows, so that nothing is checked by it and nobody finds the Secret by it; did you mean %s? Upper and lower case count", t, meant)
}

// ReservedType reports whether a type is one of the Secrets in which servers keep keys of their
// own. No definition makes one, or has a share of one.
func ReservedType(secretType string) bool { return strings.HasPrefix(secretType, "secretsync.dev/") }

const maxSecretType = 253

// secretType is what types are kept to: Kubernetes itself takes any text.
var secretType = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?(/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$`)
