package shard

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	coordination "k8s.io/api/coordination/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/gitstore"
)

// heads are where the branches of a shard's tenants stood when its holder let go of it, in order: a digest of
// each tenant's name and commit. With the Lease go no names, and some 11 bytes a tenant.
type heads map[uint64]bool

// mostHeads bounds what is written of them: the annotations of an object may have 256 KiB. Tenants beyond
// that are asked for.
const mostHeads = 16 << 10

// headOf is the digest of one. Another commit or tenant has the same by a chance of 1 in 2⁶⁴, and is then
// taken for it till the remote is polled next.
func headOf(tenant gitstore.TenantName, commit string) uint64 {
	sum := sha256.Sum256([]byte(tenant.String() + "\x00" + commit))
	return binary.BigEndian.Uint64(sum[:])
}

// text is what is written into a Lease that is released at that time. The time tells, together with the
// Lease's own, that nobody had it since: a replica that knows nothing of heads leaves the annotation as it
// is, and writes another time.
func (h heads) text(released time.Time) string {
	sorted := make([]uint64, 0, len(h))
	for head := range h {
		sorted = append(sorted, head)
	}
	slices.Sort(sorted)
	var digests []byte
	for _, head := range sorted[:min(len(sorted), mostHeads)] {
		digests = binary.BigEndian.AppendUint64(digests, head)
	}
	return stamp(released) + " " + base64.RawStdEncoding.EncodeToString(digests)
}

// headsOf reads what its last holder left with a Lease, of which nobody has been the holder since; nil:
// nothing that counts.
func headsOf(lease *coordination.Lease) heads {
	released, encoded, _ := strings.Cut(lease.Annotations[annotationHeads], " ")
	if holderOf(lease) != "" || lease.Spec.RenewTime == nil || released != stamp(lease.Spec.RenewTime.Time) {
		return nil
	}
	digests, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil || len(digests)%8 != 0 {
		return nil
	}
	h := make(heads, len(digests)/8)
	for ; len(digests) > 0; digests = digests[8:] {
		h[binary.BigEndian.Uint64(digests)] = true
	}
	return h
}

// stamp is a time as Leases have it, to the microsecond.
func stamp(t time.Time) string { return t.UTC().Format(meta.RFC3339Micro) }
