package httpapi

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
)

// maxRendered bounds the bytes kept of rendered answers, over all tenants.
const maxRendered = 64 << 20

// subject is what an answer is about: one definition, or, without a name, the
// tenant's whole list.
type subject struct {
	tenant  gitstore.TenantName
	name    definition.Name
	summary bool // of the list
}

// maxAge is how long an answer is good at most. When a target was synced last
// goes on with every look at the vault that finds nothing new, which is no reason
// to make all answers anew each time; it is told to the second.
const maxAge = time.Second

// rendered is an answer to a GET as it was given, good for a moment while
// neither what it was made from nor any status of the tenant has changed. It is
// immutable.
type rendered struct {
	from    any    // the *gitstore.Entry or *gitstore.Snapshot
	version uint64 // of the tenant's statuses
	made    time.Time
	body    []byte
	etag    []string // header values, made once
	length  []string

	once sync.Once
	gzip []byte
}

func newRendered(from any, version uint64, now time.Time, body []byte) *rendered {
	return &rendered{from: from, version: version, made: now, body: body, length: []string{strconv.Itoa(len(body))}}
}

// compressed returns the body as gzip, made once.
func (r *rendered) compressed() []byte {
	r.once.Do(func() { r.gzip = compress(r.body) })
	return r.gzip
}

// renderings keeps the last answer about each subject that was asked for.
// Reading takes no lock. Its zero value is empty and ready.
type renderings struct {
	bySubject sync.Map // subject → *rendered
	bytes     atomic.Int64
}

func (rs *renderings) get(about subject, from any, version uint64, now time.Time) *rendered {
	v, ok := rs.bySubject.Load(about)
	if !ok {
		return nil
	}
	if r := v.(*rendered); r.from == from && r.version == version && now.Sub(r.made) < maxAge {
		return r
	}
	return nil
}

// put keeps an answer in place of the former one. When there is no room all
// go, and are made again when asked for; so the bound may be passed for the
// moment that several are put at once.
func (rs *renderings) put(about subject, r *rendered) {
	grown := int64(len(r.body))
	if old, ok := rs.bySubject.Swap(about, r); ok {
		grown -= int64(len(old.(*rendered).body))
	}
	if rs.bytes.Add(grown) > maxRendered {
		rs.bySubject.Clear()
		rs.bytes.Store(0)
	}
}
