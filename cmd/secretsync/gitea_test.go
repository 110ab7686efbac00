package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"secretsync/examples/devstack"
)

// team is who has accounts at the forge of a script.
type team struct {
	forge  *devstack.Gitea
	people map[string]*devstack.Person
	mark   time.Time
}

type teamKey struct{}

func teamOf(ts *testscript.TestScript) *team {
	t, ok := ts.Value(teamKey{}).(*team)
	if !ok || t.forge == nil {
		ts.Fatalf("gitea first")
	}
	return t
}

// startGitea starts a forge of the script's own: gitea PERSON... Of each person
// $GIT_PERSON is the address with which git speaks to the forge as that person, and
// PERSON.token the file with a token. $FORGE is the address without anybody.
func startGitea(ts *testscript.TestScript, _ bool, names []string) {
	ctx := context.Background()
	forge, err := worldOf(ts).stack.StartGitea(ctx)
	ts.Check(err)
	ts.Defer(forge.Stop)
	t := ts.Value(teamKey{}).(*team)
	t.forge, t.people = forge, make(map[string]*devstack.Person)
	ts.Setenv("FORGE", forge.URL)
	for _, name := range names {
		person, err := forge.NewPerson(ctx, name)
		ts.Check(err)
		t.people[name] = person
		ts.Setenv("GIT_"+strings.ToUpper(name), strings.TrimSuffix(person.CloneURL(""), "/.git"))
		ts.Check(os.WriteFile(ts.MkAbs(name+".token"), []byte(person.Token+"\n"), 0o600))
	}
}

// turnGitea has the forge be down, or up again with !.
func turnGitea(ts *testscript.TestScript, neg bool, _ []string) {
	if t := teamOf(ts); neg {
		ts.Check(t.forge.Start(context.Background()))
	} else {
		t.forge.Stop()
	}
}

// callForge makes a request of the forge's API: forge-call PERSON METHOD PATH
// [FILE]. The file holds the body, in which $VARIABLES are replaced. Stdout is the
// status and what the forge says.
func callForge(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: forge-call PERSON METHOD PATH [FILE]")
	}
	var body any
	if len(args) > 3 {
		ts.Check(json.Unmarshal([]byte(os.Expand(ts.ReadFile(args[3]), ts.Getenv)), &body))
	}
	var said json.RawMessage
	status, err := askForge(ts, args[0], args[1], args[2], body, &said)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%d\n%s\n", status, said)
}

// askForge returns the status of an answer, 200 for all that are good.
func askForge(ts *testscript.TestScript, person, method, path string, body any, out *json.RawMessage) (int, error) {
	p := teamOf(ts).people[person]
	if p == nil {
		ts.Fatalf("%s has no account at the forge", person)
	}
	err := p.Call(context.Background(), method, path, body, out)
	var syntax *json.SyntaxError
	switch refused, ok := errors.AsType[*devstack.APIError](err); {
	case ok:
		*out = json.RawMessage(refused.Body)
		return refused.Status, nil
	case errors.As(err, &syntax): // no body
		return http.StatusOK, nil
	case err != nil:
		return 0, err
	}
	return http.StatusOK, nil
}

// awaitForge asks the forge until what it shows is as wanted.
func awaitForge(ts *testscript.TestScript, path, what string, wanted func(said []byte) bool) {
	var said json.RawMessage
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		status, err := askForge(ts, "dana", http.MethodGet, path, nil, &said)
		if err != nil {
			log, _ := os.ReadFile(teamOf(ts).forge.Log())
			ts.Fatalf("%v; the log of the forge ends\n%s", err, log[max(0, len(log)-4000):])
		}
		if status == http.StatusOK && wanted(said) {
			return
		}
	}
	ts.Fatalf("the forge does not show %s after %v, but\n%s", what, patience, said)
}

// awaitCheck waits until the forge shows that as the newest status of a commit:
// forge-status REPOSITORY COMMIT CONTEXT STATE [PATTERN]. The pattern is of its
// description.
func awaitCheck(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(strings.Join(args[4:], " "))
	awaitForge(ts, "/repos/"+args[0]+"/commits/"+args[1]+"/status", strings.Join(args[2:], " "), func(said []byte) bool {
		var shown struct {
			Statuses []struct{ Context, Status, Description string }
		}
		ts.Check(json.Unmarshal(said, &shown))
		for _, s := range shown.Statuses {
			if s.Context == args[2] && s.Status == args[3] && pattern.MatchString(s.Description) {
				return true
			}
		}
		return false
	})
}

// awaitRemark waits until a pull request has one comment, and that matches:
// forge-comment REPOSITORY NUMBER PATTERN.
func awaitRemark(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile("(?m)" + args[2])
	awaitForge(ts, "/repos/"+args[0]+"/issues/"+args[1]+"/comments", args[2], func(said []byte) bool {
		var comments []struct{ Body string }
		ts.Check(json.Unmarshal(said, &comments))
		if len(comments) > 1 {
			ts.Fatalf("there are %d comments: %s", len(comments), said)
		}
		return len(comments) == 1 && pattern.MatchString(comments[0].Body)
	})
}

// mergeAtForge merges a pull request: forge-merge REPOSITORY NUMBER. The forge looks first
// whether it can be merged at all, and is waited for. Time runs from here on.
func mergeAtForge(ts *testscript.TestScript, _ bool, args []string) {
	pull := "/repos/" + args[0] + "/pulls/" + args[1]
	awaitForge(ts, pull, "that it can be merged", func(said []byte) bool { return strings.Contains(string(said), `"mergeable":true`) })
	var status int
	var said json.RawMessage
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		var err error
		teamOf(ts).mark = time.Now()
		status, err = askForge(ts, "dana", http.MethodPost, pull+"/merge", map[string]string{"Do": "merge"}, &said)
		ts.Check(err)
		// It looks anew after each push, and says so in no other way.
		if !strings.Contains(string(said), "Please try again later") || time.Now().After(deadline) {
			break
		}
	}
	ts.Logf("the merge was answered after %v", time.Since(teamOf(ts).mark).Round(time.Millisecond))
	fmt.Fprintf(ts.Stdout(), "%d\n%s\n", status, said)
}

// tellTime tells how long ago the last merge was asked for.
func tellTime(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Logf("%v after the merge was asked for", time.Since(teamOf(ts).mark).Round(time.Millisecond))
}

// configureRepository puts a file with variables in the place of acme's repository
// in the configuration.
func configureRepository(ts *testscript.TestScript, _ bool, args []string) {
	of := "  acme:\n" + os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	config := strings.Replace(ts.ReadFile("secretsync.yaml"), "  acme:\n", of, 1)
	ts.Check(os.WriteFile(ts.MkAbs("secretsync.yaml"), []byte(config), 0o600))
}

// awaitReceipt fetches the notes of the folder checkout's remote until the one on a
// commit matches: receipt COMMIT PATTERN.
func awaitReceipt(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile("(?m)" + args[1])
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		ts.Check(ts.Exec("git", "-C", "checkout", "fetch", "-q", "origin", "refs/notes/*:refs/notes/*"))
		if err := ts.Exec("git", "-C", "checkout", "notes", "--ref=secretsync", "show", args[0]); err == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
	}
	ts.Fatalf("the note on %s does not tell %s after %v: %s", args[0], args[1], patience, ts.ReadFile("stdout"))
}
