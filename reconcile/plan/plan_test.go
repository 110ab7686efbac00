package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/reconcile"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/plan"
)

// files are definitions as they are written short here: the path in the vault,
// and the targets.
type files map[string]string

// def writes a definition's file: "path target target…", a target being
// cluster/namespace or cluster/namespace/secret.
func def(name, short string) string {
	words := strings.Fields(short)
	text := "name: " + name + "\nsecretPath: " + words[0] + "\nsync:\n"
	for _, t := range words[1:] {
		parts := strings.Split(t, "/")
		text += "- cluster: " + parts[0] + "\n  namespace: " + parts[1] + "\n"
		if len(parts) > 2 {
			text += "  secretName: " + parts[2] + "\n"
		}
	}
	return text
}

func setOf(t testing.TB, f files) definition.Set {
	t.Helper()
	var all []definition.File
	for name, short := range f {
		text := short
		if !strings.Contains(short, "\n") {
			text = def(name, short)
		}
		all = append(all, definition.File{Name: name + ".yaml", Mode: filemode.Regular, Read: func(int64) ([]byte, error) { return []byte(text), nil }})
	}
	set, err := definition.ReadSet(all, 0)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// acme reaches two clusters, one of them by two names.
func acme(t testing.TB) plan.Reach {
	name, err := gitstore.ParseTenantName("acme")
	if err != nil {
		t.Fatal(err)
	}
	clusters := make(map[definition.ClusterName]reconcile.Grant)
	for alias, g := range map[string]reconcile.Grant{
		"production": {Cluster: "eu-1", Namespaces: []string{"default", "team-*"}},
		"prod":       {Cluster: "eu-1", Namespaces: []string{"*"}},
		"staging":    {Cluster: "eu-2", Namespaces: []string{"*"}},
	} {
		alias, err := definition.ParseClusterName(alias)
		if err != nil {
			t.Fatal(err)
		}
		clusters[alias] = g
	}
	return reconcile.Tenant{Name: name, Clusters: clusters, Vault: reconcile.Vault{Mount: "secret", Prefix: "acme"}, MinRefreshInterval: 5 * time.Second}.Reach()
}

func TestWhoHasAContestedPlaceIsToldByWhoseCopyStands(t *testing.T) {
	both := files{"aa": "a production/default/x", "bb": "b production/default/x"}
	for name, test := range map[string]struct {
		from, to files
		holds    string
		known    bool
		want     []string
	}{
		"by the names where that is not known":          {both, files{"aa": both["aa"]}, "", false, nil},
		"the one that waited gets it":                   {both, files{"aa": both["aa"]}, "bb", true, []string{"move aa"}},
		"the one that waited goes":                      {both, files{"bb": both["bb"]}, "bb", true, nil},
		"a lesser name waits for one whose copy stands": {files{"bb": both["bb"]}, both, "bb", true, []string{"create aa TargetConflict"}},
		"a lesser name gets it where no copy stands":    {files{"bb": both["bb"]}, both, "", true, []string{"move aa", "create bb TargetConflict"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan.Make(plan.Input{From: setOf(t, test.from), To: setOf(t, test.to), Reach: acme(t), Holder: func(at definition.Place) (string, bool) { return test.holds, test.known }})
			var got []string
			for _, s := range p.Steps {
				line := string(s.Action) + " " + s.Definition
				if s.Held != nil {
					line += " " + string(s.Held.Reason)
				}
				got = append(got, line)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%q, not %q; %v", got, test.want, p.Problems)
			}
		})
	}
}

// found is what somebody found who looked.
type found struct {
	standing map[string]plan.Standing
	values   map[string]plan.Value
	unfit    map[string]*fault.Fault
}

func (f *found) Unfit(n definition.Name) *fault.Fault { return f.unfit[n.String()] }

func (f *found) Standing(p definition.Place, _ definition.Name) (plan.Standing, bool) {
	s, ok := f.standing[p.String()]
	return s, ok
}

func (f *found) Value(p definition.SecretPath) (plan.Value, bool) {
	v, ok := f.values[p.String()]
	return v, ok
}

// told writes steps short: action, place, definition, path; what held it.
func told(p *plan.Plan) []string {
	var lines []string
	for _, s := range p.Steps {
		line := fmt.Sprintf("%s %s %s %s", s.Action, s.Place(), s.Definition, s.Path)
		if s.FromDefinition != "" {
			line += " was " + s.FromDefinition
		}
		if s.FromPath != "" {
			line += " of " + s.FromPath
		}
		if s.Version > 0 {
			line += fmt.Sprintf(" v%d %s", s.Version, strings.Join(s.Keys, ","))
		}
		if s.Held != nil {
			line += " held " + string(s.Held.Reason)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestMake(t *testing.T) {
	foreign := plan.Standing{Fault: fault.New(fault.Error, fault.ReasonNotOwned, "not ours")}
	for name, test := range map[string]struct {
		from, to files
		live     *found
		want     []string
		failing  string // part of it
	}{
		"nothing changes": {
			from: files{"db": "db production/default"}, to: files{"db": "db production/default"},
		},
		"a new definition": {
			to:   files{"db": "db production/default production/team-a/creds"},
			want: []string{"create production/default/db db db", "create production/team-a/creds db db"},
		},
		"a removed definition leaves its Secrets": {
			from: files{"db": "db production/default"},
			want: []string{"stop production/default/db db db"},
		},
		"a target comes, one goes and one stays": {
			from: files{"db": "db production/default production/team-a"}, to: files{"db": "db production/default production/team-b"},
			want: []string{"unchanged production/default/db db db", "stop production/team-a/db db db", "create production/team-b/db db db"},
		},
		"another path": {
			from: files{"db": "old production/default"}, to: files{"db": "new production/default"},
			want: []string{"update production/default/db db new of old"},
		},
		"a renamed definition moves its targets": {
			from: files{"db": "x production/default/creds"}, to: files{"database": "x production/default/creds"},
			want: []string{"move production/default/creds database x was db"},
		},
		"who has a target keeps it, and the other waits": {
			from: files{"web": "w production/default/creds"}, to: files{"web": "w production/default/creds", "api": "a production/default/creds"},
			want:    []string{"create production/default/creds api a held TargetConflict"},
			failing: "secrets/web.yaml:4: sync[0] claims production/default/creds",
		},
		"of two that come together the lesser name has it": {
			to:      files{"web": "w production/default/creds", "api": "a production/default/creds"},
			want:    []string{"create production/default/creds api a", "create production/default/creds web w held TargetConflict"},
			failing: "secrets/web.yaml:4",
		},
		"the copy that stands tells who has it": {
			from:    files{"web": "w production/default/creds", "api": "a production/default/creds"},
			to:      files{"web": "w production/default/creds"},
			live:    &found{standing: map[string]plan.Standing{"production/default/creds": {Definition: "web"}}},
			want:    nil,
			failing: "",
		},
		"a clash that was there before is nobody's fault": {
			from: files{"web": "w production/default/creds", "api": "a production/default/creds"},
			to:   files{"web": "w production/default/creds", "api": "a production/default/creds", "new": "path production/default"},
			want: []string{"create production/default/new new path"},
		},
		"clusters and namespaces that can't be reached": {
			to: files{"db": "db nowhere/default production/other production/kube-system prod/kube-system"},
			want: []string{"create nowhere/default/db db db held ClusterNotFound", "create prod/kube-system/db db db held NamespaceNotAllowed",
				"create production/kube-system/db db db held NamespaceNotAllowed", "create production/other/db db db held NamespaceNotAllowed"},
			failing: "secrets/db.yaml:4: sync[0]: cluster nowhere is not registered for tenant acme",
		},
		"two names of one cluster are one place": {
			from: files{"db": "db production/default/creds"}, to: files{"db": "db production/default/creds", "api": "a prod/default/creds"},
			want:    []string{"create prod/default/creds api a held TargetConflict"},
			failing: "production and prod are one cluster",
		},
		"a target that is called by another name of its cluster stays": {
			from: files{"db": "db production/default"}, to: files{"db": "db prod/default"},
			want: []string{"unchanged prod/default/db db db"},
		},
		"of a file that is no definition any more the last version stays": {
			from: files{"db": "db production/default"}, to: files{"db": "name: db\nowner: me\nsecretPath: db\n"},
			failing: `secrets/db.yaml:2: unknown key "owner"`,
		},
		"a file that never was a definition": {
			to:      files{"db": "name: db\nowner: me\nsecretPath: db\n"},
			failing: `secrets/db.yaml:2: unknown key "owner"`,
		},
		"what the vault has, and what stands there": {
			to: files{"db": "db production/default production/team-a production/team-b", "none": "none staging/a"},
			live: &found{
				standing: map[string]plan.Standing{"production/default/db": {}, "production/team-a/db": foreign, "production/team-b/db": {Definition: "db", Path: "db", Version: 2}, "staging/a/none": {}},
				values: map[string]plan.Value{"db": {Version: 3, Keys: []string{"password", "user"}},
					"none": {Fault: fault.New(fault.Pending, fault.ReasonValueNotFound, "no value")}},
			},
			want: []string{"create production/default/db db db v3 password,user", "create production/team-a/db db db v3 password,user held NotOwned",
				"resume production/team-b/db db db v3 password,user", "create staging/a/none none none held ValueNotFound"},
			failing: "secrets/db.yaml:6: production/team-a/db: not ours",
		},
		"an outage fails nothing": {
			to:   files{"db": "db production/default"},
			live: &found{standing: map[string]plan.Standing{"production/default/db": {Fault: fault.Transient(fault.Error, fault.ReasonClusterUnreachable, "down")}}},
			want: []string{"create production/default/db db db held ClusterUnreachable"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := plan.Input{From: setOf(t, test.from), To: setOf(t, test.to), Reach: acme(t)}
			if test.live != nil {
				in.Live = test.live
			}
			p := plan.Make(in)
			if got := told(p); !slices.Equal(got, test.want) {
				t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(test.want, "\n\t"))
			}
			if failing := p.Failing(); !strings.Contains(failing, test.failing) || test.failing == "" && failing != "" {
				t.Errorf("failing: %q", failing)
			}
			changes := slices.ContainsFunc(p.Steps, func(s plan.Step) bool { return s.Action != plan.Unchanged })
			if p.Changes() != changes {
				t.Errorf("changes: %v", p.Changes())
			}
		})
	}
}

func TestMakeTellsInWhatCopiesBecomeOthers(t *testing.T) {
	yes := true
	kind, err := definition.ParseSecretType("kubernetes.io/tls")
	further, failed := definition.ParseSecretPath("shared/ca")
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	data := []definition.DataKey{{Key: "ca.crt", Path: further, From: "pem"}}
	unfit := &found{unfit: map[string]*fault.Fault{"db": fault.New(fault.Error, fault.ReasonKeyNotFound, "no key pem")}, values: map[string]plan.Value{"db": {Version: 2}}}
	missing := &found{values: map[string]plan.Value{"db": {Version: 2}, "shared/ca": {Fault: fault.New(fault.Pending, fault.ReasonValueNotFound, "no value")}}}
	for name, test := range map[string]struct {
		from, to *definition.Shape
		live     plan.Live
		want     string
		why      string
	}{
		"a shape that says nothing":     {nil, &definition.Shape{}, nil, "unchanged production/default/db db db", ""},
		"another type":                  {nil, &definition.Shape{Type: kind}, nil, "update production/default/db db db", "its type is kubernetes.io/tls, not Opaque any more, so it is deleted and made anew"},
		"labels, and they go":           {&definition.Shape{Labels: map[string]string{"a": "b"}}, nil, nil, "update production/default/db db db", "its labels change"},
		"annotations":                   {nil, &definition.Shape{Annotations: map[string]string{"a": "b"}}, nil, "update production/default/db db db", "its annotations change"},
		"how it ends":                   {nil, &definition.Shape{DeletionPolicy: definition.Delete}, nil, "update production/default/db db db", "from now on it goes with its target"},
		"suspend":                       {nil, &definition.Shape{Suspend: &yes}, nil, "unchanged production/default/db db db held Suspended", "it is suspended from now on"},
		"suspended, and other data":     {nil, &definition.Shape{Suspend: &yes, Data: data}, nil, "update production/default/db db db held Suspended", "data makes something else of the value"},
		"resumed":                       {&definition.Shape{Suspend: &yes}, nil, nil, "unchanged production/default/db db db", "it is no longer suspended: what differs from the vault is written"},
		"a value without a key":         {nil, &definition.Shape{Data: data}, unfit, "update production/default/db db db v2  held KeyNotFound", "data makes something else of the value"},
		"a further path without value":  {nil, &definition.Shape{Data: data}, missing, "update production/default/db db db v2  held ValueNotFound", "data makes something else of the value"},
		"the mode, and nothing besides": {nil, &definition.Shape{Mode: definition.ModeMerge}, nil, "update production/default/db db db", "it comes to share the Secret: only the keys in data stay its own"},
		"the mode, back again":          {&definition.Shape{Mode: definition.ModeMerge}, nil, nil, "update production/default/db db db", "it comes to fill the Secret as a whole, once nothing of others' is in it"},
	} {
		t.Run(name, func(t *testing.T) {
			in := plan.Input{From: setOf(t, files{"db": "db production/default"}), To: setOf(t, files{"db": "db production/default"}), Reach: acme(t), Live: test.live}
			in.From.Definitions[0].Shape, in.To.Definitions[0].Shape = test.from, test.to
			p := plan.Make(in)
			if got := told(p); len(got) != 1 || got[0] != test.want || p.Steps[0].Why != test.why {
				t.Errorf("%q because %q", got, p.Steps[0].Why)
			}
			if paths := p.Paths(); test.to != nil && test.to.Data != nil && !slices.Equal(paths, []string{"db", "shared/ca"}) {
				t.Errorf("paths %q", paths)
			}
		})
	}
}

func TestACopyGoesWhereBeforeAndAfterSaySo(t *testing.T) {
	yes := true
	deletes := &definition.Shape{DeletionPolicy: definition.Delete}
	for name, test := range map[string]struct {
		from, to *definition.Shape
		removed  bool
		brake    string
		want     string
	}{
		"the target goes":                   {deletes, deletes, false, "", "delete production/default/db db db"},
		"the definition goes":               {deletes, nil, true, "", "delete production/default/db db db"},
		"it is to stay":                     {nil, nil, false, "", "stop production/default/db db db"},
		"it is to stay from now on":         {deletes, nil, false, "", "stop production/default/db db db"},
		"it was to stay till now":           {nil, deletes, false, "", "stop production/default/db db db"},
		"its definition is suspended":       {deletes, &definition.Shape{DeletionPolicy: definition.Delete, Suspend: &yes}, false, "", "stop production/default/db db db"},
		"the Secret is shared":              {&definition.Shape{DeletionPolicy: definition.Delete, Mode: definition.ModeMerge}, nil, true, "", "delete production/default/db db db"},
		"the Secret is shared from now on":  {deletes, &definition.Shape{DeletionPolicy: definition.Delete, Mode: definition.ModeMerge}, false, "", "stop production/default/db db db"},
		"it would be more than are allowed": {deletes, deletes, false, "too many", "delete production/default/db db db held DeletionHeld"},
	} {
		t.Run(name, func(t *testing.T) {
			to := files{"db": "db"}
			if test.removed {
				to = files{}
			}
			in := plan.Input{From: setOf(t, files{"db": "db production/default"}), To: setOf(t, to), Reach: acme(t), Brake: func(copies int) string {
				if copies != 1 {
					t.Errorf("asked for %d copies", copies)
				}
				return test.brake
			}}
			in.From.Definitions[0].Shape = test.from
			if !test.removed {
				in.To.Definitions[0].Shape = test.to
			}
			p := plan.Make(in)
			if got := told(p); len(got) != 1 || strings.TrimSpace(got[0]) != test.want {
				t.Fatalf("%q", got)
			}
			deleted := strings.HasPrefix(test.want, "delete")
			if deleted != (p.Summary.Delete == 1) || deleted == (p.Summary.Stop == 1) || deleted != strings.Contains(p.Headline(), "to delete (Secrets go)") || !p.Changes() || p.Failing() != "" {
				t.Errorf("%+v: %s; failing %q", p.Summary, p.Headline(), p.Failing())
			}
		})
	}
}

func TestCheckTellsOfEachProblemWithItsPlace(t *testing.T) {
	set := setOf(t, files{
		"api":    "acme/api production/default/creds",
		"db":     "secret/acme/db production/default/creds nowhere/default",
		"upper":  "Web production/team-a",
		"web":    "web production/team-a/web2 staging/a",
		"kv":     "data/kv prod/default",
		"broken": "name: broken\nsecretPath: ../x\n",
		"urgent": "name: urgent\nsecretPath: urgent\nrefreshInterval: 4s\n",
		"calm":   "name: calm\nsecretPath: calm\nrefreshInterval: 5s\n",
	})
	var got []string
	for _, p := range plan.Check(set, acme(t)) {
		line := fmt.Sprintf("%s %s %s:%d:%d", p.Level, p.Rule, p.File, p.Line, p.Column)
		if p.Related != nil {
			line += fmt.Sprintf(" %s:%d", p.Related.File, p.Related.Line)
		}
		got = append(got, line)
	}
	want := []string{
		"warning suspicious-path secrets/api.yaml:0:0",
		"error malformed-definition secrets/broken.yaml:2:13",
		"warning suspicious-path secrets/db.yaml:0:0",
		"error target-claimed-twice secrets/db.yaml:4:3 secrets/api.yaml:4",
		"error unknown-cluster secrets/db.yaml:7:3",
		"warning suspicious-path secrets/kv.yaml:0:0",
		"warning short-interval secrets/urgent.yaml:0:0",
		"warning similar-path secrets/web.yaml:0:0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
	if problems := plan.Check(set, nil); len(problems) != 2 {
		t.Errorf("without a configuration: %v", problems)
	}
}

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
