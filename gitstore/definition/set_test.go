package definition

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/filemode"
)

func setOf(t *testing.T, allowed int, files map[string]string) Set {
	t.Helper()
	var all []File
	for name, text := range files {
		all = append(all, File{Name: name, Mode: filemode.Regular, Read: func(int64) ([]byte, error) { return []byte(text), nil }})
	}
	set, err := ReadSet(all, allowed)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func named(name string) string { return fmt.Sprintf("name: %s\nsecretPath: %s\n", name, name) }

func (s *Set) told() string {
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
		words = append(words, "?"+strings.TrimPrefix(e.Path, Folder+"/"))
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
		if got := base.With(setOf(t, 0, test.files), test.removed); got.told() != test.want {
			t.Errorf("%s: got %q, want %q", name, got.told(), test.want)
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
