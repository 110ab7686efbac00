package folder

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/filemode"

	"secretsync/gitstore/definition"
)

func setOf(t *testing.T, allowed int, files map[string]string) definition.Set {
	t.Helper()
	var all []File
	for name, text := range files {
		all = append(all, File{Name: name, Mode: filemode.Regular, Read: func(int64) ([]byte, error) { return []byte(text), nil }})
	}
	set, err := Read(all, allowed)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func named(name string) string { return fmt.Sprintf("name: %s\nsecretPath: %s\n", name, name) }

// told is what a set says, in words.
func told(s definition.Set) string {
	var words []string
	for _, l := range s.Definitions {
		words = append(words, l.Name.String())
	}
	for _, i := range s.Invalid {
		word := "!" + i.Name.String()
		if i.Last != nil {
			word += "(" + i.Last.SecretPath.String() + ")"
		}
		words = append(words, word)
	}
	for _, e := range s.Strange {
		words = append(words, "?"+strings.TrimPrefix(e.Path, definition.Folder+"/"))
	}
	return strings.Join(append(words, fmt.Sprint(s.Count)), " ")
}

func TestASetAfterAChange(t *testing.T) {
	base := setOf(t, 0, map[string]string{"aa.yaml": named("aa"), "bb.yaml": named("bb"), "cc.yaml": "x", "notes": "", "more": ""})
	for name, test := range map[string]struct {
		files   map[string]string
		removed []string
		want    string
	}{
		"nothing":                    {nil, nil, "aa bb !cc ?more ?notes 3"},
		"one more":                   {map[string]string{"ab.yaml": named("ab")}, nil, "aa ab bb !cc ?more ?notes 4"},
		"one that becomes none":      {map[string]string{"bb.yaml": "y"}, nil, "aa !bb(bb) !cc ?more ?notes 3"},
		"one that becomes valid":     {map[string]string{"cc.yaml": named("cc")}, nil, "aa bb cc ?more ?notes 3"},
		"what is removed":            {nil, []string{"secrets/aa.yaml", "secrets/cc.yaml", "secrets/notes", "secrets/zz.yaml"}, "bb ?more 1"},
		"another file that is none":  {map[string]string{"Bad.yaml": named("bb")}, nil, "aa bb !cc ?more ?notes ?Bad.yaml 3"},
		"the same file that is none": {map[string]string{"notes": "x"}, nil, "aa bb !cc ?more ?notes 3"},
	} {
		if got := base.With(setOf(t, 0, test.files), test.removed); told(got) != test.want {
			t.Errorf("%s: got %q, want %q", name, told(got), test.want)
		}
	}
	if got := base.With(setOf(t, 3, map[string]string{"dd.yaml": named("dd")}), nil); got.Surplus() == nil {
		t.Error("more than are allowed are no problem")
	}
}

func TestOfTooManyTheLesserNamesAreServed(t *testing.T) {
	set := setOf(t, 2, map[string]string{"a-b.yaml": named("a-b"), "aa.yaml": named("aa"), "a.yaml": named("a"), "bb.yaml": named("bb")})
	var names []string
	for _, l := range set.Definitions {
		names = append(names, l.Name.String())
	}
	if !slices.Equal(names, []string{"a-b", "aa"}) || set.Surplus() == nil || set.Count != 3 {
		t.Errorf("%v of %d: %v", names, set.Count, set.Surplus())
	}
}

// What two definitions ask for of one Secret is told once for each that asks later, with
// both names and lines.
func TestWhatSeveralDefinitionsAskForOfOneSecret(t *testing.T) {
	fills := func(name string) string {
		return "name: " + name + "\nsecretPath: p\nsync:\n- {cluster: production, namespace: default, secretName: app}\n"
	}
	shares := func(name string, keys ...string) string {
		data := strings.Join(keys, ": {key: k}, ") + ": {key: k}"
		return "name: " + name + "\nsecretPath: p\nmode: Merge\ndata: {" + data + "}\nsync:\n- {cluster: production, namespace: default, secretName: app}\n"
	}
	for name, test := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"keys of their own": {map[string]string{"aa": shares("aa", "a"), "bb": shares("bb", "b")}, nil},
		"one key": {map[string]string{"aa": shares("aa", "a", "k"), "bb": shares("bb", "k")},
			[]string{"secrets/bb.yaml:6: sync[0]: it asks for key k of production/default/app, as definition aa does on line 6 of secrets/aa.yaml; take it out of one of the two"}},
		"keys of several": {map[string]string{"aa": shares("aa", "a"), "bb": shares("bb", "b", "c"), "cc": shares("cc", "a", "c", "b", "d"), "dd": shares("dd", "d")}, []string{
			"secrets/cc.yaml:6: sync[0]: it asks for key a of production/default/app, as definition aa does on line 6 of secrets/aa.yaml; take it out of one of the two",
			"secrets/cc.yaml:6: sync[0]: it asks for keys b and c of production/default/app, as definition bb does on line 6 of secrets/bb.yaml; take it out of one of the two",
			"secrets/dd.yaml:6: sync[0]: it asks for key d of production/default/app, as definition cc does on line 6 of secrets/cc.yaml; take it out of one of the two",
		}},
		"many keys": {map[string]string{"aa": shares("aa", "a1", "a2", "a3", "a4", "a5", "a6"), "bb": shares("bb", "a1", "a2", "a3", "a4", "a5", "a6")},
			[]string{"secrets/bb.yaml:6: sync[0]: it asks for keys a1, a2, a3, a4 and 2 more of production/default/app, as definition aa does on line 6 of secrets/aa.yaml; take it out of one of the two"}},
		"all of it and a share": {map[string]string{"aa": fills("aa"), "bb": shares("bb", "b"), "cc": shares("cc", "b")}, []string{
			"secrets/bb.yaml:6: sync[0]: it shares production/default/app, which definition aa fills as a whole on line 4 of secrets/aa.yaml; give that one mode: Merge too, or choose another secretName",
			"secrets/cc.yaml:6: sync[0]: it shares production/default/app, which definition aa fills as a whole on line 4 of secrets/aa.yaml; give that one mode: Merge too, or choose another secretName",
		}},
		"a share and all of it": {map[string]string{"aa": shares("aa", "a"), "bb": fills("bb"), "cc": fills("cc")}, []string{
			"secrets/bb.yaml:4: sync[0]: it fills production/default/app as a whole, which definition aa shares on line 6 of secrets/aa.yaml; give this one mode: Merge too, or choose another secretName",
			"secrets/cc.yaml:4: sync[0] claims production/default/app, which definition bb claims on line 4 of secrets/bb.yaml; remove one of the two",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			named := make(map[string]string)
			for name, text := range test.files {
				named[name+".yaml"] = text
			}
			set := setOf(t, 0, named)
			if got := lines(set.Problems()); !slices.Equal(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}
