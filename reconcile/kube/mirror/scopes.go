package mirror

import (
	"path"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// KeepOnly forgets what was known, by an earlier and wider view, of other
// namespaces. Those it is given are sorted.
func (m *Mirror) KeepOnly(names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, ns := range m.namespaces {
		if _, ok := slices.BinarySearch(names, name); !ok {
			ns.forget()
		}
	}
}

// AllRefused reports whether there are namespaces, and none that we may list.
func (m *Mirror) AllRefused(names []string) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, name := range names {
		if s := m.scopes[name]; s != nil && s.fault == nil {
			return false
		}
	}
	return len(names) > 0 // else none of them exists yet
}

// Granted returns the namespaces to be followed: those named, those that a
// pattern matches as far as we know of them, and those that were asked for; sorted.
func (m *Mirror) Granted(patterns []string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make(map[string]bool)
	for _, pattern := range patterns {
		switch {
		case !strings.ContainsAny(pattern, `*?[\`):
			names[pattern] = true
		case m.seesNames:
			for name, ns := range m.namespaces {
				if ok, err := path.Match(pattern, name); ok && err == nil && ns.state != NamespaceMissing && !ofSystem(name) {
					names[name] = true
				}
			}
		}
	}
	for name := range m.wanted {
		if !names[name] && matches(patterns, name) { // as a rule it is one that is named
			names[name] = true
		}
	}
	all := make([]string, 0, len(names))
	for name := range names {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { ok, err := path.Match(p, name); return ok && err == nil })
}

// ofSystem reports whether patterns don't mean this namespace.
func ofSystem(name string) bool {
	return name == metav1.NamespaceSystem || name == metav1.NamespacePublic || name == "kube-node-lease"
}

// Everywhere reports that one watch sees all namespaces.
func (m *Mirror) Everywhere() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.scopes[""] != nil
}

// Listed is a namespace in which we may list Secrets, where one watch does not see them
// all; empty where it does, and where there is none.
func (m *Mirror) Listed() string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.scopes[""] != nil {
		return ""
	}
	for name, s := range m.scopes {
		if s.fault == nil {
			return name
		}
	}
	return ""
}

// Reconnect notes that nothing is followed any more: a connection begins, and lists anew.
// What is known stays until then.
func (m *Mirror) Reconnect() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.scopes)
}
