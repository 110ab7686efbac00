package remote

import (
	"strings"
	"testing"

	"secretsync/gitstore/internal/remote/wire"
)

func testRemote(t *testing.T) *Remote {
	t.Helper()
	e, err := ParseEndpoint(Settings{URL: "https://forge.example/x"})
	if err != nil {
		t.Fatal(err)
	}
	hosts := NewHosts(HostsConfig{})
	r := New(e, hosts)
	t.Cleanup(func() { r.Close(); hosts.Close() })
	return r
}

// The reasons are those that stock Git 2.39 to 2.50 and the forges give.
func TestReasonsForARefusedPush(t *testing.T) {
	const main = "refs/heads/main"
	r := testRemote(t)
	for name, c := range map[string]struct {
		why, words string
		want       Kind
	}{
		"stock Git, no fast-forward":         {"non-fast-forward", "", Stale},
		"stock Git, moved meanwhile":         {"failed to update ref", "error: cannot lock ref 'refs/heads/main': is at 1111 but expected 2222", Stale},
		"stock Git, locked":                  {"cannot lock ref", "", Stale},
		"stock Git, made meanwhile":          {"reference already exists", "", Stale},
		"stock Git, removed meanwhile":       {"reference does not exist", "", Stale},
		"stock Git, moved meanwhile, 2.50":   {"incorrect old value provided", "", Stale},
		"stock Git, base gone":               {"missing necessary objects", "", Stale},
		"stock Git, hook":                    {"pre-receive hook declined", "no", Rejected},
		"stock Git, hook that says so":       {"hook declined", "non-fast-forward pushes are for owners", Rejected},
		"stock Git, checked out":             {"branch is currently checked out", "", Rejected},
		"stock Git, deletion":                {"deletion prohibited", "", Rejected},
		"GitHub, protected":                  {"protected branch hook declined", "error: GH006: Protected branch update failed for refs/heads/main.\nerror: Changes must be made through a pull request.", Rejected},
		"GitHub, rules":                      {"push declined due to repository rule violations", "error: GH013: Repository rule violations found", Rejected},
		"GitHub, moved meanwhile":            {"cannot lock ref 'refs/heads/main': is at 1111 but expected 2222", "", Stale},
		"GitLab, protected":                  {"pre-receive hook declined", "GitLab: You are not allowed to push code to protected branches on this project.", Rejected},
		"GitLab, moved meanwhile":            {"cannot lock ref 'refs/heads/main'", "", Stale},
		"Gitea, protected":                   {"pre-receive hook declined", "Gitea: Not allowed to push to protected branch main", Rejected},
		"Azure DevOps, policy":               {"TF402455: Pushes to this branch are not permitted; you must use a pull request to update this branch.", "", Rejected},
		"Azure DevOps, moved meanwhile":      {"TF401028: The reference 'refs/heads/main' has already been updated by another client, so you cannot update it. Please try again.", "", Stale},
		"Bitbucket, permissions":             {"pre-receive hook declined", "Permission denied to update branch main.", Rejected},
		"Bitbucket Data Center, permissions": {"pre-receive hook declined", "Branch refs/heads/main can only be modified through pull requests.", Rejected},
		"JGit, no fast-forward":              {"non-fast forward", "", Stale},
		"JGit, locked":                       {"lock error: Cannot lock", "", Stale},
	} {
		err := r.judge(wire.Report{Unpack: "ok", Refused: map[string]string{main: c.why}, Words: c.words}, []Update{{Ref: main}})
		if KindOf(err) != c.want || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s is %q: %v", name, KindOf(err), err)
		}
	}
	two := []Update{{Ref: main}, {Ref: "refs/notes/x"}}
	for name, c := range map[string]struct {
		report wire.Report
		kind   Kind
		ref    string
	}{
		"all are made":     {wire.Report{Unpack: "ok"}, "", ""},
		"a full disk":      {wire.Report{Unpack: "No space left on device", Refused: map[string]string{main: "unpacker error", "refs/notes/x": "unpacker error"}}, Unavailable, ""},
		"one and its kin":  {wire.Report{Unpack: "ok", Refused: map[string]string{main: "atomic push failure", "refs/notes/x": "hook declined"}}, Rejected, "refs/notes/x"},
		"kin of the stale": {wire.Report{Unpack: "ok", Refused: map[string]string{main: "failed to update ref", "refs/notes/x": "atomic transaction failed"}}, Stale, main},
		"kin first":        {wire.Report{Unpack: "ok", Refused: map[string]string{main: "atomic transaction failed", "refs/notes/x": "failed to update ref"}}, Stale, "refs/notes/x"},
		"only one":         {wire.Report{Unpack: "ok", Refused: map[string]string{main: "hook declined"}}, Unknown, main},
	} {
		err := r.judge(c.report, two)
		e, _ := err.(*Error)
		if KindOf(err) != c.kind || e != nil && e.Ref != c.ref {
			t.Errorf("%s: %q, %v", name, KindOf(err), err)
		}
	}
}

func TestWordsInPlaceOfAnAnswer(t *testing.T) {
	for words, want := range map[string]Kind{
		"ERROR: Repository not found.\nfatal: Could not read from remote repository.":                                                                NotFound,
		"fatal: '/srv/x.git' does not appear to be a git repository":                                                                                 NotFound,
		"remote: ERROR: The project you were looking for could not be found or you don't have permission to view it.":                                NotFound,
		"TF401019: The Git repository with name or identifier x does not exist or you do not have permissions for the operation you are attempting.": NotFound,
		"access denied or repository not exported: /x":                                                                                               NotFound,
		"ERROR: Permission to acme/x.git denied to deploy key":                                                                                       Denied,
		"GitLab: You are not allowed to push code to this project.":                                                                                  Denied,
		"Gitea: Unauthorized\nUser permission denied for writing.":                                                                                   Denied,
		"upload-pack: not our ref 1111111111111111111111111111111111111111":                                                                          Stale,
		"Server does not allow request for unadvertised object 1111111111111111111111111111111111111111":                                             Stale,
		"internal error": Unavailable,
	} {
		if got := kindOfWords(words); got != want {
			t.Errorf("%q is %q, want %q", words, got, want)
		}
	}
}
