package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"secretsync/reconcile/fault"
)

// ready returns the way to the server while the cluster can be used.
func (c *Cluster) ready() (*client, error) {
	if down := c.Outage(); down != nil {
		return nil, &Refused{Refusal: Unavailable, Message: down.Message}
	}
	return c.client.Load(), nil
}

// readyFor is ready for whoever is about to change a Secret: one of a newer format
// is not changed, whoever decided that and why.
func (c *Cluster) readyFor(old *Copy) (*client, error) {
	if old.Format.Newer() {
		return nil, old.Format.unknown()
	}
	return c.ready()
}

// fails says what a request's error means, and has the cluster looked at where
// it may be the cluster's.
func (c *Cluster) fails(ctx context.Context, err error, verb string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch kindOf(err) {
	case Unavailable, Unauthorized:
		c.doubt(err)
	}
	return refused(err, verb)
}

// Read reads the Secret in one place, whoever's it is; nil where there is none.
// What was read is remembered. claims are those that want the place: a Secret
// without our labels whose hash proves it the copy of one of them gets that Owner.
func (c *Cluster) Read(ctx context.Context, at Key, claims ...Owner) (*Copy, error) {
	k, err := c.ready()
	if err != nil {
		return nil, err
	}
	c.mu.RLock()
	before := c.place(at)
	left := c.left[at]
	c.mu.RUnlock()
	// That it went was told by the server's memory, which tells the rest too.
	s, err := k.secretSince(ctx, at, left)
	switch kindOf(err) {
	case None:
		return c.found(at, c.observe(s, claims...), before), nil
	case Gone, NoNamespace:
		return c.found(at, nil, before), nil
	}
	return nil, c.fails(ctx, err, "get")
}

// Peek says what stands in a place that nobody may want: from memory what the watch
// tells, and else by reading it. It leaves no trace: what was read is not
// remembered, and no namespace is followed for it. claims are as with Read.
func (c *Cluster) Peek(ctx context.Context, at Key, claims ...Owner) (Seen, error) {
	seen, _ := c.look(at)
	if seen.Copy != nil && seen.Copy.Watched {
		return seen, nil
	}
	k, err := c.ready()
	if err != nil {
		return seen, err
	}
	s, err := k.secretSince(ctx, at, "")
	switch kindOf(err) {
	case None:
		seen.Copy, seen.Fault = c.observe(s, claims...), nil
	case Gone:
		seen.Copy, seen.Fault = nil, nil
	case NoNamespace:
		seen.Copy, seen.Namespace, seen.Fault = nil, NamespaceMissing, nil
	default:
		return seen, c.fails(ctx, err, "get")
	}
	return seen, nil
}

// Create makes a copy where no Secret stands.
func (c *Cluster) Create(ctx context.Context, d Desired) (*Copy, error) {
	k, err := c.ready()
	if err != nil {
		return nil, err
	}
	digest := c.hasher.Sum(c.Identity(), d.Key, d.Owner, d.Data)
	f := c.takeOff(d.Key, d.sends(digest))
	m, err := k.create(ctx, f.sent.secret(d.Data), false)
	return c.landed(ctx, k, f, m, digest, err, "create")
}

// secret is what is sent to create a copy.
func (s *sent) secret(data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.d.Namespace, Name: s.d.Key.Name, Labels: s.labels, Annotations: s.annotations},
		Type:       corev1.SecretType(s.d.kind()),
		Data:       data,
	}
}

// Update makes a Secret the copy that it should be, only if it still is old.
// What others wrote on it stays; the data are replaced as a whole. Its type can't
// be changed.
func (c *Cluster) Update(ctx context.Context, old *Copy, d Desired) (*Copy, error) {
	k, err := c.readyFor(old)
	if err != nil {
		return nil, err
	}
	d.Type = old.Type
	digest := c.hasher.Sum(c.Identity(), d.Key, d.Owner, d.Data)
	s := d.sends(digest)
	body, err := patchOf(old, d, s)
	if err != nil {
		return nil, err
	}
	f := c.takeOff(d.Key, s)
	m, err := k.patch(ctx, d.Key, body)
	return c.landed(ctx, k, f, m, digest, err, "patch")
}

// patchOf is what makes an old Secret the copy that it should be. It names only
// what is ours; data is replaced as a whole, so that keys which left the vault
// leave the Secret.
func patchOf(old *Copy, d Desired, s *sent) ([]byte, error) {
	patch := []patchOperation{
		// A version other than the one we know makes the server answer Conflict.
		{"replace", "/metadata/resourceVersion", old.ResourceVersion},
		{"add", "/data", d.Data},
	}
	patch = appendEntries(patch, "/metadata/labels", s.labels, old.hasLabels)
	patch = appendEntries(patch, "/metadata/annotations", s.annotations, old.hasAnnotations)
	labels, annotations := outworn(old, s)
	patch = appendRemovals(patch, "/metadata/labels", labels)
	patch = appendRemovals(patch, "/metadata/annotations", annotations)
	body, err := json.Marshal(patch)
	if err != nil {
		return nil, &Refused{Refusal: Invalid, Message: "the Secret can't be encoded"}
	}
	return body, nil
}

type patchOperation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// entryPath escapes a name as part of a path (RFC 6901).
var entryPath = strings.NewReplacer("~", "~0", "/", "~1")

// appendRemovals takes entries out of a map that is there. Whether an entry is there
// as well is not known, and to remove one that is not would fail all of the patch;
// so each is set before.
func appendRemovals(patch []patchOperation, path string, names []string) []patchOperation {
	for _, name := range names {
		entry := path + "/" + entryPath.Replace(name)
		patch = append(patch, patchOperation{"add", entry, "removed"}, patchOperation{Op: "remove", Path: entry})
	}
	return patch
}

// appendEntries sets entries of a map beside what else is in it, or the whole
// map where there is none yet.
func appendEntries(patch []patchOperation, path string, entries map[string]string, there bool) []patchOperation {
	if !there {
		return append(patch, patchOperation{"add", path, entries})
	}
	for key, entry := range entries {
		patch = append(patch, patchOperation{"add", path + "/" + entryPath.Replace(key), entry})
	}
	return patch
}

// landed takes in what became of a write.
func (c *Cluster) landed(ctx context.Context, k *client, f *flight, m *metav1.PartialObjectMetadata, digest Digest, err error, verb string) (*Copy, error) {
	at := f.sent.d.Key
	if err != nil {
		c.land(at, f, kindOf(err) != Unavailable)
		return nil, c.fails(ctx, err, verb)
	}
	r := described(&m.ObjectMeta)
	r.Manager = nil
	r.Type = intern(f.sent.d.kind())
	r.Digest = digest
	if !r.Watched {
		r.Owner = f.sent.d.Owner
	}
	r.Intact = r.Owner == f.sent.d.Owner && m.Annotations[AnnotationHash] == digest.String()
	r.Altered = f.sent.alteredMeta(&m.ObjectMeta).orNil()
	if !r.Watched {
		// No event will tell what became of the data.
		if s, err := k.secret(ctx, at); err == nil && s.ResourceVersion == r.ResourceVersion {
			r = c.observe(s, f.sent.d.Owner)
			r.Owner, r.Manager, r.Altered = f.sent.d.Owner, nil, f.sent.altered(s)
		}
	}
	return c.wrote(at, f, r), nil
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
func (c *Cluster) Replace(ctx context.Context, old *Copy, d Desired) (*Copy, error) {
	k, err := c.readyFor(old)
	if err != nil {
		return nil, err
	}
	there, err := k.secret(ctx, d.Key)
	switch {
	case err != nil:
		return nil, c.fails(ctx, err, "get")
	case string(there.UID) != old.UID || there.ResourceVersion != old.ResourceVersion:
		return nil, &Refused{Refusal: Conflict, Message: "the Secret was changed meanwhile"}
	case len(there.Finalizers) > 0:
		return nil, kept(there.Finalizers)
	}
	digest := c.hasher.Sum(c.Identity(), d.Key, d.Owner, d.Data)
	sends := d.sends(digest)
	s := sends.secret(d.Data)
	labels, annotations := outworn(old, sends)
	for _, name := range labels {
		delete(there.Labels, name)
	}
	for _, name := range annotations {
		delete(there.Annotations, name)
	}
	s.Labels, s.Annotations, s.OwnerReferences = beside(there.Labels, s.Labels), beside(there.Annotations, s.Annotations), there.OwnerReferences
	// The server looks at everything before it finds that the name is taken.
	switch _, err := k.create(ctx, s, true); kindOf(err) {
	case Exists:
	case None:
		return nil, &Refused{Refusal: Gone, Message: "no such Secret stands there"}
	default:
		err := c.fails(ctx, err, "create")
		if r, ok := err.(*Refused); ok {
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
	f := c.takeOff(d.Key, sends)
	if err := c.deleteOld(anew, d.Key, old); err != nil {
		c.land(d.Key, f, true)
		return nil, err
	}
	c.removed(d.Key, old)
	m, err := c.createAnew(anew, s, digest)
	if err != nil {
		c.log.Warn("a secret was deleted to be made anew and could not be created", "secret", d.Key.String(), "cause", refused(err, "create").Message)
	}
	return c.landed(context.WithoutCancel(ctx), k, f, m, digest, err, "create")
}

// deleteOld deletes a Secret that is to be made anew. A deletion that was not
// answered may have been done, so it is tried until that is known.
func (c *Cluster) deleteOld(ctx context.Context, at Key, old *Copy) error {
	var pauses backoff
	for doubtful := false; ; doubtful = true {
		finalizers, err := c.client.Load().delete(ctx, at, types.UID(old.UID), old.ResourceVersion)
		switch kind := kindOf(err); {
		case finalizers:
			return kept(nil) // somebody put them there in this very moment
		case err == nil, kind == Gone && doubtful:
			return nil
		case kind != Unavailable:
			return c.fails(ctx, err, "delete")
		}
		c.doubt(err)
		sleep(ctx, c.clock, pauses.next(anewFirst, anewMost))
		if ctx.Err() != nil {
			return refused(err, "delete")
		}
	}
}

func kept(finalizers []string) *Refused {
	return &Refused{Refusal: Kept, Message: fault.Clean(fmt.Sprintf(
		"the Secret has to be deleted and made anew, and its finalizers (%s) would keep it; it goes on once they are removed", strings.Join(finalizers, ", ")))}
}

// createAnew creates a Secret in whose place another was just deleted: trouble
// that passes is no reason to leave nothing there.
func (c *Cluster) createAnew(ctx context.Context, s *corev1.Secret, digest Digest) (*metav1.PartialObjectMetadata, error) {
	var pauses backoff
	for doubtful := false; ; {
		k := c.client.Load() // it may have been connected anew
		m, err := k.create(ctx, s, false)
		switch kindOf(err) {
		case Exists:
			if there, read := k.secret(ctx, Key{s.Namespace, s.Name}); doubtful && read == nil && there.Annotations[AnnotationHash] == digest.String() {
				// It was us; only, nobody said so.
				return &metav1.PartialObjectMetadata{ObjectMeta: there.ObjectMeta}, nil
			}
			return nil, err
		case Unavailable:
			doubtful = true
			c.doubt(err)
		case Throttled, AdmissionFailed:
		default:
			return m, err
		}
		sleep(ctx, c.clock, max(min(retryAfter(err), anewMost), pauses.next(anewFirst, anewMost)))
		if ctx.Err() != nil {
			return nil, err
		}
	}
}

func beside(theirs, ours map[string]string) map[string]string {
	both := make(map[string]string, len(theirs)+len(ours))
	maps.Copy(both, theirs)
	maps.Copy(both, ours)
	return both
}

// Delete removes just the Secret that was seen, in the state it was seen in. If
// finalizers keep it the refusal is Kept, and it goes when they do.
func (c *Cluster) Delete(ctx context.Context, at Key, old *Copy) error {
	k, err := c.readyFor(old)
	if err != nil {
		return err
	}
	finalizers, err := k.delete(ctx, at, types.UID(old.UID), old.ResourceVersion)
	switch {
	case err != nil:
		return c.fails(ctx, err, "delete")
	case finalizers:
		return &Refused{Refusal: Kept, Message: fault.Clean(fmt.Sprintf("its finalizers (%s) keep the Secret until they are removed", strings.Join(old.Finalizers, ", ")))}
	}
	c.removed(at, old)
	return nil
}
