package reconcile

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/gitstore"
	"secretsync/reconcile/cleanup"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
	"secretsync/reconcile/sweep"
)

func gone(s *corev1.Secret) bool { return s == nil }

// yaml is the file of a definition with targets in namespaces of the world's.
func (w *world) yaml(name, more string, secrets ...string) *string {
	var b strings.Builder
	fmt.Fprintf(&b, "name: %s\nsecretPath: %s\n%s", name, name, more)
	if len(secrets) == 0 {
		b.WriteString("sync: []\n")
	} else {
		b.WriteString("sync:\n")
	}
	for _, s := range secrets {
		fmt.Fprintf(&b, "  - cluster: production\n    namespace: %s\n    secretName: %s\n", w.namespace, s)
	}
	return new(b.String())
}

func fileOf(name string) string { return "secrets/" + name + ".yaml" }

const deletes = "deletionPolicy: Delete\n"

// live waits until a copy stands as its definition asks for.
func (w *world) live(name string, secrets ...string) {
	w.t.Helper()
	w.synced(name)
	for _, s := range secrets {
		w.until("production/./"+s, "a copy", func(s *corev1.Secret) bool { return s != nil })
	}
}

// weighed waits until the clean-up has looked at all that was taken in.
func (w *world) weighed() {
	w.t.Helper()
	for end := time.Now().Add(deadline); ; {
		changed := w.r.tenant(w.tenant()).changes.wait()
		if w.r.Taken(w.tenant()) == w.repo.Snapshot() && w.r.Weighed(w.tenant()) {
			return
		}
		select {
		case <-changed:
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(end) {
			w.t.Fatal("the clean-up did not look")
		}
	}
}

// stay waits until the clean-up has looked, and sees that copies stand still.
func (w *world) stay(secrets ...string) {
	w.t.Helper()
	w.weighed()
	w.stand("after it looked", secrets...)
}

func TestACopyGoesWithItsTargetWhereBothSaySo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.put("kept", map[string]any{"a": "1"})
	w.push(map[string]*string{
		fileOf("db"):   w.yaml("db", deletes, "one", "two", "three"),
		fileOf("kept"): w.yaml("kept", "", "kept", "other"),
	})
	w.live("db", "one", "two", "three")
	w.live("kept", "kept", "other")
	if s := w.get("production/./one"); s.Annotations["secretsync.dev/deletion-policy"] != "Delete" {
		t.Fatalf("the copy bears %v", s.Annotations)
	}

	w.push(map[string]*string{
		fileOf("db"):   w.yaml("db", deletes, "one", "two"),
		fileOf("kept"): w.yaml("kept", "", "other"),
	})
	w.until("production/./three", "nothing", gone)
	w.stay("one", "two", "kept")

	// What the policy says in the same commit counts: both must say it.
	w.push(map[string]*string{fileOf("db"): w.yaml("db", "deletionPolicy: Retain\n", "one")})
	w.synced("db")
	w.stay("two")
	w.push(map[string]*string{fileOf("db"): w.yaml("db", deletes, "one")})
	w.live("db", "one")
	w.until("production/./two", "nothing", gone) // it says so itself still, and the definition does again
	w.until("production/./one", "its mark", func(s *corev1.Secret) bool {
		return s.Annotations["secretsync.dev/deletion-policy"] == "Delete"
	})

	w.remove("db")
	w.until("production/./one", "nothing", gone)
	w.remove("kept")
	w.stay("kept", "other")
}

func TestWhatIsGoneFromGitByWhicheverWayGoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"pushed", "broken"} {
		w.put(name, map[string]any{"a": "1"})
		w.push(map[string]*string{fileOf(name): w.yaml(name, deletes, name)})
		w.live(name, name)
	}
	// A file that is broken stops nothing; with it gone its last valid version counts.
	w.push(map[string]*string{fileOf("broken"): new("name: [\n")})
	w.statusWhere("broken", "invalid", func(s status.Status) bool { return s.Ready.Reason == fault.ReasonInvalidDefinition })
	w.stay("broken")
	w.push(map[string]*string{fileOf("broken"): nil, fileOf("pushed"): nil})
	w.until("production/./broken", "nothing", gone)
	w.until("production/./pushed", "nothing", gone)
}

func TestACrashBetweenACommitAndADeletionLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.push(map[string]*string{fileOf("db"): w.yaml("db", deletes, "one", "two")})
	w.live("db", "one", "two")
	w.stop()
	w.push(map[string]*string{fileOf("db"): w.yaml("db", deletes, "one")})
	if w.get("production/./two") == nil {
		t.Fatal("nobody works, and it is gone")
	}
	w.start()
	w.until("production/./two", "nothing", gone)
	w.stay("one")
}

func TestACopyInWhichOthersHaveAShareStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.create("production", &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "owner"}})
	names := []string{"edited", "owned", "wanted", "plain"}
	for _, name := range names {
		w.put(name, map[string]any{"a": "1"})
		w.push(map[string]*string{fileOf(name): w.yaml(name, deletes, name)})
		w.live(name, name)
	}
	w.edit("production/./owned", func(s *corev1.Secret) {
		s.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Secret", Name: owner.Name, UID: owner.UID}}
	})
	w.edit("production/./wanted", func(s *corev1.Secret) { s.Annotations["secretsync.dev/adopt"] = "other/team" })
	w.stop()
	w.edit("production/./edited", func(s *corev1.Secret) { s.Data["a"] = []byte("by hand") })
	w.push(map[string]*string{fileOf("edited"): nil, fileOf("owned"): nil, fileOf("wanted"): nil, fileOf("plain"): nil})
	w.start()
	w.until("production/./plain", "nothing", gone)
	w.stay("edited", "owned", "wanted")
}

func TestATroubledRepositoryDeletesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.push(map[string]*string{fileOf("db"): w.yaml("db", deletes, "one")})
	w.push(map[string]*string{fileOf("db"): w.yaml("db", deletes, "one", "two")})
	w.live("db", "one", "two")
	repository := filepath.Join(w.dir, w.name+".git")
	git := func(args ...string) error {
		return exec.Command("git", append([]string{"--git-dir", repository}, args...)...).Run()
	}
	fastImport := func(text string) error {
		cmd := exec.Command("git", "--git-dir", repository, "fast-import", "--quiet", "--force")
		cmd.Stdin = strings.NewReader(text)
		return cmd.Run()
	}
	for what, lose := range map[string]func() error{
		"a branch that can't be read": func() error {
			return errors.Join(os.RemoveAll(filepath.Join(repository, "secretsync")), os.WriteFile(filepath.Join(repository, "refs/heads/main"), []byte("no commit\n"), 0o644))
		},
		"a branch that is gone":     func() error { return git("update-ref", "-d", "refs/heads/main") },
		"a repository that is gone": func() error { return os.RemoveAll(repository) },
		"objects that are gone":     func() error { return os.RemoveAll(filepath.Join(repository, "objects")) },
		"a file in place of the folder": func() error {
			return fastImport("commit refs/heads/main\ncommitter P <p@example.org> 1800000000 +0000\ndata 2\nx\nfrom refs/heads/main^0\ndeleteall\nM 100644 inline secrets\ndata 2\nhi\n")
		},
		"another history without definitions": func() error {
			return fastImport("commit refs/heads/main\ncommitter P <p@example.org> 1800000000 +0000\ndata 2\nx\ndeleteall\nM 100644 inline README\ndata 2\nhi\n")
		},
		"another history in which it was removed": func() error {
			file := *w.yaml("db", deletes, "one", "two")
			return fastImport(fmt.Sprintf("commit refs/heads/main\nmark :1\ncommitter P <p@example.org> 1800000000 +0000\ndata 2\nx\ndeleteall\nM 100644 inline secrets/db.yaml\ndata %d\n%s\n"+
				"commit refs/heads/main\ncommitter P <p@example.org> 1800000001 +0000\ndata 2\nx\nfrom :1\nD secrets/db.yaml\n", len(file), file))
		},
	} {
		saved := filepath.Join(t.TempDir(), "saved")
		w.restart(func() error {
			return errors.Join(exec.Command("cp", "-r", repository, saved).Run(), lose())
		})
		w.reachable()
		w.until("production/./one", what, func(s *corev1.Secret) bool { return s != nil })
		w.looked()
		w.stand(what, "one", "two")
		w.restart(func() error {
			return errors.Join(os.RemoveAll(repository), os.Rename(saved, repository))
		})
	}
	w.live("db", "one", "two")
}

// looked waits until the clean-up has looked since the clusters were listed.
func (w *world) looked() {
	w.t.Helper()
	for end := time.Now().Add(deadline); ; time.Sleep(10 * time.Millisecond) {
		if looked, asked := w.r.tenant(w.tenant()).sweeper.Looked(); looked && asked {
			return
		}
		if time.Now().After(end) {
			w.t.Fatal("the clean-up did not look")
		}
	}
}

// stand sees that copies stand still, whatever happened.
func (w *world) stand(what string, secrets ...string) {
	w.t.Helper()
	for _, s := range secrets {
		if there := w.get("production/./" + s); there == nil || there.DeletionTimestamp != nil {
			w.t.Errorf("%s: Secret %s was deleted", what, s)
		}
	}
}

func TestWhatTheConfigurationRefusesStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.push(map[string]*string{fileOf("db"): w.yaml("db", deletes, "one", "two", "three")})
	w.live("db", "one", "two", "three")
	grants := w.config.Tenants[0].Clusters
	production := w.cluster("production")
	old := grants[production]

	grants[production] = Grant{Cluster: old.Cluster, Namespaces: []string{"elsewhere"}}
	w.must(w.r.Reconfigure(w.config))
	w.firstIs("db", fault.ReasonNamespaceNotAllowed)
	w.stay("one", "two")

	delete(grants, production) // the same cluster by another name
	grants[w.cluster("renamed")] = old
	w.must(w.r.Reconfigure(w.config))
	w.firstIs("db", fault.ReasonClusterNotFound)
	w.stay("one", "two", "three")
	// What nobody names by either name goes.
	w.push(map[string]*string{fileOf("db"): w.yaml("db", deletes, "one", "two")})
	w.until("production/./three", "nothing", gone)
	w.stay("one", "two")

	delete(grants, w.cluster("renamed"))
	grants[production] = old
	w.config.Tenants[0].Suspend = true
	w.must(w.r.Reconfigure(w.config))
	w.firstIs("db", fault.ReasonSuspended)
	w.push(map[string]*string{fileOf("db"): w.yaml("db", deletes, "one")})
	w.stay("two")
	w.config.Tenants[0].Suspend = false
	w.must(w.r.Reconfigure(w.config))
	w.until("production/./two", "nothing", gone)

	w.config.Tenants = w.config.Tenants[:0]
	w.must(w.r.Reconfigure(w.config))
	if w.get("production/./one") == nil {
		t.Error("a tenant that left the configuration lost a copy")
	}
}

// firstIs waits until the first target of a definition stands for a reason.
func (w *world) firstIs(name string, want fault.Reason) {
	w.t.Helper()
	w.statusWhere(name, string(want), func(s status.Status) bool { return len(s.Targets) > 0 && s.Targets[0].Reason == want })
}

func TestMoreThanTheBrakeAllowsIsHeldUntilJustThatIsReleased(t *testing.T) {
	t.Parallel()
	for way, release := range map[string]func(w *world, id string) error{
		"by a call": func(w *world, id string) error {
			if _, err := w.r.ReleaseDeletions(w.tenant(), strings.Repeat("0", 32), "test"); !errors.Is(err, gitstore.ErrConflict) {
				w.t.Errorf("another list: %v", err)
			}
			_, err := w.r.ReleaseDeletions(w.tenant(), id, "key ak-1")
			return err
		},
		"by a trailer": func(w *world, id string) error {
			git := exec.Command("git", "--git-dir", filepath.Join(w.dir, w.name+".git"), "fast-import", "--quiet")
			message := "Release it\n\n" + sweep.TrailerRelease + ": " + id + "\n"
			git.Stdin = strings.NewReader(fmt.Sprintf("commit refs/heads/main\ncommitter P <p@example.org> 1800000000 +0000\ndata %d\n%s\nfrom refs/heads/main^0\n", len(message), message))
			return git.Run()
		},
	} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) { w.config.Brake = &cleanup.Brake{Copies: 4, Share: 50} })
			w.put("db", map[string]any{"a": "1"})
			w.put("other", map[string]any{"a": "1"})
			secrets := []string{"s1", "s2", "s3", "s4", "s5"}
			w.push(map[string]*string{
				fileOf("db"):    w.yaml("db", deletes, append(secrets, "stays")...),
				fileOf("other"): w.yaml("other", deletes, "o1", "o2", "o3", "o4", "o5", "o6", "o7"),
			})
			w.live("db", append(secrets, "stays")...)
			w.synced("other")
			w.push(map[string]*string{fileOf("db"): w.yaml("db", deletes, "stays")})
			s := w.statusWhere("db", "held", func(s status.Status) bool { return s.Ready.Reason == fault.ReasonDeletionHeld })
			if s.Phase != status.Pending || !strings.Contains(s.Ready.Message, "5 copies are not deleted") {
				t.Errorf("%+v", s)
			}
			if ts := w.r.Tenant(w.tenant()); ts.Phase != status.Degraded || ts.Reason != fault.ReasonDeletionHeld {
				t.Errorf("%+v", ts)
			}
			w.stay(secrets...)
			d := w.r.Deletions(w.tenant())
			if len(d.Held) != 5 || d.Allowed != 4 || d.ID == "" {
				t.Fatalf("%+v", d)
			}
			// A restart changes nothing of that, nor does another commit.
			w.restart(func() error { return nil })
			w.statusWhere("db", "held", func(s status.Status) bool { return s.Ready.Reason == fault.ReasonDeletionHeld })
			w.stay(secrets...)
			if again := w.r.Deletions(w.tenant()); again.ID != d.ID {
				t.Errorf("the list is %s, and was %s", again.ID, d.ID)
			}
			w.must(release(w, d.ID))
			for _, name := range secrets {
				w.until("production/./"+name, "nothing", gone)
			}
			w.synced("db")
			w.stay("stays", "o1")
			if d := w.r.Deletions(w.tenant()); d.ID != "" {
				t.Errorf("%+v", d)
			}
			if n := strings.Count(w.logs.String(), "deletion of copies held"); n != 2 { // once each start
				t.Errorf("it was logged %d times", n)
			}
		})
	}
}

// A copy that could not be written again bears the policy of earlier. It goes by what
// the definition says when its target does, whatever it said in between.
func TestACopyGoesWhereThePolicyComesBackWithTheTargetsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.push(map[string]*string{fileOf("db"): w.yaml("db", deletes, "one", "two", "three")})
	w.live("db", "one", "two", "three")
	w.stay("one", "two", "three")
	w.push(map[string]*string{fileOf("db"): w.yaml("db", "suspend: true\n", "one", "two", "three")})
	w.statusWhere("db", "suspended", func(s status.Status) bool { return s.Targets[0].Reason == fault.ReasonSuspended })
	// In the same commit, and in one after it.
	w.push(map[string]*string{fileOf("db"): w.yaml("db", "suspend: true\n", "one", "two")})
	w.stay("one", "two", "three")
	w.push(map[string]*string{fileOf("db"): w.yaml("db", deletes, "one")})
	w.until("production/./two", "nothing", gone)
	w.until("production/./three", "nothing", gone)
	w.stay("one")
}
