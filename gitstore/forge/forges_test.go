package forge_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secretsync/gitstore/forge"
)

const (
	head  = "6dcb09b5b57875f334f61aebed695e2e4193db5e"
	fork  = "e5bd3914e2e596debea16f433f57875b5b90bcd6"
	other = "c0ffee0123456789abcdef0123456789abcdef01"
)

type fixedToken string

func (t fixedToken) Token(context.Context) (string, error) { return string(t), nil }

// TestEveryForgeTellsTheSame has each forge that can't run here live through one
// story. What the client says and hears is the same with all; how it goes over
// the wire is in testdata/api.
func TestEveryForgeTellsTheSame(t *testing.T) {
	for _, f := range []struct {
		kind             forge.Kind
		repository, base string
		fetch            string // of pull request 7
		fetchFork        string // of pull request 8
		url              string
	}{
		{
			forge.GitHub, "git@github.com:acme/secrets.git", "/api/v3",
			"refs/pull/7/head", "refs/pull/8/head", "https://github.com/acme/secrets/pull/7",
		},
		{
			forge.GitLab, "https://gitlab.example.org/acme/platform/secrets.git", "",
			"refs/merge-requests/7/head", "refs/merge-requests/8/head", "https://gitlab.example.org/acme/platform/secrets/-/merge_requests/7",
		},
		{
			forge.Bitbucket, "https://x-token-auth@bitbucket.org/acme/secrets.git", "",
			"refs/heads/rotate", "", "https://bitbucket.org/acme/secrets/pull-requests/7",
		},
		{
			forge.Azure, "git@ssh.dev.azure.com:v3/acme/Platform Team/secrets", "",
			"refs/heads/rotate", "refs/pull/8/merge", "/acme/Platform%20Team/_git/secrets/pullrequest/7",
		},
	} {
		t.Run(string(f.kind), func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			c := startConversation(t, string(f.kind)+".txt")
			client, err := forge.New(forge.Config{
				Kind: f.kind, Repository: f.repository, URL: c.server.URL + f.base, Credentials: fixedToken("t0p-s3cret"),
			})
			if err != nil {
				t.Fatal(err)
			}
			if f.kind == forge.Azure {
				f.url = c.server.URL + f.url
			}
			status := forge.Status{
				State: forge.Success, Context: "secretsync/plan", Description: "2 to create\nand nothing else", URL: "https://sync.example.org/acme",
			}
			must(t, client.SetStatus(ctx, head, status))
			must(t, client.SetStatus(ctx, head, status)) // not sent again

			seven := forge.Pull{
				Number: 7, Title: "Rotate the password", URL: f.url, State: forge.Open,
				Head: forge.Branch{Name: "rotate", Commit: head}, Base: "main", FetchRef: f.fetch,
			}
			for range 2 { // the second time it may have changed nothing
				pulls, err := client.OpenPulls(ctx)
				must(t, err)
				if len(pulls) != 2 {
					t.Fatalf("there are %d pull requests: %+v", len(pulls), pulls)
				}
				same(t, seven, pulls[0])
				if p := pulls[1]; !p.Fork || p.Number != 8 || p.Head.Commit != fork || p.FetchRef != f.fetchFork {
					t.Errorf("the one from a fork is %+v", p)
				}
			}
			status.State = forge.Failure
			must(t, client.SetPullStatus(ctx, seven, status))

			must(t, client.Comment(ctx, 7, "secretsync/plan", "Nothing to do."))      // the other's comment has a mark too
			must(t, client.Comment(ctx, 7, "secretsync/plan", "**2** to create."))    // its id is known
			must(t, client.Comment(ctx, 7, "secretsync/plan", "**2** to create, x.")) // it is gone, and made again

			proposal := forge.Proposal{Title: "Sync db-password to staging", Body: "By the API.", Branch: "secretsync/db-password", Base: "main"}
			made, err := client.Propose(ctx, proposal)
			must(t, err)
			again, err := client.Propose(ctx, proposal)
			must(t, err)
			same(t, made, again)
			if made.Number != 9 || made.State != forge.Open || made.Head.Name != proposal.Branch || made.Head.Commit != other {
				t.Errorf("the proposal is %+v", made)
			}
			merged, err := client.Pull(ctx, 7)
			must(t, err)
			if merged.State != forge.Merged || merged.Merged != other {
				t.Errorf("the merged one is %+v", merged)
			}
			must(t, client.Close(ctx, 9))
			closed, err := client.Pull(ctx, 9)
			must(t, err)
			if closed.State != forge.Closed {
				t.Errorf("the closed one is %+v", closed)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same[T any](t *testing.T, want, got T) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(- should be, + is):\n%s", d)
	}
}
