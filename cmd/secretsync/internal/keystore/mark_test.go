package keystore

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"errors"
	"secretsync/gitstore"
)

// markOf puts the note of a move that a version of another format might write.
func (w *world) mark(format string) {
	w.Helper()
	s := newSecret(markName, typeOfKeys)
	if s.Annotations[annotationFormat] = format; format == "" {
		delete(s.Annotations, annotationFormat)
	}
	if _, err := w.admin.Create(w.Context(), s, metav1.CreateOptions{}); err != nil {
		w.Fatal(err)
	}
}

// What a newer version notes of a move an older one does not take for its own: it may say that the
// keys are elsewhere by now, or that they are here again.
func TestANoteOfAMoveThatIsNotUnderstoodIsNeitherAMoveNorNone(t *testing.T) {
	for format, want := range map[string]string{
		"2": "the Secret secretsync-moved has format 2, and this version of secretsync knows none above 1: run the version that wrote it",
		"":  "the Secret secretsync-moved has no annotation secretsync.dev/format",
	} {
		t.Run("format "+format, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			running := w.open()
			known := w.add(running, "acme")
			w.mark(format)
			w.until("a server that runs makes no key any more", func() bool {
				err := running.Add(t.Context(), newKey(t, "acme"))
				return errors.Is(err, gitstore.ErrUnavailable) && strings.Contains(err.Error(), want)
			})
			if _, err := running.Remove(t.Context(), known.Tenant, known.ID); !errors.Is(err, gitstore.ErrUnavailable) || !strings.Contains(err.Error(), want) {
				t.Errorf("it revokes: %v", err)
			}
			if running.Get(known.ID) == nil {
				t.Error("a key that was known does not go on")
			}
			if n := strings.Count(running.log.String(), "no API key is made or revoked here"); n != 1 {
				t.Errorf("that is logged %d times:\n%s", n, running.log)
			}
			if _, err := Open(t.Context(), Config{Secrets: w.secrets(w.cluster.Config)}); err == nil || errors.Is(err, gitstore.ErrUnavailable) || !strings.Contains(err.Error(), want) {
				t.Errorf("a server begins: %v", err)
			}
			if err := w.admin.Delete(t.Context(), markName, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			w.until("keys are made again", func() bool { return running.Add(t.Context(), newKey(t, "acme")) == nil })
		})
	}
}
