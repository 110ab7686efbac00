package gitstore

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/internal/gitdir/object"
	"secretsync/gitstore/operation"
	"secretsync/gitstore/signature"
)

// signedStory is a story of a tenant whose commits have to be signed: by Pat, who
// pushes, or by the server.
type signedStory struct {
	*story
	folder   string // with the keys and the list
	signing  SigningKey
	registry *prometheus.Registry // of the store since the last restart
}

func newSignedStory(t *testing.T) *signedStory {
	t.Helper()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("ssh-keygen is not installed")
	}
	s := &signedStory{story: newStory(t), folder: t.TempDir()}
	s.signing = SigningKey{File: s.file("server")}
	for _, name := range []string{"pat", "server", "eve"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", s.file(name)).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	s.list(s.line("pat", ""), s.line("server", ""))
	s.restart(catalog.Revision{})
	return s
}

func (s *signedStory) file(name string) string { return filepath.Join(s.folder, name) }

func (s *signedStory) line(name, options string) string {
	s.Helper()
	return name + "@example.org " + options + " " + strings.TrimSpace(string(mustRead(s, s.file(name+".pub"))))
}

// list writes the list of who may sign.
func (s *signedStory) list(lines ...string) {
	s.Helper()
	s.must(os.WriteFile(s.file("allowed"), []byte(strings.Join(lines, "\n")+"\n"), 0o644))
}

func (s *signedStory) settings(since catalog.Revision) Settings {
	return Settings{AllowForcePush: true, Signatures: Signatures{AllowedSignersFile: s.file("allowed"), Since: since}}
}

// restart opens the store anew.
func (s *signedStory) restart(since catalog.Revision) {
	s.Helper()
	s.close()
	s.registry = prometheus.NewRegistry()
	store, err := Open(Config{Dir: s.dir, SigningKey: s.signing, Metrics: s.registry})
	s.must(err)
	s.store = store
	store.Configure(mustParse(ParseTenantName("acme")), s.settings(since))
	s.repo = s.opened("acme")
}

// seen returns when the store has seen what stands now, as who writes does.
func (s *signedStory) seen() error {
	_, err := s.repo.Patch(s.Context(), somebody, name("none"), operation.Unconditional(), nil)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// pushed commits with somebody's key, or nobody's, and pushes.
func (c *workTree) pushedBy(keys *signedStory, who, message string) catalog.Revision {
	c.Helper()
	c.git(c.dir, "add", "-A")
	args := []string{"commit", "-q", "--allow-empty", "-m", message}
	if who != "" {
		args = append([]string{"-c", "gpg.format=ssh", "-c", "user.signingKey=" + keys.file(who)}, append(args, "-S")...)
	}
	c.git(c.dir, args...)
	head := c.push("--force")
	keys.must(keys.seen())
	return head
}

func TestTheNewestRevisionThatIsSignedThroughoutIsInForce(t *testing.T) {
	s := newSignedStory(t)
	first := s.create(defined("alpha", "production/default"))
	s.git(s.gitDir(), "-c", "gpg.ssh.allowedSignersFile="+s.file("allowed"), "verify-commit", first.Revision.String())
	if said := s.git(s.gitDir(), "-c", "gpg.ssh.allowedSignersFile="+s.file("allowed"), "log", "-1", "--show-signature", "main"); !strings.Contains(said, `Good "git" signature for server@example.org`) {
		t.Errorf("git log says\n%s", said)
	}
	s.fsck()

	c := s.clone()
	c.write("secrets/beta.yaml", fileOf("beta", "default"))
	signed := c.pushedBy(s, "pat", "signed")
	if got := s.repo.Snapshot().Head(); got != signed || s.repo.Withheld() != nil || s.problems() != "" {
		t.Fatalf("HEAD is %s, not %s: %s", got, signed, s.problems())
	}
	c.write("secrets/gamma.yaml", fileOf("gamma", "default"))
	unsigned := c.pushedBy(s, "", "not signed")
	stays := func(tip catalog.Revision, reason string) {
		t.Helper()
		if got := s.repo.Snapshot().Head(); got != signed {
			t.Errorf("HEAD is %s, not %s", got, signed)
		}
		if w := s.repo.Withheld(); w == nil || w.Tip != tip || w.Commit != unsigned || !strings.Contains(w.Reason, reason) {
			t.Errorf("withheld is %+v", w)
		}
		if told := s.problems(); !strings.Contains(told, unsigned.String()) || !strings.Contains(told, reason) || !strings.Contains(told, "signatures.since") {
			t.Errorf("told is %q", told)
		}
		if err := s.repo.Healthy(); err != nil {
			t.Error(err)
		}
	}
	stays(unsigned, "is not signed")
	if _, err := s.repo.Create(t.Context(), somebody, defined("delta")); !errors.Is(err, ErrConflict) || errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), unsigned.String()) {
		t.Errorf("a write on top of it: %v", err)
	}
	if _, err := s.repo.Patch(t.Context(), somebody, name("alpha"), operation.Exists(), targets("production/default")); err != nil {
		t.Errorf("a write that changes nothing: %v", err)
	}
	on := c.pushedBy(s, "pat", "signed, on top of it")
	stays(on, "is not signed")
	s.restart(catalog.Revision{})
	stays(on, "is not signed")

	// The operator vouches for it.
	s.store.Configure(s.repo.Tenant(), s.settings(unsigned))
	s.must(s.seen())
	if got := s.repo.Snapshot().Head(); got != on || s.repo.Withheld() != nil || s.problems() != "" {
		t.Errorf("HEAD is %s, not %s; %s", got, on, s.problems())
	}
	s.create(defined("delta"))

	// Or it is replaced by one that is signed.
	s.store.Configure(s.repo.Tenant(), s.settings(catalog.Revision{}))
	s.must(s.seen())
	c.git(c.dir, "reset", "-q", "--hard", signed.String())
	c.write("secrets/gamma.yaml", fileOf("gamma", "other"))
	c.git(c.dir, "add", "-A")
	amended := c.pushedBy(s, "pat", "signed now")
	if got := s.repo.Snapshot().Head(); got != amended || s.repo.Withheld() != nil {
		t.Errorf("HEAD is %s, not %s; %s", got, amended, s.problems())
	}
	s.fsck()
}

func TestWhoIsNotListedDoesNotCount(t *testing.T) {
	s := newSignedStory(t)
	s.create(defined("alpha"))
	c := s.clone()
	by := c.pushedBy(s, "eve", "by Eve")
	if w := s.repo.Withheld(); w == nil || w.Commit != by || !strings.Contains(w.Reason, "not listed") {
		t.Fatalf("withheld is %+v", w)
	}
	s.list(s.line("pat", ""), s.line("server", ""), s.line("eve", ""))
	s.must(s.seen())
	if got := s.repo.Snapshot().Head(); got != by {
		t.Errorf("HEAD is %s, not %s: %s", got, by, s.problems())
	}
}

func TestAMergeStandsForWhatItMerges(t *testing.T) {
	s := newSignedStory(t)
	s.create(defined("alpha"))
	c := s.clone()
	c.git(c.dir, "checkout", "-q", "-b", "feature")
	c.write("secrets/beta.yaml", fileOf("beta", "default"))
	c.commit("not signed, on a branch")
	c.git(c.dir, "checkout", "-q", "main")
	c.git(c.dir, "-c", "gpg.format=ssh", "-c", "user.signingKey="+s.file("pat"), "merge", "-q", "--no-ff", "-S", "-m", "merged", "feature")
	head := c.push()
	s.must(s.seen())
	if got := s.repo.Snapshot().Head(); got != head {
		t.Errorf("HEAD is %s, not %s: %s", got, head, s.problems())
	}
}

func TestAKeyThatIsTakenOffTheListCountsNoMoreAndOneThatWasGivenAnEndDoes(t *testing.T) {
	s := newSignedStory(t)
	first := s.create(defined("alpha"))
	c := s.clone()
	c.pushedBy(s, "pat", "by Pat")
	by := s.create(defined("beta")).Revision
	s.list(s.line("server", ""))
	s.must(s.seen())
	if got := s.repo.Snapshot().Head(); got != first.Revision {
		t.Errorf("without Pat's key HEAD is %s", got)
	}
	if got := gauge(t, s.registry, "secretsync_gitstore_rewrites_total"); got != 0 {
		t.Errorf("%v rewrites are counted, and nobody rewrote", got)
	}
	if got := gauge(t, s.registry, "secretsync_gitstore_withheld"); got != 1 {
		t.Errorf("withheld is %v", got)
	}
	if told := s.problems(); strings.Contains(told, "rewritten") || !strings.Contains(told, "not listed") {
		t.Errorf("told is %q", told)
	}
	s.list(s.line("server", ""), s.line("pat", `valid-before="`+time.Now().Add(time.Minute).UTC().Format("20060102150405")+`Z"`))
	s.must(s.seen())
	if got := s.repo.Snapshot().Head(); got != by || s.problems() != "" {
		t.Errorf("with an end HEAD is %s, not %s: %s", got, by, s.problems())
	}
}

func TestARestartVerifiesNothingAgain(t *testing.T) {
	s := newSignedStory(t)
	for i := range 5 {
		s.create(defined(fmt.Sprintf("def-%d", i)))
	}
	// What is known is read when nobody writes it any more.
	verified := func() (n int) {
		s.Helper()
		s.close()
		for _, line := range strings.Fields(s.git(s.gitDir(), "rev-list", "main")) {
			if id, ok := object.ParseHash([]byte(line)); ok && s.repo.trust.Good(id) {
				n++
			}
		}
		return n
	}
	if got := verified(); got != 5 {
		t.Errorf("%d commits are known to be good", got)
	}
	s.restart(catalog.Revision{})
	s.create(defined("more"))
	if got := verified(); got != 2 {
		t.Errorf("after the restart %d commits were verified", got-1)
	}
	// But under another list each is.
	s.list(s.line("server", ""))
	s.restart(catalog.Revision{})
	if got := verified(); got != 6 {
		t.Errorf("under another list %d commits were verified", got)
	}
}

func TestNothingUnsignedIsInForceAfterAStart(t *testing.T) {
	s := newSignedStory(t)
	s.close()
	s.open() // nothing has to be signed, nor is it
	s.create(defined("alpha"))
	s.restart(catalog.Revision{})
	if s.repo.Snapshot().Read() {
		t.Errorf("in force is %s", s.repo.Snapshot().Head())
	}
	if err := s.repo.Healthy(); !errors.Is(err, ErrUnavailable) || !strings.Contains(Cause(err), "is not signed") {
		t.Errorf("health: %v (%s)", err, Cause(err))
	}
	c := s.clone()
	since := mustParse(catalog.ParseRevision(c.git(c.dir, "rev-parse", "HEAD")))
	s.restart(since)
	s.create(defined("beta"))
	if got := len(s.repo.Snapshot().Entries()); got != 2 {
		t.Errorf("%d definitions", got)
	}
}

func TestTheListOfSignersIsFollowed(t *testing.T) {
	s := newSignedStory(t)
	s.create(defined("alpha"))
	s.list(s.line("pat", ""), "nonsense", s.line("server", ""))
	s.must(s.seen())
	if told := s.problems(); !strings.Contains(told, "line 2") {
		t.Errorf("told is %q", told)
	}
	s.create(defined("beta"))
	s.must(os.Remove(s.file("allowed")))
	before := s.repo.Snapshot()
	if err := s.seen(); !errors.Is(err, ErrUnavailable) || !strings.Contains(Cause(err), "list of those who may sign") {
		t.Errorf("without the list: %v", err)
	}
	if s.repo.Snapshot() != before {
		t.Error("another snapshot is in force")
	}
	s.list(s.line("server", ""))
	s.must(s.seen())
	s.create(defined("gamma"))
	if told := s.problems(); told != "" {
		t.Errorf("told is %q", told)
	}
}

func TestOurCommitsAreSignedOrNotMade(t *testing.T) {
	s := newSignedStory(t)
	s.create(defined("alpha"))
	refused := func(kind error, words string) {
		t.Helper()
		before := s.head()
		_, err := s.repo.Create(t.Context(), somebody, defined("refused"))
		if !errors.Is(err, kind) || !strings.Contains(err.Error(), words) {
			t.Errorf("not %v with %q: %v", kind, words, err)
		}
		if s.head() != before || s.git(s.gitDir(), "rev-parse", "main") != before {
			t.Error("a commit was made")
		}
	}
	s.list(s.line("pat", ""))
	refused(ErrConflict, "") // what was signed by the server counts no more
	s.list(s.line("server", `valid-before="`+time.Now().Add(-time.Hour).UTC().Format("20060102150405")+`Z"`))
	refused(ErrConflict, "")
	s.list(s.line("server", ""))
	s.must(s.seen())
	s.must(os.Rename(s.file("server"), s.file("away")))
	refused(signature.ErrKey, "commits can't be signed now")
	s.must(os.WriteFile(s.file("server"), []byte("nonsense"), 0o600))
	refused(signature.ErrKey, "neither an SSH private key")
	if err := s.repo.Healthy(); !errors.Is(err, ErrUnavailable) || !strings.Contains(Cause(err), "signs its commits") {
		t.Errorf("health: %v", err)
	}
	s.must(os.Rename(s.file("away"), s.file("server")))
	s.create(defined("beta"))
	s.must(s.repo.Healthy())
	s.signing = SigningKey{}
	s.restart(catalog.Revision{})
	refused(ErrConflict, "has no key to sign with")
	s.signing = SigningKey{File: s.file("eve")}
	s.restart(catalog.Revision{})
	refused(ErrConflict, "not listed")
}

func TestARevertInGitIsACommitAsAnyOther(t *testing.T) {
	s := newStory(t)
	e := s.create(defined("alpha", "production/default"))
	patched, err := s.repo.Patch(t.Context(), somebody, e.Name, operation.OneOf(e.Revision), targets("staging/default"))
	s.must(err)
	c := s.clone()
	c.git(c.dir, "checkout", "-q", "-b", "undo")
	c.git(c.dir, "revert", "--no-edit", patched.Revision.String())
	c.git(c.dir, "checkout", "-q", "main")
	c.git(c.dir, "merge", "-q", "--no-ff", "-m", "Merge the revert", "undo")
	got := s.get(s.at(c.push()), "alpha")
	if got.Stored.Blob != e.Stored.Blob || got.Revision == e.Revision || got.Created != e.Created {
		t.Errorf("it stands as %+v", got)
	}
}

func TestWhereHistoryIsCutOffWhatIsThereHasToBeSigned(t *testing.T) {
	s := newSignedStory(t)
	c := s.clone()
	c.write("README.md", "hello")
	c.git(c.dir, "add", "-A")
	c.git(c.dir, "commit", "-q", "-m", "not signed, and not cloned")
	c.write("secrets/alpha.yaml", fileOf("alpha", "default"))
	c.git(c.dir, "add", "-A")
	c.git(c.dir, "-c", "gpg.format=ssh", "-c", "user.signingKey="+s.file("pat"), "commit", "-q", "-S", "-m", "signed")
	s.close()
	s.must(os.RemoveAll(s.gitDir()))
	s.git(s.dir, "clone", "-q", "--bare", "--depth=1", "file://"+c.dir, s.gitDir())
	s.restart(catalog.Revision{})
	if got := len(s.repo.Snapshot().Entries()); got != 1 || s.repo.Withheld() != nil {
		t.Errorf("%d definitions; %v", got, s.repo.Healthy())
	}
}
