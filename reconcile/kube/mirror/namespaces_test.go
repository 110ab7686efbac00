package mirror

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"secretsync/reconcile/kube/copies"
)

func TestAListingThatBeganBeforeSomebodySelectedTellsNoLabels(t *testing.T) {
	m, _ := still()
	m.Label(func(string) {})
	began := m.selects()
	m.Label(nil)
	m.Label(func(string) {})
	listed := map[string]namespace{"team-a": {state: NamespaceThere}}
	m.replacedNamespaces(listed, began)
	if _, _, unknown := m.Labels("team-a"); unknown == nil {
		t.Error("labels are taken for known that were not kept")
	}
	m.replacedNamespaces(listed, m.selects())
	if _, _, unknown := m.Labels("team-a"); unknown != nil {
		t.Error(unknown)
	}
}

func TestLabelsThatNobodySelectsByAreNotKept(t *testing.T) {
	m, _ := still()
	list := func() {
		l := m.BeginNamespaces()
		l.Took(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team-a", Labels: map[string]string{"team": "a"}}})
		l.Complete()
	}
	for _, selected := range []bool{false, true, false} {
		m.Label(nil)
		if selected {
			m.Label(func(string) {})
		}
		if kept := len(m.namespaces) > 0 && m.namespaces["team-a"].labels != nil; kept {
			t.Errorf("labels are kept from before: %v", m.namespaces["team-a"].labels)
		}
		list()
		if kept := m.namespaces["team-a"].labels != nil; kept != selected {
			t.Errorf("labels are kept: %v, though somebody selects: %v", kept, selected)
		}
	}
}

// Its deletion may not have been told of: it happened while nothing was followed.
func TestANamespaceThatWasMadeAnewIsAnotherOne(t *testing.T) {
	named := func(uid types.UID) *corev1.Namespace {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team-a", UID: uid}}
	}
	listed := func(m *Mirror, o *corev1.Namespace) {
		l := m.BeginNamespaces()
		l.Took(o)
		l.Complete()
	}
	for name, anew := range map[string]func(*Mirror){
		"by the watch": func(m *Mirror) { m.NamespaceGone("team-a"); m.SawNamespace(named("second")) },
		"by a listing": func(m *Mirror) { listed(m, named("second")) },
	} {
		t.Run(name, func(t *testing.T) {
			m, o := still()
			at := copies.Key{Namespace: "team-a", Name: "db"}
			listed(m, named("first"))
			m.SawNamespace(named("first"))
			if seen := m.Look(at); seen.NamespaceUID != "first" {
				t.Errorf("%+v", seen)
			}
			before := o.namespaces["team-a"]
			anew(m)
			if seen := m.Look(at); seen.Namespace != NamespaceThere || seen.NamespaceUID != "second" {
				t.Errorf("%+v", seen)
			}
			if o.namespaces["team-a"] == before {
				t.Error("nobody is told")
			}
			m.NamespaceGone("team-a")
			if seen := m.Look(at); seen.NamespaceUID != "" {
				t.Errorf("of one that is gone: %+v", seen)
			}
		})
	}
}
