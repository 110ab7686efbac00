package kube

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/mirror"
)

func TestLabelsOfNamespacesAreKeptWhileSomebodySelects(t *testing.T) {
	t.Parallel()
	w := newWorld(t).up()
	label := func(value string) {
		_, err := w.real.Admin.CoreV1().Namespaces().Patch(w.ctx, w.namespace, types.MergePatchType, []byte(`{"metadata":{"labels":{"team":`+value+`}}}`), metav1.PatchOptions{})
		w.must(err)
	}
	label(`"x"`)
	mine := func(name string, set labels.Set) bool { return name == w.namespace && set["team"] != "" }
	if _, unknown := w.c.Select(mine); unknown == nil || unknown.Reason != fault.ReasonQueued {
		t.Errorf("%+v", unknown)
	}
	var told, all atomic.Int64
	w.c.Label(func(namespace string) {
		switch namespace {
		case "":
			all.Add(1)
		case w.namespace:
			told.Add(1)
		}
	})
	selected := func() bool {
		names, unknown := w.c.Select(mine)
		return unknown == nil && slices.Equal(names, []string{w.namespace})
	}
	w.until("selected", selected)
	w.until("told of all", func() bool { return all.Load() > 0 })

	before := told.Load()
	label("null")
	w.until("told of it", func() bool { return told.Load() > before })
	if selected() {
		t.Error("it is selected still")
	}
	label(`"y"`)
	w.until("selected again", selected)
	if set, state, unknown := w.c.Labels(w.namespace); set["team"] != "y" || state != mirror.NamespaceThere || unknown != nil {
		t.Errorf("%v %v %v", set, state, unknown)
	}

	w.c.Label(nil)
	if selected() {
		t.Error("it is selected by nobody")
	}
	w.c.Label(func(string) {})
	w.until("selected anew", selected)
}

func TestWhoMayNotListNamespacesIsToldSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) {
		w.byNamespace(w.user(), w.namespace)
		w.config.Namespaces = []string{w.namespace}
	}).up()
	w.c.Label(func(string) {})
	var unknown *fault.Fault
	w.until("refused", func() bool {
		_, unknown = w.c.Select(func(string, labels.Set) bool { return true })
		return unknown != nil && unknown.Reason == fault.ReasonForbidden
	})
	if !strings.Contains(unknown.Message, "allow get, list and watch on namespaces") {
		t.Errorf("%q", unknown.Message)
	}
}
