package plan_test

import (
	"slices"
	"strings"
	"testing"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/plan"
)

// A definition that comes to fill its Secrets finds others that do.
func TestOneThatComesToFillASecretWaitsForWhoHasIt(t *testing.T) {
	for name, test := range map[string]struct {
		other, holds string
		keys         map[string]string
		want         []string
	}{
		"the least name has it":         {"zz", "", nil, []string{"update production/default/x db d"}},
		"or whose copy stands there":    {"zz", "zz", nil, []string{"update production/default/x db d held TargetConflict"}},
		"and another of a lesser name":  {"aa", "", nil, []string{"update production/default/x db d held TargetConflict"}},
		"not where all of it is one's":  {"aa", "", map[string]string{"k": "db"}, []string{"update production/default/x db d"}},
		"but where others have a share": {"aa", "", map[string]string{"j": "cc", "k": "db"}, []string{"update production/default/x db d held TargetConflict"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := plan.Input{From: setOf(t, files{"db": "d production/default/x", test.other: "o production/default/x"}), Reach: acme(t), Copy: func(definition.Place, definition.Name) (plan.Copy, bool) {
				return plan.Copy{Definition: test.holds, Keys: test.keys}, true
			}}
			in.To = setOf(t, files{"db": "d production/default/x", test.other: "o production/default/x"})
			for i := range in.From.Definitions {
				if d := &in.From.Definitions[i]; d.Name.String() == "db" {
					d.Shape = &definition.Shape{Mode: definition.ModeMerge}
				}
			}
			if got := told(plan.Make(in)); !slices.Equal(got, test.want) {
				t.Errorf("%q, not %q", got, test.want)
			}
		})
	}
}

func TestWhoHasAKeyOfASharedSecret(t *testing.T) {
	share := func(name string, keys ...string) string {
		return "name: " + name + "\nsecretPath: p\nmode: Merge\ndata: {" + strings.Join(keys, ": {key: k}, ") + ": {key: k}}\nsync: [{cluster: production, namespace: default, secretName: app}]\n"
	}
	for name, test := range map[string]struct {
		from, to files
		keys     map[string]string // whose they are; nil: not known
		want     []string
	}{
		"each its own": {to: files{"aa": share("aa", "a"), "bb": share("bb", "b")}, want: []string{"aa", "bb"}},
		"the least name where nobody has it": {
			to:   files{"aa": share("aa", "k"), "bb": share("bb", "k", "b"), "cc": share("cc", "k")},
			want: []string{"aa", "bb key k of definition aa", "cc key k of definition aa"},
		},
		"who asked for it before": {
			from: files{"bb": share("bb", "k")}, to: files{"aa": share("aa", "k"), "bb": share("bb", "k", "b")},
			want: []string{"aa key k of definition bb", "bb"},
		},
		"of two who asked for it before the least, as far as is known": {
			from: files{"aa": share("aa", "k"), "bb": share("bb", "k")}, to: files{"aa": share("aa", "k", "a"), "bb": share("bb", "k", "b")},
			want: []string{"aa", "bb key k of definition aa"},
		},
		"of two who asked for it before the one whose it is": {
			from: files{"aa": share("aa", "k"), "bb": share("bb", "k")}, to: files{"aa": share("aa", "k", "a"), "bb": share("bb", "k", "b")},
			keys: map[string]string{"k": "bb"},
			want: []string{"aa key k of definition bb", "bb"},
		},
		"it passes on to the least": {
			from: files{"aa": share("aa", "k"), "bb": share("bb", "b"), "cc": share("cc", "c")}, to: files{"bb": share("bb", "k"), "cc": share("cc", "k")},
			keys: map[string]string{"k": "aa"},
			want: []string{"aa", "bb", "cc key k of definition bb"},
		},
		"all are told, in the order of keys": {
			from: files{"aa": share("aa", "k1", "k3"), "bb": share("bb", "k2", "k4", "k5")}, to: files{"aa": share("aa", "k1", "k3"), "bb": share("bb", "k2", "k4", "k5"), "cc": share("cc", "k5", "k4", "k3", "k2", "k1")},
			want: []string{"cc key k1 of definition aa, key k2 of definition bb, key k3 of definition aa, 2 more"},
		},
		"one that fills the Secret as a whole goes before": {
			to:   files{"aa": share("aa", "a"), "zz": "z production/default/app"},
			want: []string{"aa definition zz fills this Secret as a whole", "zz"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := plan.Input{From: setOf(t, test.from), To: setOf(t, test.to), Reach: acme(t), Copy: func(definition.Place, definition.Name) (plan.Copy, bool) {
				return plan.Copy{Keys: test.keys}, test.keys != nil
			}}
			for range 10 { // whatever the order of a map
				var got []string
				for _, s := range plan.Make(in).Steps {
					line := s.Definition
					if s.Held != nil {
						words, _, _ := strings.Cut(strings.TrimPrefix(s.Held.Message, "the Secret has "), ";")
						line += " " + strings.TrimSuffix(words, ", which asks for it too: it is left alone")
					}
					got = append(got, line)
				}
				if slices.Sort(got); !slices.Equal(got, test.want) {
					t.Fatalf("%q, not %q", got, test.want)
				}
			}
		})
	}
}
