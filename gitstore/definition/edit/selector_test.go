package edit

import (
	"encoding/json"
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"secretsync/gitstore/definition"
)

// Whatever the bytes are, they are a selector that selects what Kubernetes selects by
// them, and goes on doing so once it was written to a file and edited in; or they are
// refused in words.
func FuzzSelector(f *testing.F) {
	for _, seed := range []string{
		`{"matchLabels":{"team":"payments"}}`, `{"matchLabels":{"a":"","b":"x"},"matchExpressions":[]}`,
		`{"matchExpressions":[{"key":"tier","operator":"In","values":["gold","silver"]},{"key":"old","operator":"DoesNotExist"}]}`,
		`{"matchExpressions":[{"key":"tier","operator":"NotIn","values":["a","a"]}]}`, `{"matchLabels":{"a":"true"},"matchlabels":{"a":"b"}}`, `{}`, `null`, `[]`,
		`{"matchLabels":null,"matchExpressions":[{"key":"a","operator":"Exists","values":null}]}`,
	} {
		f.Add([]byte(seed), "team", "payments")
	}
	f.Fuzz(func(t *testing.T, text []byte, name, value string) {
		s, err := definition.ParseSelector(text)
		if err != nil {
			if !errors.Is(err, definition.ErrInvalid) || len(err.Error()) > 1000 {
				t.Fatalf("%v", err)
			}
			return
		}
		var theirs metav1.LabelSelector
		if err := json.Unmarshal(text, &theirs); err != nil {
			t.Fatalf("%q is taken, and Kubernetes refuses it: %v", text, err)
		}
		want, err := metav1.LabelSelectorAsSelector(&theirs)
		if err != nil {
			t.Fatalf("%q is taken, and Kubernetes refuses it: %v", text, err)
		}
		d := definition.Definition{Name: must(definition.ParseName("a-b")), SecretPath: must(definition.ParseSecretPath("p")), Sync: []definition.Target{{Cluster: must(definition.ParseClusterName("c")), Selector: s}}}
		edited, err := File([]byte("name: a-b # x\nsecretPath: p\nsync: []\n"), definition.SyncTo(d.Sync))
		if err != nil {
			t.Fatalf("%s can't be edited in: %v", s, err)
		}
		selectors := []definition.Selector{s}
		for _, file := range [][]byte{Encode(d), edited} {
			selectors = append(selectors, parseShaped(t, string(file)).Sync[0].Selector)
		}
		sets := []labels.Set{{}, {name: value}}
		for key, v := range theirs.MatchLabels {
			sets = append(sets, labels.Set{key: v}, labels.Set{key: v, name: value})
		}
		sets = append(sets, labels.Set(theirs.MatchLabels))
		for _, e := range theirs.MatchExpressions {
			for _, v := range append(e.Values, value) {
				sets = append(sets, labels.Set{e.Key: v})
			}
		}
		for _, s := range selectors {
			if again, err := definition.ParseSelector([]byte(s.JSON())); err != nil || again != s {
				t.Fatalf("%s becomes %s, %v", s.JSON(), again.JSON(), err)
			}
			compiled := s.Compile()
			for _, set := range sets {
				if compiled.Matches(set) != want.Matches(set) {
					t.Fatalf("%s: %v of %v, and Kubernetes says %v", s.JSON(), compiled.Matches(set), set, want.Matches(set))
				}
			}
		}
	})
}
