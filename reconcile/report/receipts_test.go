package report

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"secretsync/reconcile/fault"
)

// git runs stock git in the repository as a person, and may fail.
func (w *world) git(args ...string) (string, error) {
	cmd := exec.Command("git", append([]string{"--git-dir", w.repository.GitDir, "-c", "user.name=Pat", "-c", "user.email=pat@example.org"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// noted waits till stock git shows a note on a commit.
func (w *world) noted(commit string) string {
	w.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		out, err := w.git("notes", "--ref=secretsync", "show", commit)
		if err == nil {
			return out
		}
		if time.Now().After(deadline) {
			w.Fatalf("no note on %s: %s", commit, out)
		}
	}
}

func (w *world) unnoted(commit string) {
	w.Helper()
	if out, err := w.git("notes", "--ref=secretsync", "show", commit); err == nil {
		w.Errorf("%s has the note %s", commit, out)
	}
}

func (w *world) fsck() {
	w.Helper()
	out, err := w.git("fsck", "--full", "--strict", "--no-dangling", "--no-progress")
	if err != nil || strings.TrimSpace(out) != "" {
		w.Errorf("fsck: %v %s", err, out)
	}
}

func TestAReceiptSaysWhenACommitBecameLiveAndWhere(t *testing.T) {
	w := newWorld(t)
	w.stand("b", fault.Pending, fault.ReasonNamespaceNotFound)
	id := w.push("db", "a", "b")
	w.run(quick, w.tenant(true))
	readme := w.pushFile("README", "x")
	other := w.push("other", "a")
	w.noted(other)
	w.unnoted(readme)
	w.unnoted(id)
	w.stand("b", "", "")
	w.noted(id)
	log := w.repository.MustGit("log", "--notes=secretsync", "-1", id)
	if !regexp.MustCompile(`(?s)Notes \(secretsync\):\s+Live: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\s+Server: secretsync\.example\.org\s+Target: production/a/db \(vault version 7\)\s+Target: production/b/db \(vault version 7\)`).MatchString(log) {
		t.Errorf("git log shows\n%s", log)
	}
	for _, word := range []string{"canary", "10.0.0.1"} {
		if strings.Contains(w.repository.MustGit("log", "-p", NotesRef), word) {
			t.Errorf("the notes hold %q", word)
		}
	}
	w.fsck()
}

func TestAReceiptTellsWhatWasRemovedAndSuperseded(t *testing.T) {
	w := newWorld(t)
	w.run(quick, w.tenant(true))
	w.noted(w.push("base", "a"))
	w.stand("b", fault.Pending, fault.ReasonNamespaceNotFound)
	first := w.push("db", "a", "b")
	w.noted(w.push("marker", "a")) // so the first was met
	second := w.push("db", "a")
	if note := w.noted(first); !strings.Contains(note, "Superseded: secrets/db.yaml by "+second) || !strings.Contains(note, "Target: production/a/db") {
		t.Error(note)
	}
	gone := w.repository.MustPush(map[string]*string{"secrets/db.yaml": nil}).Head().String()
	w.stand("x", "", "")
	if note := w.noted(gone); !strings.Contains(note, "Not-Synced-Any-More: secrets/db.yaml") {
		t.Error(note)
	}
}

func TestEachCommitOfAPushGetsAReceiptAndWhatWasBeforeDoesNot(t *testing.T) {
	w := newWorld(t)
	old := w.push("old", "a")
	base := w.push("base", "a")
	w.run(quick, w.tenant(true))
	w.noted(base)
	// Five commits come at once, by one move of the branch.
	script := "reset refs/heads/aside\nfrom " + base + "\n\n"
	for n := range 5 {
		script += fmt.Sprintf("commit refs/heads/aside\ncommitter P <p@example.org> %d +0000\ndata 1\n.\nM 100644 inline secrets/n-%d.yaml\ndata <<END\nname: n-%d\nsecretPath: a\nsync: []\nEND\n\n", time.Now().Unix(), n, n)
	}
	load := exec.Command("git", "--git-dir", w.repository.GitDir, "fast-import", "--quiet")
	load.Stdin = strings.NewReader(script)
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	ids := strings.Fields(w.repository.MustGit("rev-list", base+"..aside"))
	if len(ids) != 5 {
		t.Fatalf("made %v", ids)
	}
	before := w.repository.Snapshot()
	w.repository.MustGit("update-ref", "refs/heads/main", ids[0])
	if _, err := w.repository.Wait(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	w.stand("x", "", "")
	for _, id := range ids {
		w.noted(id)
	}
	w.unnoted(old)
	w.fsck()
}

func TestNotesOfOthersStay(t *testing.T) {
	w := newWorld(t)
	first := w.push("first", "a")
	person := func(args ...string) {
		if out, err := w.git(append([]string{"notes", "--ref=secretsync"}, args...)...); err != nil {
			t.Fatalf("git notes: %v %s", err, out)
		}
	}
	person("add", "-m", "reviewed by hand", first)
	w.run(quick, w.tenant(true))
	var ids []string
	for n := range 8 {
		ids = append(ids, w.push(fmt.Sprintf("n-%d", n), "a"))
		w.noted(ids[n])
	}
	// Git writes the notes anew, in folders or without as it likes.
	person("append", "-m", "seen", ids[3])
	last := w.push("last", "a")
	w.noted(last)
	if note := w.noted(first); strings.TrimSpace(note) != "reviewed by hand" {
		t.Errorf("a person's note is now %q", note)
	}
	if note := w.noted(ids[3]); !strings.Contains(note, "Live: ") || !strings.Contains(note, "seen") {
		t.Errorf("both notes are now %q", note)
	}
	if list := w.repository.MustGit("notes", "--ref=secretsync", "list"); len(strings.Split(list, "\n")) != 10 {
		t.Errorf("the notes are\n%s", list)
	}
	w.fsck()
}

func TestSeveralServersNoteACommitOnce(t *testing.T) {
	w := newWorld(t)
	w.run(quick, w.tenant(true))
	w.dir += "-2"
	w.run(quick, w.tenant(true))
	for n := range 10 {
		note := w.noted(w.push(fmt.Sprintf("n-%d", n), "a"))
		if strings.Count(note, "Live: ") != 1 {
			t.Error(note)
		}
	}
	w.fsck()
}

func TestACommitThatIsLiveOnlyAfterARestartGetsItsReceipt(t *testing.T) {
	w := newWorld(t)
	w.stand("b", fault.Pending, fault.ReasonNamespaceNotFound)
	_, stop := w.run(quick, w.tenant(true))
	id := w.push("db", "b")
	w.noted(w.push("marker", "a"))
	stop()
	meanwhile, newest := w.push("meanwhile", "a"), w.push("newest", "a")
	w.run(quick, w.tenant(true))
	w.noted(meanwhile)
	w.noted(newest)
	w.unnoted(id)
	w.stand("b", "", "")
	w.noted(id)
}

func TestCommitsThatAreAwaitedAreBounded(t *testing.T) {
	w := newWorld(t)
	c := newReceipts(mustReporter(w), w.tenant(true))
	for n := range mostAwaited + 3 {
		c.await(fmt.Sprintf("%040d", n))
	}
	if len(c.awaited) != mostAwaited || c.awaited[0].SHA != fmt.Sprintf("%040d", 3) {
		t.Errorf("%d are awaited, the first is %s", len(c.awaited), c.awaited[0].SHA)
	}
}
