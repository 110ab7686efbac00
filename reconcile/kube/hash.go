package kube

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
	return &Hasher{pool: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

// Sum hashes the data of a copy together with the cluster, the place and the
// owner, so that it proves nothing about any other Secret: one that was copied
// to another namespace, name or cluster fails it.
func (h *Hasher) Sum(identity string, at Key, o Owner, data map[string][]byte) Digest {
	return h.digest(func(write func([]byte)) {
		for _, part := range [...]string{identity, o.Tenant, o.Name, at.Namespace, at.Name} {
			write([]byte(part))
		}
		for _, key := range slices.Sorted(maps.Keys(data)) {
			write([]byte(key))
			write(data[key])
		}
	})
}

// Prove hashes one key of a share in the same way, as the share's record carries it.
// It has one part more at the beginning than any digest of a copy's, so that neither
// proves the other.
func (h *Hasher) Prove(identity string, at Key, o Owner, key string, value []byte) string {
	d := h.digest(func(write func([]byte)) {
		for _, part := range [...]string{"share", identity, o.Tenant, o.Name, at.Namespace, at.Name, key} {
			write([]byte(part))
		}
		write(value)
	})
	return hex.EncodeToString(d[:16])
}

// digest hashes what is written. Lengths before the parts keep two different lists of
// parts apart.
func (h *Hasher) digest(parts func(write func([]byte))) (d Digest) {
	mac := h.pool.Get().(hash.Hash)
	defer h.pool.Put(mac)
	mac.Reset()
	var length [8]byte
	parts(func(part []byte) {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		mac.Write(length[:])
		mac.Write(part)
	})
	mac.Sum(d[:0])
	return d
}
