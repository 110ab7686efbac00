package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/share"
)

// A definition that stays may give a key away. Until the one that asks for it has written
// its own value there, the key stands as it did.

// listed are the keys that the record of a definition lists on Secret app.
func listed(s *corev1.Secret, definition string) []string {
	stamp, _ := share.Parse(s.Annotations[share.Annotation(definition)])
	return slices.Sorted(maps.Keys(stamp.Keys))
}

func (w *world) lists(definition string, keys ...string) {
	w.t.Helper()
	w.until(app, fmt.Sprintf("a record of %s that lists %v", definition, keys), func(s *corev1.Secret) bool {
		return s != nil && slices.Equal(listed(s, definition), keys)
	})
}

// given is a world in which aa, which had k and more, has more still, and bb has come to
// ask for k and has no value yet.
func given(t *testing.T, more string, options ...func(*world)) *world {
	t.Helper()
	w := newWorld(t, options...)
	w.put("aa", map[string]any{"k": "1", "more": "m"})
	w.share("aa", more, "k", "more")
	w.synced("aa")
	w.push(map[string]*string{fileOf("aa"): w.merging("aa", more, "more"), fileOf("bb"): w.merging("bb", more, "k")})
	w.synced("aa")
	w.status("bb", fault.ReasonValueNotFound)
	return w
}

func TestAKeyThatIsGivenAwayStandsTillWhoAsksForItHasAValue(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]string{"Retain": "", "Delete": deletes} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := given(t, more)
			w.app(map[string]string{"k": "1", "more": "m"})

			// However often the one that gives it away is written, and also across a start.
			w.put("aa", map[string]any{"more": "m2"})
			w.app(map[string]string{"k": "1", "more": "m2"})
			w.synced("aa")
			w.lists("aa", "k", "more")
			w.restart(func() error { return nil })
			w.synced("aa")
			w.status("bb", fault.ReasonValueNotFound)
			s := w.app(map[string]string{"k": "1", "more": "m2"})
			w.put("other", map[string]any{"o": "1"}) // which takes as long as any write would
			w.define("other", "production/.")
			w.synced("other", "aa")
			if now := w.get(app); now.ResourceVersion != s.ResourceVersion {
				t.Error("it is written again and again")
			}

			w.put("bb", map[string]any{"k": "2"})
			w.app(map[string]string{"k": "2", "more": "m2"})
			w.synced("aa", "bb")
			w.lists("aa", "more")
			w.lists("bb", "k")

			// From then on it is that one's.
			w.remove("bb")
			if more == "" {
				w.weighed()
				w.app(map[string]string{"k": "2", "more": "m2"})
			} else {
				w.app(map[string]string{"more": "m2"})
			}
		})
	}
}

func TestAKeyThatIsGivenAwayGoesWhenNobodyAsksForItAnyMore(t *testing.T) {
	t.Parallel()
	for name, changes := range map[string]func(w *world){
		"the one that asked goes": func(w *world) { w.remove("bb") },
		"it asks for another key": func(w *world) { w.share("bb", "", "other") },
		"its target goes": func(w *world) {
			w.push(map[string]*string{fileOf("bb"): w.yaml("bb", "mode: Merge\ndata: {k: {key: k}}\n", "elsewhere")})
		},
		"it went while nobody was there": func(w *world) { w.stop(); w.remove("bb"); w.start() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := given(t, "")
			w.lists("aa", "k", "more")
			changes(w)
			w.app(map[string]string{"more": "m"})
			w.synced("aa")
			w.lists("aa", "more")
		})
	}
}

// The key has its first value until it has its second, whoever is faster.
func TestAKeyThatIsGivenAwayIsThereAtEveryMoment(t *testing.T) {
	t.Parallel()
	both := func(w *world, a, b string) {
		w.push(map[string]*string{fileOf("aa"): w.merging("aa", "", strings.Fields(a)...), fileOf("bb"): w.merging("bb", "", strings.Fields(b)...)})
	}
	whole := func(more string, asked ...string) func(w *world) {
		return func(w *world) {
			w.push(map[string]*string{fileOf("aa"): w.yaml("aa", more, "app")})
			w.live("aa", "app")
			if asked != nil {
				w.share("bb", "", asked...)
				w.status("bb", fault.ReasonTargetConflict)
			}
		}
	}
	for name, c := range map[string]struct {
		before, changes func(w *world)
		want            map[string]string
	}{
		"to one that waits for it": {
			func(w *world) { both(w, "k more", "k own"); w.synced("aa"); w.status("bb", fault.ReasonKeyConflict) },
			func(w *world) { w.share("aa", "", "more") },
			map[string]string{"k": "2", "more": "m", "own": "o"},
		},
		"to one that comes": {
			func(w *world) { w.share("aa", "", "k", "more"); w.synced("aa") },
			func(w *world) { both(w, "more", "k own") },
			map[string]string{"k": "2", "more": "m", "own": "o"},
		},
		"two change keys": {
			func(w *world) { both(w, "k", "own"); w.synced("aa", "bb") },
			func(w *world) { both(w, "own", "k") },
			map[string]string{"k": "2", "own": "mine"},
		},
		"by one that reads another path from then on": {
			func(w *world) { both(w, "k more", "own"); w.synced("aa", "bb") },
			func(w *world) {
				w.put("further", map[string]any{"more": "f"})
				w.push(map[string]*string{
					fileOf("aa"): w.yaml("aa", "mode: Merge\ndata: {more: {key: more, path: further}}\n", "app"), fileOf("bb"): w.merging("bb", "", "k", "own"),
				})
			},
			map[string]string{"k": "2", "more": "f", "own": "o"},
		},
		"by a copy that comes to be shared": {
			whole(""),
			func(w *world) { both(w, "more", "k own") },
			map[string]string{"k": "2", "more": "m", "own": "o"},
		},
		"by a copy that comes to be shared, to one that waits for it": {
			whole("", "k", "own"),
			func(w *world) { w.share("aa", "", "more") },
			map[string]string{"k": "2", "more": "m", "own": "o"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.put("aa", map[string]any{"k": "1", "more": "m", "own": "mine"})
			w.put("bb", map[string]any{"k": "2", "own": "o"})
			c.before(w)
			w.until(app, "the first value", func(s *corev1.Secret) bool { return s != nil && string(s.Data["k"]) == "1" })
			told := w.history(t, "k")
			c.changes(w)
			w.synced("aa", "bb")
			w.app(c.want)
			if held := slices.Compact(told()["app"]); !slices.Equal(held, []string{"1", "2"}) && !slices.Equal(held, []string{"2"}) {
				t.Errorf("it was %q", held)
			}
		})
	}
}

func TestAKeyOfACopyThatComesToBeSharedStandsTillWhoAsksForItHasAValue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("aa", map[string]any{"k": "1", "more": "m", "unasked": "u"})
	w.push(map[string]*string{fileOf("aa"): w.yaml("aa", "", "app")})
	w.live("aa", "app")
	w.push(map[string]*string{fileOf("aa"): w.merging("aa", "", "more"), fileOf("bb"): w.merging("bb", "", "k", "none")})
	w.status("bb", fault.ReasonValueNotFound)
	w.synced("aa")
	w.app(map[string]string{"k": "1", "more": "m"})
	w.lists("aa", "k", "more")
	w.remove("bb")
	w.app(map[string]string{"more": "m"})
}

// One that has nothing left but what it gave away keeps just that.
func TestAKeyIsGivenAwayByOneThatHasNoKeyAnyMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("aa", map[string]any{"k": "1", "more": "m", "j": "aa"})
	w.put("cc", map[string]any{"j": "cc"})
	w.share("aa", "labels: {team: payments}\n", "k", "more")
	w.share("cc", "", "j")
	w.synced("aa", "cc")
	w.push(map[string]*string{fileOf("aa"): w.merging("aa", "", "j"), fileOf("bb"): w.merging("bb", "", "k")})
	w.status("bb", fault.ReasonValueNotFound)
	w.status("aa", fault.ReasonKeyConflict)
	w.app(map[string]string{"k": "1", "j": "cc"})
	w.lists("aa", "k")
	if s := w.get(app); s.Labels["team"] != "" || s.Labels[copies.LabelTenant] != w.name {
		t.Errorf("%v", s.Labels)
	}
	w.put("cc", map[string]any{"j": "cc2"})
	w.app(map[string]string{"k": "1", "j": "cc2"})
	w.put("bb", map[string]any{"k": "2"})
	w.app(map[string]string{"k": "2", "j": "cc2"})
	w.synced("bb")
	w.until(app, "no record of aa", func(s *corev1.Secret) bool { return s.Annotations[share.Annotation("aa")] == "" })
	w.remove("cc") // what is left of one that is gone may be taken
	w.synced("aa")
	w.app(map[string]string{"k": "2", "j": "aa"})
}

// One that is suspended asks for what it asks for, and has it when it goes on.
func TestAKeyStandsTillOneThatIsSuspendedGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("aa", map[string]any{"k": "1", "more": "m"})
	w.put("bb", map[string]any{"k": "2"})
	w.share("aa", "", "k", "more")
	w.synced("aa")
	w.push(map[string]*string{fileOf("aa"): w.merging("aa", "", "more"), fileOf("bb"): w.merging("bb", "suspend: true\n", "k")})
	w.status("bb", fault.ReasonSuspended)
	w.synced("aa")
	w.lists("aa", "k", "more")
	w.app(map[string]string{"k": "1", "more": "m"})
	w.share("bb", "", "k")
	w.app(map[string]string{"k": "2", "more": "m"})
	w.synced("aa", "bb")
}

// What others made of a key meanwhile is theirs, as of one whose definition is gone.
func TestAKeyThatSomebodyChangedSinceItWasGivenAwayIsHis(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		changes func(w *world)
		wants   fault.Reason
		holds   map[string]string
	}{
		"edited":   {func(w *world) { w.edit(app, func(s *corev1.Secret) { s.Data["k"] = []byte("by hand") }) }, fault.ReasonKeyConflict, map[string]string{"k": "by hand", "more": "m"}},
		"declared": {func(w *world) { w.declares("argocd", map[string]string{"k": "by hand"}) }, fault.ReasonKeyConflict, map[string]string{"k": "by hand", "more": "m"}},
		"removed":  {func(w *world) { w.edit(app, func(s *corev1.Secret) { delete(s.Data, "k") }) }, fault.ReasonValueNotFound, map[string]string{"more": "m"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := given(t, "")
			w.lists("aa", "k", "more")
			c.changes(w)
			w.lists("aa", "more")
			w.synced("aa")
			w.status("bb", c.wants)
			w.app(c.holds)
		})
	}
}

// It makes no difference that the one that gave the key away goes before it is taken.
func TestAKeyThatWasGivenAwayOutlivesWhoGaveIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy string
		left   map[string]string
	}{
		"with its target": {deletes, map[string]string{"k": "2"}},
		"and stays":       {"", map[string]string{"k": "2", "more": "m"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := given(t, c.policy)
			w.remove("aa")
			w.weighed()
			w.app(map[string]string{"k": "1", "more": "m"})
			w.put("bb", map[string]any{"k": "2"})
			w.synced("bb")
			w.app(c.left)
		})
	}
}

// Nothing is taken off while only some of a commit is taken in.
func TestAKeyThatIsGivenAwayStandsThroughALargeCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("aa", map[string]any{"k": "1", "more": "m"})
	w.put("bulk", map[string]any{"x": "1"})
	told := w.history(t, "k")
	var want []string
	for round := range 2 {
		last := fmt.Sprintf("zz%d", round)
		files := map[string]*string{fileOf("aa"): w.merging("aa", "", "k", "more")}
		if round > 0 {
			files[fileOf(fmt.Sprintf("zz%d", round-1))] = nil
		}
		w.push(files)
		w.synced("aa")
		want = append(want, "1")
		files = map[string]*string{fileOf("aa"): w.merging("aa", "", "more"), fileOf(last): w.merging(last, "", "k")}
		for i := range 500 { // between the two in the order of names
			name := fmt.Sprintf("b%d", i)
			files[fileOf(name)] = new(fmt.Sprintf("name: %s\nsecretPath: bulk%d\nsync: [{cluster: production, namespace: %s}]\n", name, round, w.namespace))
		}
		w.push(files)
		w.status(last, fault.ReasonValueNotFound)
		w.synced("aa")
		value := fmt.Sprintf("of round %d", round)
		want = append(want, value)
		w.put(last, map[string]any{"k": value})
		w.synced(last)
	}
	if held := slices.Compact(told()["app"]); !slices.Equal(held, want) {
		t.Errorf("it was %q", held)
	}
}

// Also where the one that asks selects its namespaces, be it known which or not.
func TestAKeyThatIsGivenAwayStandsTillWhoSelectsItsNamespaceHasIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.config.mostNamespaces = 1 })
	w.put("aa", map[string]any{"k": "1", "more": "m"})
	w.put("bb", map[string]any{"k": "2"})
	w.share("aa", "", "k", "more")
	w.synced("aa")
	more := w.name + "-more"
	for _, namespace := range []string{w.namespace, more} {
		w.label("production", namespace, `{"team":"`+w.name+`"}`)
	}
	asks := func(label string) *string {
		return new(fmt.Sprintf("name: bb\nsecretPath: bb\nmode: Merge\ndata: {k: {key: k}}\nsync: [{cluster: production, namespaceSelector: {matchLabels: {%s: %q}}, secretName: app}]\n", label, w.name))
	}
	w.push(map[string]*string{fileOf("aa"): w.merging("aa", "", "more"), fileOf("bb"): asks("team")})
	w.stands("bb", "/TooManyNamespaces")
	w.synced("aa")
	told := w.history(t, "k")
	for range 3 { // a start does not know at first who selects what
		w.restart(func() error { return nil })
		w.put("aa", map[string]any{"k": "1", "more": "m"})
		w.stands("bb", "/TooManyNamespaces")
		w.synced("aa")
	}
	w.app(map[string]string{"k": "1", "more": "m"})
	w.label("production", more, `{"team":null}`)
	w.stands("bb", "/Synced")
	w.app(map[string]string{"k": "2", "more": "m"})
	if held := slices.Compact(told()["app"]); !slices.Equal(held, []string{"1", "2"}) {
		t.Errorf("it was %q", held)
	}

	// One that selects elsewhere, or not any more, is no reason.
	w.share("aa", "", "k", "more")
	w.status("aa", fault.ReasonKeyConflict)
	w.label("production", w.namespace, `{"team":null}`)
	w.synced("aa")
	w.app(map[string]string{"k": "1", "more": "m"})
	for _, namespace := range []string{w.namespace, more} {
		w.label("production", namespace, `{"group":"`+w.name+`"}`)
	}
	w.push(map[string]*string{fileOf("aa"): w.merging("aa", "", "more"), fileOf("bb"): asks("group")})
	w.stands("bb", "/TooManyNamespaces")
	w.synced("aa")
	w.app(map[string]string{"k": "1", "more": "m"})
	w.label("production", w.namespace, `{"group":null}`)
	w.app(map[string]string{"more": "m"})
}

// A copy as a whole may come to be shared, and give a key away, while it is not known yet
// which namespaces the one selects that asks for it.
func TestAKeyOfACopyThatComesToBeSharedStandsTillWhoSelectsItsNamespaceHasIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.config.mostNamespaces = 1 })
	w.put("aa", map[string]any{"k": "1", "more": "m"})
	w.put("bb", map[string]any{"k": "2"})
	w.push(map[string]*string{fileOf("aa"): w.yaml("aa", "", "app")})
	w.live("aa", "app")
	more := w.name + "-more"
	for _, namespace := range []string{w.namespace, more} {
		w.label("production", namespace, `{"team":"`+w.name+`"}`)
	}
	told := w.history(t, "k")
	w.push(map[string]*string{fileOf("aa"): w.merging("aa", "", "more"),
		fileOf("bb"): new(fmt.Sprintf("name: bb\nsecretPath: bb\nmode: Merge\ndata: {k: {key: k}}\nsync: [{cluster: production, namespaceSelector: {matchLabels: {team: %q}}, secretName: app}]\n", w.name))})
	w.stands("bb", "/TooManyNamespaces")
	w.until(app, "a share", func(s *corev1.Secret) bool { return s.Annotations[share.Annotation("aa")] != "" })
	w.synced("aa")
	w.app(map[string]string{"k": "1", "more": "m"})
	w.lists("aa", "k", "more")
	w.label("production", more, `{"team":null}`)
	w.stands("bb", "/Synced")
	w.app(map[string]string{"k": "2", "more": "m"})
	if held := slices.Compact(told()["app"]); !slices.Equal(held, []string{"1", "2"}) {
		t.Errorf("it was %q", held)
	}
}
