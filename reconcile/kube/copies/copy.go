package copies

import (
	"fmt"
	"strings"
	"time"
	"unique"
)

// What a copy carries. Labels and annotations of other people stay beside them.
const (
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// LabelTenant is what the watch selects by, whatever it says.
	LabelTenant = "secretsync.dev/tenant"
	LabelName   = "secretsync.dev/name"

	AnnotationCommit       = "secretsync.dev/commit"
	AnnotationVaultPath    = "secretsync.dev/vault-path"
	AnnotationVaultVersion = "secretsync.dev/vault-version"
	// AnnotationVaultCreated is the created_time of the version: it tells a
	// path whose versions began again at 1 from the one that was copied.
	AnnotationVaultCreated = "secretsync.dev/vault-created"
	AnnotationHash         = "secretsync.dev/hash"
	// Those below stand only on a copy whose definition asks for more than the
	// default. AnnotationRecipe tells apart what the same values are made into,
	// AnnotationOthers has the versions of further paths, AnnotationApplied the
	// names of the labels and annotations that the definition set, and
	// AnnotationDeletionPolicy says Delete where the copy goes with its target.
	AnnotationRecipe         = "secretsync.dev/recipe"
	AnnotationOthers         = "secretsync.dev/vault-versions"
	AnnotationApplied        = "secretsync.dev/applied"
	AnnotationDeletionPolicy = "secretsync.dev/deletion-policy"
	// AnnotationFormat says how all of these are to be read; see [Format].
	AnnotationFormat = "secretsync.dev/format"

	// AnnotationAdopt on a Secret that is not ours allows one definition, written
	// <tenant>/<definition>, to take it over; or several, with commas between, to take
	// each its keys.
	AnnotationAdopt = "secretsync.dev/adopt"

	// ManagedBy is the value of LabelManagedBy, FieldManager the name under
	// which our changes stand in a Secret's managed fields.
	ManagedBy    = "secretsync"
	FieldManager = "secretsync"

	// deletes is the one value of AnnotationDeletionPolicy that counts.
	deletes = "Delete"

	// TypeOpaque is the type of a Secret where no other is asked for.
	TypeOpaque = "Opaque"
)

// Key is where a Secret stands in a cluster.
type Key struct{ Namespace, Name string }

func (k Key) String() string { return k.Namespace + "/" + k.Name }

// Owner says whose copy a Secret is: a tenant's definition.
type Owner struct{ Tenant, Name string }

func (o Owner) String() string { return o.Tenant + "/" + o.Name }

// Stamp is where the data of a copy came from.
type Stamp struct {
	Path    string
	Version int    // 0: not a number
	Created string // as the vault wrote it
	// Recipe names what was made of it; empty for a copy of all keys as they are.
	Recipe string
	// Others are the versions of further paths that are in it, as text; empty
	// where there are none.
	Others string
}

// Desired is a copy as it should stand.
type Desired struct {
	Key
	Owner
	Stamp
	Commit string
	Type   string // empty is TypeOpaque
	Data   map[string][]byte
	// Labels and Annotations are set beside ours.
	Labels, Annotations map[string]string
	// Deletes says that the copy goes with its target.
	Deletes bool
	// Part: not the Secret as a whole, but what the data, labels and annotations
	// name on one that others may share.
	Part bool
	// Keeps are of a share the keys beside its data that stay as they are; see [Claim].
	Keeps []string
}

// String hides the data.
func (d Desired) String() string { return "copy " + d.Owner.String() + " for " + d.Key.String() }

func (d Desired) kind() string {
	if d.Type == "" {
		return TypeOpaque
	}
	return d.Type
}

// Copy is what is kept of a Secret that was seen or written: never its data.
// It is not changed after it was handed out.
type Copy struct {
	// Owner is whose copy the labels say it is. Of a Secret without them it is
	// the one whose copy the hash proves it to be, or zero: it is not ours.
	Owner
	Stamp         // as its annotations say
	Commit string // as its annotations say
	// Digest is the keyed hash of what it holds.
	Digest Digest
	// Intact: the hash that it carries is Digest, so that we wrote just these
	// data for this owner in this place of this cluster.
	Intact bool
	// Watched: it bears LabelTenant, so that the watch tells of its changes.
	// Whoever cares for one that is not has to read it one by one.
	Watched bool
	// Labelled: it bears all three labels as they are for Owner.
	Labelled bool
	// Format is that of what it carries. Of a newer one nothing that it carries is
	// believed but whose it says it is, and nothing is done to it.
	Format Format

	UID             string
	ResourceVersion string
	Type            string
	// Worn is how the labels and annotations stand that were set for its
	// definition; see [Wear].
	Worn Worn
	// Applied are the names of those, as its annotation lists them.
	Applied   string
	Deletes   bool // it says that it goes with its target
	Immutable bool // it refuses updates
	Owned     bool // it has an owner reference
	// Deleting: somebody deleted it, and Finalizers keep it.
	Deleting   bool
	Finalizers []string
	// Adopt are the owners, as text with commas between, that its annotation allows to
	// take it over.
	Adopt string
	// Manager is who made the last change of what is ours on it, if that was
	// somebody else; nil where it was us or nobody can tell.
	Manager *Manager
	// Altered: admission made something else of what we wrote, and this is it.
	// It stays while what we wrote and what became of it stay the same.
	Altered *Alteration
	// Unconfirmed: our write was answered, but the watch has not told yet what
	// became of it; so Altered may still come.
	Unconfirmed bool

	// Part: it is one definition's share of a Secret; see [Copy.PartOf]. Of a share the
	// stamp, the digest, Intact and what it wears are those of its entries alone.
	Part bool
	// shared says who has what on it; nil for the copy of one definition.
	shared *sharing

	hasLabels, hasAnnotations bool  // any, ours or others'
	ours                      int64 // when our field manager changed it last, in Unix seconds
}

// Right reports whether the Secret is the owner's copy of just that, whole, of that
// type (empty is TypeOpaque), and with the labels and annotations that it is to
// wear. It is false for nil.
func (c *Copy) Right(o Owner, s Stamp, kind string, worn Worn) bool {
	return c != nil && !c.Format.Newer() && c.Labelled && c.Owner == o && c.Intact && !c.Deleting && c.Stamp == s && c.Type == Desired{Type: kind}.kind() && c.Worn == worn
}

// String describes it for logs and tests.
func (c *Copy) String() string {
	if c == nil {
		return "no Secret"
	}
	return fmt.Sprintf("%+v", struct {
		Owner, Stamp                                          string
		Intact, Watched, Labelled, Immutable, Owned, Deleting bool
		UID, ResourceVersion, Type, Adopt                     string
		Finalizers                                            []string
		Manager                                               *Manager
		Altered                                               *Alteration
	}{
		c.Owner.String(), fmt.Sprintf("%s@%d", c.Path, c.Version), c.Intact, c.Watched, c.Labelled, c.Immutable, c.Owned, c.Deleting,
		c.UID, c.ResourceVersion, c.Type, c.Adopt, c.Finalizers, c.Manager, c.Altered,
	})
}

// Adoptable reports whether the Secret itself allows o to take it over.
func (c *Copy) Adoptable(o Owner) bool {
	if c == nil || c.Adopt == "" {
		return false
	}
	for allowed := range strings.SplitSeq(c.Adopt, ",") {
		if strings.TrimSpace(allowed) == o.String() {
			return true
		}
	}
	return false
}

// Manager is who changed a copy beside us, as its managed fields tell.
type Manager struct {
	Name string    // such as kubectl-edit
	Time time.Time // to the second
	// Second: it goes by our own name, but we did not do it: another server of
	// ours writes to the same copy.
	Second bool
}

// Intern returns one string in memory for all that are equal: tenants, namespaces, commits
// and the like stand on thousands of copies, and a listing's own texts would keep all of it.
func Intern(s string) string { return unique.Make(s).Value() }
