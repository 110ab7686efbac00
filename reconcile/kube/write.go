package kube

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/client"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/mirror"
	"secretsync/reconcile/kube/refusal"
)

// reached is a server, and the era from before it was known to be the one that stands behind
// the name: what it is asked is answered for that era.
type reached struct {
	*client.Client
	era mirror.Era
}

// ready returns the server while the cluster can be used.
func (c *Cluster) ready() (reached, error) {
	era := c.mirror.Era()
	if down := c.Outage(); down != nil {
		return reached{}, &refusal.Error{Kind: refusal.Unavailable, Message: down.Message}
	}
	return reached{c.client.Load(), era}, nil
}

// readyFor is ready for whoever is about to change a Secret, if one is there: one of a
// newer format is not changed, whoever decided that and why.
func (c *Cluster) readyFor(old *copies.Copy) (reached, error) {
	if old != nil && old.Format.Newer() {
		return reached{}, old.Format.Refused()
	}
	return c.ready()
}

// fails says what a request's error means, and has the cluster looked at where
// it may be the cluster's.
func (c *Cluster) fails(ctx context.Context, err error, verb string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch refusal.KindOf(err) {
	case refusal.Unavailable, refusal.Unauthorized:
		c.doubt(err)
	}
	return refusal.Of(err, verb)
}

// Read reads the Secret in one place, whoever's it is; nil where there is none.
// What was read is remembered. claims are those that want the place: a Secret
// without our labels whose hash proves it the copy of one of them gets that Owner.
func (c *Cluster) Read(ctx context.Context, at copies.Key, claims ...copies.Owner) (*copies.Copy, error) {
	k, err := c.ready()
	if err != nil {
		return nil, err
	}
	before := c.mirror.Before(at, k.era)
	// That it went was told by the server's memory, which tells the rest too.
	s, err := k.SecretSince(ctx, at, before.Left)
	switch refusal.KindOf(err) {
	case refusal.None:
		return c.learned(at, before.Known, c.mirror.Found(at, c.reader().Read(s, claims...), before)), nil
	case refusal.Gone, refusal.NoNamespace:
		return c.learned(at, before.Known, c.mirror.Found(at, nil, before)), nil
	}
	return nil, c.fails(ctx, err, "get")
}

// learned tells of what a Read found, if it was not known before, and returns it.
func (c *Cluster) learned(at copies.Key, before, now *copies.Copy) *copies.Copy {
	if before != now && (before == nil || now == nil || !before.Same(now)) {
		c.observer.Changed(at)
	}
	return now
}

// Peek says what stands in a place that nobody may want: from memory what the watch
// tells, and else by reading it. It leaves no trace: what was read is not
// remembered, and no namespace is followed for it. claims are as with Read.
func (c *Cluster) Peek(ctx context.Context, at copies.Key, claims ...copies.Owner) (mirror.Seen, error) {
	seen := c.mirror.Peek(at)
	if seen.Copy != nil && seen.Copy.Watched {
		return seen, nil
	}
	k, err := c.ready()
	if err != nil {
		return seen, err
	}
	s, err := k.SecretSince(ctx, at, "")
	switch refusal.KindOf(err) {
	case refusal.None:
		seen.Copy, seen.Fault = c.reader().Read(s, claims...), nil
	case refusal.Gone:
		seen.Copy, seen.Fault = nil, nil
	case refusal.NoNamespace:
		seen.Copy, seen.Namespace, seen.NamespaceUID, seen.Fault = nil, mirror.NamespaceMissing, "", nil
	default:
		return seen, c.fails(ctx, err, "get")
	}
	return seen, nil
}

// Create makes a copy where no Secret stands.
func (c *Cluster) Create(ctx context.Context, d copies.Desired) (*copies.Copy, error) {
	k, err := c.ready()
	if err != nil {
		return nil, err
	}
	f := c.mirror.TakeOff(d.Key, c.reader().Sends(nil, d), k.era)
	m, err := k.Create(ctx, f.Sent.Secret(d.Data), false)
	return c.landed(ctx, k, f, m, err, "create")
}

// Update makes a Secret the copy that it should be, only if it still is old.
// What others wrote on it stays; the data are replaced as a whole. Its type can't
// be changed.
func (c *Cluster) Update(ctx context.Context, old *copies.Copy, d copies.Desired) (*copies.Copy, error) {
	k, err := c.readyFor(old)
	if err != nil {
		return nil, err
	}
	s := c.reader().Sends(old, d)
	body, err := s.Patch(old, d.Data)
	if err != nil {
		return nil, err
	}
	f := c.mirror.TakeOff(d.Key, s, k.era)
	m, err := k.Patch(ctx, d.Key, old.ResourceVersion, body)
	return c.landed(ctx, k, f, m, err, "patch")
}

// landed takes in what became of a write.
func (c *Cluster) landed(ctx context.Context, k reached, f *mirror.Flight, m *metav1.PartialObjectMetadata, err error, verb string) (*copies.Copy, error) {
	at := f.Sent.Key
	if err != nil {
		c.mirror.Land(at, f, refusal.KindOf(err) != refusal.Unavailable)
		return nil, c.fails(ctx, err, verb)
	}
	r := f.Sent.Answered(&m.ObjectMeta)
	if !r.Watched {
		// No event will tell what became of the data.
		if s, err := k.Secret(ctx, at); err == nil && s.ResourceVersion == r.ResourceVersion {
			r = c.reader().Wrote(f.Sent, s)
		}
	}
	return c.mirror.Wrote(at, f, r), nil
}

// How long a deletion and the create that follows it are tried, whatever happens.
const (
	anewLimit = 20 * time.Second
	anewFirst = 50 * time.Millisecond
	anewMost  = 2 * time.Second
)

// Replace deletes a copy that refuses the update, because it is immutable or of
// another type, and creates it anew with the labels, annotations and owner
// references that others wrote on it. It deletes only what still is old, and
// only after a dry run of the create was let pass. Where finalizers would keep
// the old one nothing is done, and the refusal is Kept. A create that fails
// after the deletion for a passing cause is tried again at once, even if ctx ends.
func (c *Cluster) Replace(ctx context.Context, old *copies.Copy, d copies.Desired) (*copies.Copy, error) {
	k, err := c.readyFor(old)
	if err != nil {
		return nil, err
	}
	there, err := c.unchanged(ctx, k, d.Key, old)
	switch {
	case err != nil:
		return nil, err
	case len(there.Finalizers) > 0:
		return nil, kept(there.Finalizers)
	}
	sends := c.reader().Sends(nil, d)
	s := sends.Anew(old, there, d.Data)
	// The server looks at everything before it finds that the name is taken.
	switch _, err := k.Create(ctx, s, true); refusal.KindOf(err) {
	case refusal.Exists:
	case refusal.None:
		return nil, &refusal.Error{Kind: refusal.Gone, Message: "no such Secret stands there"}
	default:
		err := c.fails(ctx, err, "create")
		if r, ok := err.(*refusal.Error); ok {
			r.Message = "the Secret has to be deleted and made anew, and is left alone since that would fail: " + r.Message
		}
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	// From here on being told to stop is no reason to leave nothing there.
	anew, cancel := context.WithTimeout(context.WithoutCancel(ctx), anewLimit)
	defer cancel()
	f := c.mirror.TakeOff(d.Key, sends, k.era)
	if err := c.deleteOld(anew, d.Key, old); err != nil {
		c.mirror.Land(d.Key, f, true)
		return nil, err
	}
	c.mirror.Removed(d.Key, old)
	m, err := c.createAnew(anew, s, sends)
	if err != nil {
		c.log.Warn("a secret was deleted to be made anew and could not be created", "secret", d.Key.String(), "cause", refusal.Of(err, "create").Message)
	}
	return c.landed(context.WithoutCancel(ctx), k, f, m, err, "create")
}

// deleteOld deletes a Secret that is to be made anew. A deletion that was not
// answered may have been done, so it is tried until that is known.
func (c *Cluster) deleteOld(ctx context.Context, at copies.Key, old *copies.Copy) error {
	var pauses backoff
	for doubtful := false; ; doubtful = true {
		finalizers, err := c.client.Load().Delete(ctx, at, types.UID(old.UID), old.ResourceVersion)
		switch kind := refusal.KindOf(err); {
		case finalizers:
			return kept(nil) // somebody put them there in this very moment
		case err == nil, kind == refusal.Gone && doubtful:
			return nil
		case kind != refusal.Unavailable:
			return c.fails(ctx, err, "delete")
		}
		c.doubt(err)
		sleep(ctx, c.clock, pauses.next(anewFirst, anewMost))
		if ctx.Err() != nil {
			return refusal.Of(err, "delete")
		}
	}
}

func kept(finalizers []string) *refusal.Error {
	return &refusal.Error{Kind: refusal.Kept, Message: fault.Clean(fmt.Sprintf(
		"the Secret has to be deleted and made anew, and its finalizers (%s) would keep it; it goes on once they are removed", strings.Join(finalizers, ", ")))}
}

// createAnew creates a Secret in whose place another was just deleted: trouble
// that passes is no reason to leave nothing there.
func (c *Cluster) createAnew(ctx context.Context, s *corev1.Secret, sent *copies.Sent) (*metav1.PartialObjectMetadata, error) {
	var pauses backoff
	for doubtful := false; ; {
		k := c.client.Load() // it may have been connected anew
		m, err := k.Create(ctx, s, false)
		switch refusal.KindOf(err) {
		case refusal.Exists:
			if there, read := k.Secret(ctx, copies.Key{Namespace: s.Namespace, Name: s.Name}); doubtful && read == nil && sent.MadeOf(&there.ObjectMeta) {
				// It was us; only, nobody said so.
				return &metav1.PartialObjectMetadata{ObjectMeta: there.ObjectMeta}, nil
			}
			return nil, err
		case refusal.Unavailable:
			doubtful = true
			c.doubt(err)
		case refusal.Throttled, refusal.AdmissionFailed:
		default:
			return m, err
		}
		sleep(ctx, c.clock, max(min(refusal.After(err), anewMost), pauses.next(anewFirst, anewMost)))
		if ctx.Err() != nil {
			return nil, err
		}
	}
}

// Delete removes just the Secret that was seen, in the state it was seen in. If
// finalizers keep it the refusal is Kept, and it goes when they do.
func (c *Cluster) Delete(ctx context.Context, at copies.Key, old *copies.Copy) error {
	k, err := c.readyFor(old)
	if err != nil {
		return err
	}
	finalizers, err := k.Delete(ctx, at, types.UID(old.UID), old.ResourceVersion)
	switch {
	case err != nil:
		return c.fails(ctx, err, "delete")
	case finalizers:
		return &refusal.Error{Kind: refusal.Kept, Message: fault.Clean(fmt.Sprintf("its finalizers (%s) keep the Secret until they are removed", strings.Join(old.Finalizers, ", ")))}
	}
	c.mirror.Removed(at, old)
	c.observer.Changed(at) // the watch will tell nothing that is not known: somebody may wait for the place
	return nil
}

// Join makes a definition's share of a Secret what it should be, only if the Secret
// still is old (nil: none stands there, and one is created). d.Part says that it is
// one, and its data, labels and annotations are those that the definition may have;
// nothing else on the Secret is touched. What returns is the share.
//
// Where old is the copy that the definition had as a whole, it becomes a shared Secret
// with nothing on it but the share and what others added.
func (c *Cluster) Join(ctx context.Context, old *copies.Copy, d copies.Desired) (*copies.Copy, error) {
	k, err := c.readyFor(old)
	if err != nil {
		return nil, err
	}
	if old != nil && old.Whole() && old.Owner != d.Owner {
		return nil, &refusal.Error{Kind: refusal.Conflict, Message: "the Secret is another definition's as a whole"}
	}
	if old != nil && old.Whole() && len(d.Keeps) > 0 {
		if d.Data, err = c.withKept(ctx, k, old, d); err != nil {
			return nil, err
		}
	}
	f := c.mirror.TakeOff(d.Key, c.reader().Sends(old, d), k.era)
	// What else stands on the Secret concerns us too.
	got, err := k.Whole(ctx, old, f.Sent, d.Data)
	if err != nil {
		c.mirror.Land(d.Key, f, refusal.KindOf(err) != refusal.Unavailable)
		return nil, c.fails(ctx, err, verbOf(old))
	}
	part := c.mirror.WroteAll(d.Key, f, c.reader().Wrote(f.Sent, got)).PartOf(d.Owner)
	c.observer.Changed(d.Key) // as after Delete: others may wait for a share of it
	return part, nil
}

// unchanged reads the Secret of a copy, which must still be as it was seen.
func (c *Cluster) unchanged(ctx context.Context, k reached, at copies.Key, old *copies.Copy) (*corev1.Secret, error) {
	there, err := k.Secret(ctx, at)
	switch {
	case err != nil:
		return nil, c.fails(ctx, err, "get")
	case string(there.UID) != old.UID || there.ResourceVersion != old.ResourceVersion:
		return nil, &refusal.Error{Kind: refusal.Conflict, Message: "the Secret was changed meanwhile"}
	}
	return there, nil
}

// withKept are the data of what becomes a share with those keys beside them that it keeps, as
// they stand in the copy as a whole.
func (c *Cluster) withKept(ctx context.Context, k reached, old *copies.Copy, d copies.Desired) (map[string][]byte, error) {
	if !old.Intact {
		return d.Data, nil // what stands there may be somebody's
	}
	there, err := c.unchanged(ctx, k, d.Key, old)
	if err != nil {
		return nil, err
	}
	data := maps.Clone(d.Data)
	for _, key := range d.Keeps {
		if value, has := there.Data[key]; has {
			data[key] = value
		}
	}
	return data, nil
}

// Leave takes a share off its Secret, only if that still is as it was seen: the keys
// that hold what we wrote, and the record, but for the keys that it keeps. A Secret of which
// it is the [copies.Copy.Last] goes.
func (c *Cluster) Leave(ctx context.Context, at copies.Key, part *copies.Copy, keeps ...string) error {
	k, err := c.readyFor(part)
	if err != nil {
		return err
	}
	if len(keeps) == 0 && part.Last() {
		return c.Delete(ctx, at, part)
	}
	body, err := part.LeavePatch(keeps)
	if err != nil {
		return err
	}
	if _, err := k.Patch(ctx, at, part.ResourceVersion, body); err != nil {
		return c.fails(ctx, err, "patch")
	}
	return nil // the watch tells how it stands now
}

// Try finds out, by a dry run, what would come of a Create (old is nil), an
// Update or a Join now: nil says that it would stand as it is sent.
func (c *Cluster) Try(ctx context.Context, old *copies.Copy, d copies.Desired) (*copies.Alteration, error) {
	k, err := c.ready()
	if err != nil {
		return nil, err
	}
	s := c.reader().Sends(old, d)
	got, err := k.Whole(ctx, old, s, d.Data, metav1.DryRunAll)
	if err != nil {
		return nil, c.fails(ctx, err, verbOf(old))
	}
	return s.AlteredBy(got), nil
}

// verbOf is what a write over old, or where there is none, is called in the rights of
// Kubernetes.
func verbOf(old *copies.Copy) string {
	if old == nil {
		return "create"
	}
	return "patch"
}
