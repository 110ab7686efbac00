package copies

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"slices"
	"sync"
)

// Digest is the keyed hash of a copy's data.
type Digest [sha256.Size]byte

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Hasher computes digests. The key is not in the cluster, since a plain hash of
// a password can be guessed.
type Hasher struct{ pool sync.Pool }

// NewHasher makes a hasher of a key. All servers that serve the same clusters,
// and all restarts, need the same key.
func NewHasher(key []byte) *Hasher {
	key = slices.Clone(key)
	return &Hasher{pool: sync.Pool{New: func() any { return &parts{mac: hmac.New(sha256.New, key)} }}}
}

// Sum hashes the data of a copy together with the cluster, the place and the
// owner, so that it proves nothing about any other Secret: one that was copied
// to another namespace, name or cluster fails it.
func (h *Hasher) Sum(identity string, at Key, o Owner, data map[string][]byte) Digest {
	p := h.begin(identity, o.Tenant, o.Name, at.Namespace, at.Name)
	for _, key := range slices.Sorted(maps.Keys(data)) {
		p.write([]byte(key))
		p.write(data[key])
	}
	return h.end(p)
}

// Prove hashes one key of a share in the same way, as the share's record carries it.
// It has one part more at the beginning than any digest of a copy's, so that neither
// proves the other.
func (h *Hasher) Prove(identity string, at Key, o Owner, key string, value []byte) string {
	p := h.begin("share", identity, o.Tenant, o.Name, at.Namespace, at.Name, key)
	p.write(value)
	d := h.end(p)
	return hex.EncodeToString(d[:16])
}

// parts is a list of parts that is being hashed. Lengths before the parts keep two
// different lists apart.
type parts struct {
	mac    hash.Hash
	length [8]byte
}

func (h *Hasher) begin(first ...string) *parts {
	p := h.pool.Get().(*parts)
	p.mac.Reset()
	for _, part := range first {
		p.write([]byte(part))
	}
	return p
}

func (p *parts) write(part []byte) {
	binary.BigEndian.PutUint64(p.length[:], uint64(len(part)))
	p.mac.Write(p.length[:])
	p.mac.Write(part)
}

func (h *Hasher) end(p *parts) (d Digest) {
	p.mac.Sum(d[:0])
	h.pool.Put(p)
	return d
}
