package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/plan"
)

// A comment is as long as forges take, whatever is planned, and nothing in it can
// get out of its cell or its code span.
func TestMarkdownIsBoundedAndCantBeBrokenOutOf(t *testing.T) {
	big := files{}
	for i := range 900 {
		big[fmt.Sprintf("db-%d", i)] = fmt.Sprintf("x/%s/%d production/default staging/a staging/b", strings.Repeat("p", 400), i)
	}
	big["zz"] = "name: zz\n\"own|er`\u2028<script>@everyone\": [x](http://evil)\nsecretPath: zz\n"
	p := plan.Make(plan.Input{To: setOf(t, big), Reach: acme(t)})
	text := p.Markdown()
	if len(text) > plan.MostMarkdown || !strings.Contains(text, "and more") || !strings.HasPrefix(text, "❌ **secretsync plan**: 2700 to create") {
		t.Errorf("%d bytes: %.300s", len(text), text)
	}
	if strings.Count(text, "<details>") != strings.Count(text, "</details>") {
		t.Error("the fold is not closed")
	}
	checkMarkdown(t, text)
}

// checkMarkdown looks at what stands outside of code spans.
func checkMarkdown(t testing.TB, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if strings.Count(line, "`")%2 != 0 {
			t.Errorf("a span is not closed: %q", line)
		}
		outside := ""
		for i, part := range strings.Split(strings.TrimSpace(line), "`") {
			if i%2 == 0 {
				outside += part
			} else if strings.ContainsAny(part, "|\n\r") || strings.HasSuffix(part, "\\") {
				t.Errorf("a cell can be left: %q", part)
			}
		}
		for _, bad := range []string{"script", "@", "](", "evil", "#"} {
			if strings.Contains(outside, bad) {
				t.Errorf("%q stands outside of a code span: %q", bad, line)
			}
		}
		if strings.HasPrefix(line, "| ") && strings.Contains(text, "| | Secret") {
			if n := strings.Count(outside, "|"); n != 4 && n != 5 {
				t.Errorf("%d marks of cells: %q", n, line)
			}
		}
	}
}

func FuzzMarkdown(f *testing.F) {
	f.Add("db", "`x`|y\n@all", "k`e|y")
	f.Add("###vso[x]", "##[group]\x1b[2J", "##vso[y]")
	f.Fuzz(func(t *testing.T, path, message, key string) {
		p := &plan.Plan{Steps: []plan.Step{{
			Action: plan.Create, Cluster: path, Namespace: "n", Secret: "s", Definition: key, Path: path, Version: 1, Keys: []string{key},
			Held: &plan.Held{State: fault.Error, Reason: "NotOwned", Message: message}, Why: message, FromPath: path,
		}}, Problems: []plan.Problem{{File: path, Level: plan.Error, Message: message}}}
		checkMarkdown(t, p.Markdown())
		var text strings.Builder
		if err := p.WriteText(&text); err != nil || strings.Count(text.String(), "\n") != 5 || strings.Contains(text.String(), "##vso[") || strings.Contains(text.String(), "##[") {
			t.Errorf("%v: %q", err, text.String())
		}
	})
}

func TestTextTellsWhatHappensAndWhy(t *testing.T) {
	p := plan.Make(plan.Input{
		From:  setOf(t, files{"old": "o staging/a", "db": "one production/default"}),
		To:    setOf(t, files{"db": "two production/default", "web": "w production/team-a nowhere/a"}),
		Reach: acme(t),
	})
	var b strings.Builder
	if err := p.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := `! error: secrets/web.yaml:6: sync[1]: cluster nowhere is not registered for tenant acme; mend its name, or have the operator register it
+ create    nowhere/a/web from w (definition web): the definition is new
    ClusterNotFound: cluster nowhere is not registered for tenant acme; mend its name, or have the operator register it
~ update    production/default/db from two (definition db): secretPath is another one; before from one
+ create    production/team-a/web from w (definition web): the definition is new
- stop      staging/a/old from o (definition old): the definition is removed
2 to create, 1 to update, 1 to stop (Secrets stay); 1 held up; 1 mistake
Neither clusters nor vault were looked at.
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestOfTooManyStepsThoseThatAreHeldUpStay(t *testing.T) {
	many := files{"zz": "z nowhere/default"}
	for i := range 20 {
		many[fmt.Sprintf("db-%02d", i)] = "x production/default"
	}
	p := plan.Make(plan.Input{To: setOf(t, many), Reach: acme(t)})
	p.Bound(30)
	if len(p.Steps) != 21 || p.Omitted != 0 {
		t.Errorf("%d steps, %d left out", len(p.Steps), p.Omitted)
	}
	p.Bound(5)
	held := slices.ContainsFunc(p.Steps, func(s plan.Step) bool { return s.Held != nil })
	if len(p.Steps) != 5 || p.Omitted != 16 || !held || p.Summary.Create != 21 || !strings.Contains(p.Headline(), "16 not listed") {
		t.Errorf("%d steps, %d left out, %s", len(p.Steps), p.Omitted, p.Headline())
	}
}
