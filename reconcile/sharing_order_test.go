package reconcile

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
)

// Who has what of a shared Secret is no race: whoever is faster, it comes to the same.

func TestOfSeveralThatComeTogetherTheLeastNameHasAKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"aa", "bb", "cc"} {
		w.put(name, map[string]any{"k": name, name: "own"})
	}
	w.push(map[string]*string{fileOf("aa"): w.merging("aa", "", "k", "aa"), fileOf("bb"): w.merging("bb", "", "k", "bb"), fileOf("cc"): w.merging("cc", "", "k", "cc")})
	w.synced("aa")
	for _, name := range []string{"bb", "cc"} {
		if x := w.status(name, fault.ReasonKeyConflict); !strings.Contains(x.Message, "key k of definition aa") {
			t.Errorf("%+v", x)
		}
	}
	w.app(map[string]string{"k": "aa", "aa": "own", "bb": "own", "cc": "own"})
	// Somebody who removes it takes it from nobody.
	w.share("bb", "", "k", "bb")
	w.edit(app, func(s *corev1.Secret) { delete(s.Data, "k") })
	w.app(map[string]string{"k": "aa", "aa": "own", "bb": "own", "cc": "own"})
	// It passes to the next when it is asked for no more, though nothing else changes.
	w.share("aa", "", "aa")
	w.synced("aa", "bb")
	w.status("cc", fault.ReasonKeyConflict)
	w.app(map[string]string{"k": "bb", "aa": "own", "bb": "own", "cc": "own"})
}

// One that asks for a key no more may be made of other paths by then, and of a value that
// makes no copy.
func TestAKeyPassesOnFromOneThatComesToReadOtherPaths(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"aa", "bb", "further"} {
		w.put(name, map[string]any{"k": name, name: "own"})
	}
	w.push(map[string]*string{fileOf("aa"): w.yaml("aa", "mode: Merge\ndata: {k: {key: k}, more: {key: further, path: further}}\n", "app"), fileOf("bb"): w.merging("bb", "", "k", "bb")})
	w.synced("aa")
	w.status("bb", fault.ReasonKeyConflict)
	w.app(map[string]string{"k": "aa", "more": "own", "bb": "own"})
	w.share("aa", "", "missing")
	w.status("aa", fault.ReasonKeyNotFound)
	w.synced("bb")
	w.app(map[string]string{"k": "bb", "more": "own", "bb": "own"})
}

// A key of which no value can be made waits for the one that is to have it.
func TestOneThatAsksForAKeyHasItBeforeItHasAValue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("bb", map[string]any{"k": "bb", "b": "b"})
	w.push(map[string]*string{fileOf("aa"): w.merging("aa", "", "k"), fileOf("bb"): w.merging("bb", "", "k", "b")})
	w.status("aa", fault.ReasonValueNotFound)
	w.status("bb", fault.ReasonKeyConflict)
	w.app(map[string]string{"b": "b"})
	w.remove("aa")
	w.synced("bb")
	w.app(map[string]string{"k": "bb", "b": "b"})
}

func TestAKeyThatIsHandedToTwoStaysWithTheFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("aa", map[string]any{"k": "aa"})
	w.put("bb", map[string]any{"k": "bb", "b": "b"})
	w.theirs(map[string]string{"k": "theirs"})
	w.edit(app, func(s *corev1.Secret) {
		s.Annotations = map[string]string{copies.AnnotationAdopt: w.name + "/aa," + w.name + "/bb"}
	})
	w.push(map[string]*string{fileOf("aa"): w.merging("aa", "", "k"), fileOf("bb"): w.merging("bb", "", "k", "b")})
	w.synced("aa")
	if x := w.status("bb", fault.ReasonKeyConflict); !strings.Contains(x.Message, "key k of definition aa") {
		t.Errorf("%+v", x)
	}
	s := w.app(map[string]string{"k": "aa", "b": "b"})
	w.define("other", "production/.")
	w.put("other", map[string]any{"b": "1"}) // which takes as long as any write would
	w.synced("other", "aa")
	if now := w.get(app); now.ResourceVersion != s.ResourceVersion {
		t.Error("they take it from each other")
	}
}

func TestADefinitionThatFillsASecretGoesBeforeThoseThatWouldShareIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("aa", map[string]any{"a": "1"})
	w.put("whole", map[string]any{"w": "1"})
	w.push(map[string]*string{fileOf("aa"): w.merging("aa", "", "a"), fileOf("whole"): w.yaml("whole", deletes, "app")})
	w.live("whole", "app")
	if x := w.status("aa", fault.ReasonTargetConflict); !strings.Contains(x.Message, "whole") {
		t.Errorf("%+v", x)
	}
	w.app(map[string]string{"w": "1"})
	w.remove("whole")
	w.synced("aa")
	w.app(map[string]string{"a": "1"})
}

// What a share set on the Secret goes when the definition comes to fill it without that.
func TestLabelsOfAShareGoWhenItBecomesACopyWithoutThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.share("db", "labels: {team: payments, tier: first}\nannotations: {note: text}\n", "a")
	w.synced("db")
	w.edit(app, func(s *corev1.Secret) { s.Labels["theirs"] = "stays" })
	w.push(map[string]*string{fileOf("db"): w.yaml("db", "labels: {tier: other}\n", "app")})
	s := w.until(app, "a copy", func(s *corev1.Secret) bool { return s.Labels[copies.LabelName] == "db" })
	if s.Labels["team"] != "" || s.Labels["tier"] != "other" || s.Labels["theirs"] != "stays" || s.Annotations["note"] != "" {
		t.Errorf("%v %v", s.Labels, s.Annotations)
	}
	w.synced("db")
}

// A definition that is gone leaves its keys to who asks for them, but not what others
// made of them since.
func TestAKeyThatSomebodyChangedSinceItsDefinitionWentIsHis(t *testing.T) {
	t.Parallel()
	for name, changes := range map[string]func(w *world){
		"edited":   func(w *world) { w.edit(app, func(s *corev1.Secret) { s.Data["k"] = []byte("by hand") }) },
		"declared": func(w *world) { w.declares("argocd", map[string]string{"k": "by hand"}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.put("aa", map[string]any{"k": "aa", "a": "a"})
			w.put("bb", map[string]any{"k": "bb", "a": "a2"})
			w.share("aa", "", "k", "a")
			w.synced("aa")
			w.remove("aa")
			w.weighed()
			changes(w)
			w.share("bb", "", "k", "a")
			w.status("bb", fault.ReasonKeyConflict)
			w.app(map[string]string{"k": "by hand", "a": "a2"})
		})
	}
}

// A selector means the share of its own definition, and nobody else's copy.
func TestAShareThatIsSelectedKeepsNoOtherCopy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("db", map[string]any{"a": "1"})
	w.put("whole", map[string]any{"w": "1"})
	w.label("production", w.namespace, `{"team":"`+w.name+`"}`)
	w.push(map[string]*string{fileOf("whole"): w.yaml("whole", deletes, "app")})
	w.live("whole", "app")
	w.push(map[string]*string{fileOf("db"): new(fmt.Sprintf("name: db\nsecretPath: db\nmode: Merge\ndata: {a: {key: a}}\nsync: [{cluster: production, namespaceSelector: {matchLabels: {team: %q}}, secretName: app}]\n", w.name))})
	w.stands("db", "/TargetConflict")
	w.remove("whole")
	w.app(map[string]string{"a": "1"})
	w.stands("db", "/Synced")
}

// A definition that is renamed, or gives a key away, leaves no moment without the key.
func TestAKeyStandsTillWhoComesToAskForItHasAValue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put("aa", map[string]any{"k": "1", "more": "m"})
	w.share("aa", deletes, "k", "more")
	w.synced("aa")
	w.push(map[string]*string{fileOf("aa"): nil, fileOf("bb"): w.merging("bb", deletes, "k")})
	w.status("bb", fault.ReasonValueNotFound)
	w.weighed()
	w.app(map[string]string{"k": "1", "more": "m"})
	if orphans := w.orphans(); len(orphans) > 0 {
		t.Errorf("%+v", orphans)
	}

	// Then it is that one's, and what nobody asks for goes.
	w.put("bb", map[string]any{"k": "2"})
	w.app(map[string]string{"k": "2"})
	w.synced("bb")

	// One that never had it is no reason to keep it.
	w.push(map[string]*string{fileOf("bb"): nil, fileOf("cc"): w.merging("cc", "", "k")})
	w.status("cc", fault.ReasonValueNotFound)
	w.remove("cc")
	w.until(app, "nothing", gone)
}

// It makes no difference that the one who comes selects namespaces, also where it is not
// known which.
func TestAKeyStandsTillWhoComesToSelectItsNamespaceHasIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.config.mostNamespaces = 1 })
	w.put("aa", map[string]any{"k": "1"})
	w.share("aa", deletes, "k")
	w.synced("aa")
	more := w.name + "-more"
	for _, namespace := range []string{w.namespace, more} {
		w.label("production", namespace, `{"team":"`+w.name+`"}`)
	}
	w.push(map[string]*string{fileOf("aa"): nil, fileOf("bb"): new(fmt.Sprintf("name: bb\nsecretPath: aa\nmode: Merge\ndata: {k: {key: k}}\nsync: [{cluster: production, namespaceSelector: {matchLabels: {team: %q}}, secretName: app}]\n", w.name))})
	w.stands("bb", "/TooManyNamespaces")
	w.weighed()
	w.app(map[string]string{"k": "1"})
	if orphans := w.orphans(); len(orphans) > 0 {
		t.Errorf("%+v", orphans)
	}
	w.label("production", more, `{"team":null}`)
	w.stands("bb", "/Synced")
	w.app(map[string]string{"k": "1"})
}

func TestALabelThatSomebodyAsksForIsNoReasonToKeepAKeyThatIsToGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const labelled = "labels: {team: payments}\n"
	w.put("aa", map[string]any{"k": "1"})
	w.share("aa", deletes+labelled, "k")
	w.synced("aa")
	w.share("bb", labelled, "other")
	w.status("bb", fault.ReasonValueNotFound)
	w.remove("aa")
	w.until(app, "nothing", gone)
}
