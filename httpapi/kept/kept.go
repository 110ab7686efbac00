package kept

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
)

// maxKept bounds the bytes kept, over all tenants.
const maxKept = 64 << 20

// Subject is what an answer is about: one definition, or, without a name, the
// tenant's whole list.
type Subject struct {
	Tenant  gitstore.TenantName
	Name    definition.Name
	Summary bool // of the list
}

// maxAge is how long an answer is good at most. When a target was synced last
// goes on with every look at the vault that finds nothing new, which is no reason
// to make all answers anew each time; it is told to the second.
const maxAge = time.Second

// Answer is the answer to a GET as it was given, good for a moment while
// neither what it was made from nor any status of the tenant has changed. It is
// immutable.
type Answer struct {
	from    any    // the *catalog.Entry or *catalog.Snapshot
	version uint64 // of the tenant's statuses
	made    time.Time
	Body    []byte
	ETag    []string // value of the header, made once; nil: it has none
	Length  []string // value of the header, made once

	once sync.Once
	gzip []byte
}

// New makes an answer to keep: from and version say what the body was made of, now
// says when.
func New(from any, version uint64, now time.Time, body []byte) *Answer {
	return &Answer{from: from, version: version, made: now, Body: body, Length: []string{strconv.Itoa(len(body))}}
}

// Compressed returns the body as gzip, made once.
func (r *Answer) Compressed() []byte {
	r.once.Do(func() { r.gzip = Compress(r.Body) })
	return r.gzip
}

// Answers keeps the last answer about each subject that was asked for.
// Reading takes no lock. Its zero value is empty and ready.
type Answers struct {
	bySubject sync.Map // Subject → *Answer
	bytes     atomic.Int64
}

// Get returns what is kept, if it is still good: made from the same, while the
// statuses had the same version, less than a moment ago.
func (rs *Answers) Get(about Subject, from any, version uint64, now time.Time) *Answer {
	v, ok := rs.bySubject.Load(about)
	if !ok {
		return nil
	}
	if r := v.(*Answer); r.from == from && r.version == version && now.Sub(r.made) < maxAge {
		return r
	}
	return nil
}

// Put keeps an answer in place of the former one. When there is no room all
// go, and are made again when asked for; so the bound may be passed for the
// moment that several are put at once.
func (rs *Answers) Put(about Subject, r *Answer) {
	grown := int64(len(r.Body))
	if old, ok := rs.bySubject.Swap(about, r); ok {
		grown -= int64(len(old.(*Answer).Body))
	}
	if rs.bytes.Add(grown) > maxKept {
		rs.bySubject.Clear()
		rs.bytes.Store(0)
	}
}
