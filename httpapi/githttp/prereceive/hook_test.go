package prereceive

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"secretsync/reconcile"
)

// repository is a bare repository, and where the test is in it, as git runs the hook.
type repository struct {
	*testing.T
	rules Rules
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	path, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "acme.git")
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	r := &repository{T: t, rules: Rules{
		Git: path, Tenant: "acme", Branch: "main", Definitions: 3,
		Grants: map[string]reconcile.Grant{"production": {Namespaces: []string{"*"}}},
	}}
	r.git("init", "-q", "--bare", dir)
	t.Setenv("GIT_DIR", dir)
	return r
}

func (r *repository) git(args ...string) string {
	r.Helper()
	return r.feed("", args...)
}

func (r *repository) feed(in string, args ...string) string {
	r.Helper()
	cmd := exec.Command(r.rules.Git, args...)
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.Output()
	if err != nil {
		r.Fatalf("git %v: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}

// commit makes a commit whose folder secrets/ holds these lines of a tree.
func (r *repository) commit(lines ...string) string {
	r.Helper()
	secrets := r.feed(strings.Join(lines, "\x00")+"\x00", "mktree", "-z", "--missing")
	return r.root("040000 tree " + secrets + "\tsecrets")
}

func (r *repository) root(lines ...string) string {
	r.Helper()
	tree := r.feed(strings.Join(lines, "\x00")+"\x00", "mktree", "-z", "--missing")
	return r.git("-c", "user.name=d", "-c", "user.email=d@example.com", "commit-tree", "-m", "x", tree)
}

// file is the line of a tree for a file.
func (r *repository) file(name, content string) string {
	r.Helper()
	return "100644 blob " + r.feed(content, "hash-object", "-w", "--stdin") + "\t" + name
}

func (r *repository) judge(updates ...string) string {
	r.Helper()
	rules, err := r.rules.Encode()
	if err != nil {
		r.Fatal(err)
	}
	var terminal bytes.Buffer
	code := run(r.Context(), bytes.NewReader(rules), strings.NewReader(strings.Join(updates, "\n")), &terminal)
	if (code == 0) != (terminal.Len() == 0) {
		r.Errorf("exits with %d and says %q", code, terminal.String())
	}
	return terminal.String()
}

var none = strings.Repeat("0", 40)

func definitionFile(name string) string {
	return fmt.Sprintf("name: %s\nsecretPath: a\nsync:\n  - {cluster: production, namespace: %s}\n", name, name)
}

func TestWhatIsPushedIsJudged(t *testing.T) {
	r := newRepository(t)
	good := r.commit(r.file("good.yaml", definitionFile("good")))
	strange := r.commit(r.file("good.yaml", definitionFile("good")), r.file("\x1b[2Jx\nremote: all is well", "x"))
	blob := strings.Fields(r.file("x", "x"))[2]
	four := r.commit(r.file("four.yaml", definitionFile("four")), r.file("good.yaml", definitionFile("good")),
		r.file("more.yaml", definitionFile("more")), r.file("mute.yaml", definitionFile("mute")))
	share := func(name string, keys ...string) string {
		return r.file(name+".yaml", "name: "+name+"\nsecretPath: a\nmode: Merge\ndata: {"+strings.Join(keys, ": {key: k}, ")+": {key: k}}\nsync:\n  - {cluster: production, namespace: good, secretName: app}\n")
	}
	fills := r.file("db.yaml", "name: db\nsecretPath: a\nsync:\n  - {cluster: production, namespace: good, secretName: app}\n")
	apart, clash := r.commit(share("db", "d"), share("mail", "m")), r.commit(share("db", "d"), share("mail", "m", "d"))
	var all []string
	for i := range 30 {
		all = append(all, r.file(fmt.Sprintf("bad-%02d.yaml", i), "x"))
	}
	many := r.commit(all...)
	for _, c := range []struct {
		name, update string
		says         []string // nothing: it is taken
	}{
		{"a good branch", none + " " + good + " refs/heads/main", nil},
		{"another branch", none + " " + strange + " refs/heads/other", nil},
		{"a tag", none + " " + strange + " refs/tags/main", nil},
		{"a name that could forge lines", good + " " + strange + " refs/heads/main", []string{`"secrets/\x1b[2Jx\nremote: all is well": is not named`}},
		{"that name, which goes", strange + " " + good + " refs/heads/main", nil},
		{"that name, which stays", strange + " " + strange + " refs/heads/main", nil},
		{"a branch that is deleted", good + " " + none + " refs/heads/main", []string{"main holds the definitions and can't be deleted"}},
		{"another branch that is deleted", good + " " + none + " refs/heads/other", nil},
		{"a file in place of the folder", good + " " + r.root("100644 blob "+blob+"\tsecrets") + " refs/heads/main", []string{"secrets: is a file, not a folder"}},
		{"a link in place of the folder", good + " " + r.root("120000 blob "+blob+"\tsecrets") + " refs/heads/main", []string{"secrets: is a symbolic link"}},
		{"a submodule in place of the folder", good + " " + r.root("160000 commit "+good+"\tsecrets") + " refs/heads/main", []string{"secrets: is a submodule"}},
		{"no folder any more", good + " " + r.root("100644 blob "+blob+"\tREADME") + " refs/heads/main", nil},
		{"a submodule in the folder", good + " " + r.commit("160000 commit "+good+"\tsub.yaml") + " refs/heads/main", []string{"secrets/sub.yaml: is a submodule"}},
		{"more than are allowed", good + " " + four + " refs/heads/main", []string{"secrets: holds 4 definitions and 3 are allowed"}},
		{"more than are allowed, as before", four + " " + r.commit(r.file("five.yaml", definitionFile("five")), r.file("good.yaml", definitionFile("good")),
			r.file("more.yaml", definitionFile("more")), r.file("mute.yaml", definitionFile("mute"))) + " refs/heads/main", nil},
		{"two that share a Secret", none + " " + apart + " refs/heads/main", nil},
		{"a key that another asks for", apart + " " + clash + " refs/heads/main", []string{"secrets/mail.yaml:6: sync[0]: it asks for key d of production/good/app, as definition db does on line 6 of secrets/db.yaml"}},
		{"a key that the lesser name comes to ask for", r.commit(share("db", "x"), share("mail", "d")) + " " + r.commit(share("db", "x", "d"), share("mail", "d")) + " refs/heads/main",
			[]string{"secrets/db.yaml:6: sync[0]: it asks for key d of production/good/app, as definition mail does on line 6 of secrets/mail.yaml"}},
		{"a key that two asked for before", clash + " " + r.commit(r.file("good.yaml", definitionFile("good")), share("db", "d"), share("mail", "m", "d")) + " refs/heads/main", nil},
		{"one that comes to fill what another shares", apart + " " + r.commit(fills, share("mail", "m")) + " refs/heads/main", []string{"secrets/db.yaml:4: sync[0]: it fills production/good/app as a whole, which definition mail shares"}},
		{"many mistakes", good + " " + many + " refs/heads/main", []string{"mend 31 mistakes:", "secrets: holds 30 definitions", "secrets/bad-18.yaml", "and 11 more"}},
		{"a mistake in the second of two", none + " " + good + " refs/heads/other\n" + good + " " + strange + " refs/heads/main", []string{"is not named"}},
		{"a branch below the branch", none + " " + good + " refs/heads/main/x", []string{`where "main/x" is, there can be no branch main`}},
		{"a receipt", none + " " + good + " refs/notes/secretsync", []string{"written by the server alone"}},
		{"an object that is not there", good + " " + strings.Repeat("1", 40) + " refs/heads/main", []string{"can't be checked, so it is not taken"}},
		{"a line that is none of Git's", "--help x refs/heads/main", []string{"can't be checked"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			said := r.judge(c.update)
			if len(c.says) == 0 && said != "" {
				t.Errorf("says %s", said)
			}
			for _, words := range c.says {
				if !strings.Contains(said, words) {
					t.Errorf("says %q without %q", said, words)
				}
			}
			if strings.Contains(said, "\x1b") || strings.Count(said, "\n") > 22 {
				t.Errorf("says %q", said)
			}
		})
	}
	r.rules.MayDelete = true
	if said := r.judge(good + " " + none + " refs/heads/main"); said != "" {
		t.Errorf("where it is allowed: %s", said)
	}
}

func TestWhereCommitsHaveToBeSignedOthersAreRefused(t *testing.T) {
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("ssh-keygen is not there")
	}
	r := newRepository(t)
	dir := t.TempDir()
	for _, name := range []string{"listed", "other"} {
		if out, err := exec.Command(keygen, "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", filepath.Join(dir, name)).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	public, err := os.ReadFile(filepath.Join(dir, "listed.pub"))
	if err != nil {
		t.Fatal(err)
	}
	r.rules.AllowedSignersFile = filepath.Join(dir, "signers")
	if err := os.WriteFile(r.rules.AllowedSignersFile, []byte("d@example.com namespaces=\"git\" "+string(public)), 0o600); err != nil {
		t.Fatal(err)
	}
	tree := r.git("rev-parse", r.commit(r.file("good.yaml", definitionFile("good")))+"^{tree}")
	commit := func(key string, parents ...string) string {
		args := []string{"-c", "user.name=d", "-c", "user.email=d@example.com", "-c", "gpg.format=ssh", "-c", "user.signingKey=" + filepath.Join(dir, key), "commit-tree", "-m", "x", tree}
		if key != "" {
			args = append(args, "-S")
		}
		for _, p := range parents {
			args = append(args, "-p", p)
		}
		return r.git(args...)
	}
	root := commit("")
	signed := commit("listed", root)
	unsigned := commit("", signed)
	for _, c := range []struct {
		name, update, says string
	}{
		{"a signed commit upon what is there", root + " " + signed, ""},
		{"nothing new", signed + " " + signed, ""},
		{"one that is not signed", signed + " " + unsigned, "commit " + unsigned},
		{"one that is signed by another key", root + " " + commit("other", root), "is signed with"},
		{"a signed one upon one that is not", signed + " " + commit("listed", unsigned), "commit " + unsigned},
		{"a signed merge of one that is not", signed + " " + commit("listed", signed, unsigned), ""},
		{"a new branch with all its history", none + " " + signed, "commit " + root},
	} {
		t.Run(c.name, func(t *testing.T) {
			if said := r.judge(c.update + " refs/heads/main"); !strings.Contains(said, c.says) || c.says == "" && said != "" {
				t.Errorf("says %q, not %q", said, c.says)
			}
		})
	}
	// What was merged once comes back as what the branch descends from.
	hidden := commit("", root)
	merged := commit("listed", signed, hidden)
	turned := commit("listed", hidden, merged)
	if said := r.judge(merged + " " + turned + " refs/heads/main"); !strings.Contains(said, "commit "+hidden) {
		t.Errorf("an unsigned commit that was merged and is on the first-parent line now: %q", said)
	}
	if said := r.judge(none + " " + unsigned + " refs/heads/other"); said != "" {
		t.Errorf("another branch: %s", said)
	}
	r.rules.Since = root
	if said := r.judge(none + " " + signed + " refs/heads/main"); said != "" {
		t.Errorf("since the root: %s", said)
	}
	r.rules.AllowedSignersFile = filepath.Join(dir, "gone")
	if said := r.judge(root + " " + signed + " refs/heads/main"); !strings.Contains(said, "not taken") {
		t.Errorf("without the list: %s", said)
	}
}

func TestAFolderOfFarTooManyFilesIsRefusedUnread(t *testing.T) {
	r := newRepository(t)
	line := r.file("x", "x")
	var lines []string
	for i := range 10_013 {
		lines = append(lines, fmt.Sprintf("%sx-%05d.yaml", line[:len(line)-1], i))
	}
	good, crowd := r.commit(r.file("good.yaml", definitionFile("good"))), r.commit(lines...)
	if said := r.judge(good + " " + crowd + " refs/heads/main"); !strings.Contains(said, "holds more than 10012 files") {
		t.Errorf("says %s", said)
	}
	if said := r.judge(crowd + " " + good + " refs/heads/main"); said != "" {
		t.Errorf("the way back: %s", said)
	}
}

func TestWithoutRulesNothingIsTaken(t *testing.T) {
	for _, rules := range []string{"", "{}", `{"tenant":"acme","later":true}`, `{"tenant":"acme","grants":{"/":{}}}`} {
		var terminal bytes.Buffer
		if code := run(t.Context(), strings.NewReader(rules), strings.NewReader(""), &terminal); code == 0 || !strings.Contains(terminal.String(), "not taken") {
			t.Errorf("%q: %d %s", rules, code, terminal.String())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var terminal bytes.Buffer
	rules, _ := json.Marshal(Rules{Tenant: "acme"})
	if code := run(ctx, bytes.NewReader(rules), strings.NewReader(""), &terminal); code == 0 {
		t.Error("what takes too long is taken")
	}
}

func TestReferencesBeyondAllMeasureAreRefused(t *testing.T) {
	r := newRepository(t)
	good := r.commit(r.file("good.yaml", definitionFile("good")))
	var packed strings.Builder
	for i := range mostRefs {
		fmt.Fprintf(&packed, "%s refs/tags/t-%05d\n", good, i)
	}
	if err := os.WriteFile(filepath.Join(os.Getenv("GIT_DIR"), "packed-refs"), []byte(packed.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := r.judge(none + " " + good + " refs/tags/more"); !strings.Contains(said, "there can be 10000 branches") {
		t.Errorf("says %q", said)
	}
	if said := r.judge(good + " " + none + " refs/tags/t-00001"); said != "" {
		t.Errorf("one that is deleted: %s", said)
	}
}
