package reconcile

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"slices"
	"strconv"
	"sync"
	"unique"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// What a copy carries. Labels and annotations of other people stay beside them.
const (
	LabelManagedBy = "app.kubernetes.io/managed-by"
	LabelTenant    = "secretsync.dev/tenant"
	LabelName      = "secretsync.dev/name"

	AnnotationCommit       = "secretsync.dev/commit"
	AnnotationVaultPath    = "secretsync.dev/vault-path"
	AnnotationVaultVersion = "secretsync.dev/vault-version"
	// AnnotationVaultCreated is the created_time of the version: it tells a
	// path whose versions began again at 1 from the one that was copied.
	AnnotationVaultCreated = "secretsync.dev/vault-created"
	AnnotationHash         = "secretsync.dev/hash"

	// AnnotationAdopt on a Secret that is not ours allows one definition,
	// written <tenant>/<definition>, to take it over.
	AnnotationAdopt = "secretsync.dev/adopt"

	managedBy    = "secretsync"
	fieldManager = "secretsync"
	ownSelector  = LabelManagedBy + "=" + managedBy
)

// digest is the keyed hash of a copy's data.
type digest [sha256.Size]byte

func (d digest) String() string { return hex.EncodeToString(d[:]) }

// hasher computes digests. The key is not in the cluster, since a plain hash
// of a password can be guessed; and the hash covers the place and the owner, so
// that it proves nothing about any other Secret.
type hasher struct{ pool sync.Pool }

func newHasher(key []byte) *hasher {
	key = slices.Clone(key)
	return &hasher{pool: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

func (h *hasher) sum(o owner, at placeKey, data map[string][]byte) (d digest) {
	mac := h.pool.Get().(hash.Hash)
	defer h.pool.Put(mac)
	mac.Reset()
	var length [8]byte
	// Lengths before the parts keep two different lists of parts apart.
	write := func(part []byte) {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		mac.Write(length[:])
		mac.Write(part)
	}
	for _, part := range [...]string{o.tenant, o.name, at.namespace, at.name} {
		write([]byte(part))
	}
	for _, key := range slices.Sorted(maps.Keys(data)) {
		write([]byte(key))
		write(data[key])
	}
	mac.Sum(d[:0])
	return d
}

// placeKey is where a Secret stands in a cluster.
type placeKey struct{ namespace, name string }

func (k placeKey) String() string { return k.namespace + "/" + k.name }

// owner says whose copy a Secret is.
type owner struct{ tenant, name string }

func (o owner) String() string { return o.tenant + "/" + o.name }

// stamp is what a right copy is known by: where its data came from, and the
// keyed hash of the data.
type stamp struct {
	path    string
	version int
	created string
	data    digest
}

// record is what is kept of a Secret that was seen: never its data.
type record struct {
	owner         // as its labels say, or as taking it over is granted
	stamp         // as its annotations say; data is the digest of what it really holds
	commit string // as its annotations say
	uid    types.UID
	rv     string // resourceVersion
	// intact: the hash it carries is that of what it holds.
	intact bool
	// otherType: not Opaque. immutable: marked so. Both refuse updates.
	otherType, immutable bool
	// labelled: bears our label, so that the watch will tell of its changes.
	labelled bool
	// hasLabels, hasAnnotations: bears any, ours or others'.
	hasLabels, hasAnnotations bool
}

// right reports whether the Secret is owner's copy as it should be.
func (r *record) right(o owner, want stamp) bool {
	return r != nil && r.labelled && r.owner == o && r.intact && !r.otherType && r.stamp == want
}

func intern(s string) string { return unique.Make(s).Value() }

// observe makes a record of a Secret under the identity its labels claim.
func (h *hasher) observe(s *corev1.Secret) *record {
	claimed := owner{tenant: intern(s.Labels[LabelTenant]), name: intern(s.Labels[LabelName])}
	r := h.observeAs(claimed, s)
	r.labelled = s.Labels[LabelManagedBy] == managedBy
	return r
}

// observeAs makes a record of a Secret under an identity that it need not claim.
func (h *hasher) observeAs(o owner, s *corev1.Secret) *record {
	r := &record{
		owner: o,
		stamp: stamp{
			path:    intern(s.Annotations[AnnotationVaultPath]),
			created: s.Annotations[AnnotationVaultCreated],
			data:    h.sum(o, placeKey{s.Namespace, s.Name}, s.Data),
		},
		commit:         intern(s.Annotations[AnnotationCommit]),
		uid:            s.UID,
		rv:             s.ResourceVersion,
		otherType:      s.Type != corev1.SecretTypeOpaque,
		immutable:      s.Immutable != nil && *s.Immutable,
		hasLabels:      s.Labels != nil,
		hasAnnotations: s.Annotations != nil,
	}
	// A version that is no number is not the right one: 0 stands for that.
	r.version, _ = strconv.Atoi(s.Annotations[AnnotationVaultVersion])
	r.intact = s.Annotations[AnnotationHash] == r.data.String()
	return r
}

// claimable reports whether a Secret that does not bear o's labels may become
// o's copy all the same, and the record to go on with: its annotation allows
// exactly o to adopt it, or its hash proves that it is o's copy and only lost
// its labels.
func (h *hasher) claimable(o owner, s *corev1.Secret) (*record, bool) {
	r := h.observeAs(o, s)
	r.labelled = false
	return r, s.Annotations[AnnotationAdopt] == o.String() || r.intact
}
