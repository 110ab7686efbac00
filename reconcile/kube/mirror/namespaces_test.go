package mirror

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
