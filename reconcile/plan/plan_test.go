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
	"secretsync/gitstore/definition/folder"
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
	var all []folder.File
	for name, short := range f {
		text := short
		if !strings.Contains(short, "\n") {
			text = def(name, short)
		}
		all = append(all, folder.File{Name: name + ".yaml", Mode: filemode.Regular, Read: func(int64) ([]byte, error) { return []byte(text), nil }})
	}
	set, err := folder.Read(all, 0)
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
			p := plan.Make(plan.Input{From: setOf(t, test.from), To: setOf(t, test.to), Reach: acme(t), Copy: func(definition.Place, definition.Name) (plan.Copy, bool) {
				return plan.Copy{Definition: test.holds}, test.known
			}})
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
		"typed":  "name: typed\nsecretPath: typed\ntype: opaque\n",
		"share":  "name: share\nsecretPath: share\nmode: Merge\ndata: {k: {key: k}}\nsync:\n- {cluster: production, namespace: default, secretName: app}\n",
		"share2": "name: share2\nsecretPath: share2\nmode: Merge\ndata: {k: {key: k}}\nsync:\n- {cluster: prod, namespace: default, secretName: app}\n",
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
		"error key-claimed-twice secrets/share2.yaml:6:3 secrets/share.yaml:6",
		"warning doubtful-type secrets/typed.yaml:3:7",
		"warning short-interval secrets/urgent.yaml:0:0",
		"warning similar-path secrets/web.yaml:0:0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
	if problems := plan.Check(set, nil); len(problems) != 3 {
		t.Errorf("without a configuration: %v", problems)
	}
}

// Of what stands in HEAD it is not known on which line, and of what a change touches it is.
func TestAClashThatWasThereBeforeIsKnownWhereverItsOtherHalfStands(t *testing.T) {
	both := files{"aa": "x production/default/app", "bb": "z production/default/app"}
	from, to := setOf(t, both), setOf(t, both)
	for i := range from.Definitions {
		from.Definitions[i].Targets = nil
	}
	p := plan.Make(plan.Input{From: from, To: to, Reach: acme(t)})
	if len(p.Problems) != 1 || p.Problems[0].Related == nil || !p.Problems[0].Known || p.Failing() != "" {
		t.Errorf("%+v, failing %q", p.Problems, p.Failing())
	}
}

// There is room for four namespaces, and each target of these definitions selects two.
func TestATargetForWhoseNamespacesThereIsNoRoomIsHeld(t *testing.T) {
	select2 := func(name string) string {
		return "name: " + name + "\nsecretPath: p\nsync:\n- cluster: production\n  namespaceSelector: {matchLabels: {team: " + name + "}}\n"
	}
	noRoom := func(_ definition.Target, more, chosen int) *fault.Fault {
		if chosen+more > 4 {
			return fault.New(fault.Error, fault.ReasonTooManyNamespaces, "%d and %d", chosen, more)
		}
		return nil
	}
	selected := func(target definition.Target) plan.Selection {
		found := plan.Selection{Known: true}
		for _, n := range []string{"team-a", "team-b"} {
			namespace, err := definition.ParseNamespace(n)
			if err != nil {
				t.Fatal(err)
			}
			found.Namespaces = append(found.Namespaces, namespace)
		}
		if strings.Contains(target.Selector.String(), "wide") {
			return plan.Selection{Fault: fault.New(fault.Error, fault.ReasonTooManyNamespaces, "too wide")}
		}
		return found
	}
	for name, test := range map[string]struct {
		from, to files
		want     []string
	}{
		"the greater name of those that come": {nil, files{"aa": select2("aa"), "bb": select2("bb"), "cc": select2("cc")}, []string{
			"create production/team-a/aa aa p", "create production/team-a/bb bb p", "create production/team-b/aa aa p", "create production/team-b/bb bb p", "create production/{team=cc}/cc cc p held TooManyNamespaces"}},
		"what comes, and not what is there": {files{"bb": select2("bb"), "cc": select2("cc")}, files{"aa": select2("aa"), "bb": select2("bb"), "cc": select2("cc")}, []string{
			"create production/{team=aa}/aa aa p held TooManyNamespaces"}},
		"what goes makes room": {files{"bb": select2("bb"), "cc": select2("cc")}, files{"aa": select2("aa"), "cc": select2("cc")}, []string{
			"create production/team-a/aa aa p", "stop production/team-a/bb bb p", "create production/team-b/aa aa p", "stop production/team-b/bb bb p"}},
		"one that is too many for itself": {nil, files{"wide": select2("wide")}, []string{"create production/{team=wide}/wide wide p held TooManyNamespaces"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan.Make(plan.Input{From: setOf(t, test.from), To: setOf(t, test.to), Reach: acme(t), Selected: selected, NoRoom: noRoom})
			if got := told(p); !slices.Equal(got, test.want) {
				t.Errorf("%q, not %q", got, test.want)
			}
		})
	}
}
