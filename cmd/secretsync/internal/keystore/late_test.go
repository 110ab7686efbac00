package keystore

import (
	"context"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"secretsync/httpapi/apikey"
)

const secretOfAcme = "secretsync-keys-acme"

// What is told of a Secret by events, listings and the answers to single requests comes in any
// order. None of it brings a key back that was known to be revoked.
func TestWhatIsToldLateBringsNoKeyBack(t *testing.T) {
	type story struct {
		*world
		s      *Cluster // follows nothing; what is told comes by hand
		other  *server
		key    apikey.Key
		answer *late
		before *corev1.Secret // that holds the key, and is newer than what s knows
	}
	remove := func(w story, at *Cluster) {
		if _, err := at.Remove(w.Context(), w.key.Tenant, w.key.ID); err != nil {
			w.Error(err)
		}
	}
	deleted := func(w story) {
		if err := w.admin.Delete(w.Context(), secretOfAcme, metav1.DeleteOptions{}); err != nil {
			w.Error(err)
		}
	}
	list := func(w story) {
		if err := w.s.list(w.Context()); err != nil {
			w.Error(err)
		}
	}
	refresh := func(w story) {
		if err := w.s.Refresh(w.Context(), w.key.Tenant); err != nil {
			w.Error(err)
		}
	}
	for name, tell := range map[string]func(story){
		"an event from before a write of our own": func(w story) {
			refresh(w)
			remove(w, w.s)
			w.s.take(w.before)
		},
		"a listing from before a write of our own": func(w story) {
			refresh(w)
			w.answer.after("list", func() { remove(w, w.s) })
			list(w)
		},
		"a listing from before a change that was read": func(w story) {
			w.answer.after("list", func() { remove(w, w.other.Cluster); refresh(w) })
			list(w)
		},
		"a listing from before a deletion that was read": func(w story) {
			refresh(w)
			w.answer.after("list", func() { deleted(w); refresh(w) })
			list(w)
		},
		"an event from before a deletion that was read": func(w story) {
			deleted(w)
			refresh(w)
			w.s.take(w.before)
		},
		"an event from before a deletion, while that is read": func(w story) {
			deleted(w)
			w.answer.after("get", func() { w.s.take(w.before) })
			refresh(w)
		},
		"the answer to a read from before a deletion that was listed": func(w story) {
			w.answer.after("get", func() { deleted(w); list(w) })
			refresh(w)
		},
		"the answer to a write from before a deletion that was listed": func(w story) {
			refresh(w)
			w.answer.after("patch", func() { deleted(w); list(w) })
			if err := w.s.Add(w.Context(), newKey(w, "acme")); err != nil {
				w.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := story{world: newWorld(t)}
			w.other = w.open()
			w.key = w.add(w.other, "acme")
			w.answer = &late{Secrets: w.secrets(w.cluster.Config)}
			var err error
			if w.s, err = Open(t.Context(), Config{Secrets: w.answer}); err != nil {
				t.Fatal(err)
			}
			w.patch(secretOfAcme, `{"metadata":{"labels":{"backup":"daily"}}}`)
			w.before = w.get(secretOfAcme)
			if w.s.Get(w.key.ID) == nil {
				t.Fatal("the key was never known")
			}
			tell(w)
			if w.s.Get(w.key.ID) != nil {
				t.Error("a key that was revoked is let in")
			}
			if keys, err := w.s.Of(w.key.Tenant); err != nil || len(keys) > 0 {
				t.Errorf("%d keys, %v", len(keys), err)
			}
		})
	}
}

// late has something happen between the answer to a request and whoever asked, once.
type late struct {
	Secrets

	mu   sync.Mutex
	verb string
	do   func()
}

func (l *late) after(verb string, do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.verb, l.do = verb, do
}

func (l *late) answered(verb string) {
	l.mu.Lock()
	do := l.do
	if l.verb == verb {
		l.verb, l.do = "", nil
	} else {
		do = nil
	}
	l.mu.Unlock()
	if do != nil {
		do()
	}
}

func (l *late) Get(ctx context.Context, name string, o metav1.GetOptions) (*corev1.Secret, error) {
	s, err := l.Secrets.Get(ctx, name, o)
	l.answered("get")
	return s, err
}

func (l *late) List(ctx context.Context, o metav1.ListOptions) (*corev1.SecretList, error) {
	list, err := l.Secrets.List(ctx, o)
	l.answered("list")
	return list, err
}

func (l *late) Patch(ctx context.Context, name string, kind types.PatchType, patch []byte, o metav1.PatchOptions, subresources ...string) (*corev1.Secret, error) {
	s, err := l.Secrets.Patch(ctx, name, kind, patch, o, subresources...)
	l.answered("patch")
	return s, err
}
