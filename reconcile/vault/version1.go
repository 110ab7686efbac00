package vault

import (
	"context"
	"time"

	"secretsync/reconcile/vault/access"
	"secretsync/reconcile/vault/kv"
)

// mountKind remembers what the mount was found to be.
type mountKind struct {
	at  time.Time
	is1 bool
}

// notVersion1 looks behind a path that is not found: of a KV version 1 engine
// none is.
func (b *Broker) notVersion1(ctx context.Context, r read, f *access.Failure) *access.Failure {
	const remembered = 5 * time.Minute
	b.asking.Lock() // who comes meanwhile waits for the answer
	defer b.asking.Unlock()
	b.mu.Lock()
	k := b.version1
	b.mu.Unlock()
	if k.at.IsZero() || b.o.Clock.Since(k.at) > remembered {
		is1, failed := kv.IsVersion1(ctx, r.client, r.token)
		k = mountKind{b.o.Clock.Now(), is1}
		if failed != nil && failed.Kind != access.Denied {
			k.at = time.Time{} // not known yet
		}
		b.mu.Lock()
		if b.places == r.places {
			b.version1 = k
		}
		b.mu.Unlock()
	}
	if !k.is1 {
		return f
	}
	mount := r.client.Config.Mount
	return access.Forbidden("", "mount %s in Vault is a KV version 1 engine; secretsync reads version 2 only: upgrade it with `vault kv enable-versioning %s`, or name another mount", mount, mount)
}
