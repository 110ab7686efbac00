package parse

import (
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v3"

	"secretsync/gitstore/definition"
)

func (p *parser) sync(f *Document) []definition.Target {
	list := f.Sync.Value
	switch {
	case list.Kind == yaml.ScalarNode && list.ShortTag() == "!!null":
		p.oneLine(list, "sync")
		return nil
	case list.Kind != yaml.SequenceNode:
		p.fail(list, "sync must be a list of targets, not %s; begin each target with '- ', or write [] for none", kindOf(list))
		return nil
	case len(list.Content) > definition.MaxTargets:
		p.fail(list.Content[definition.MaxTargets], "sync has %d targets; at most %d are allowed", len(list.Content), definition.MaxTargets)
		return nil
	}
	targets := make([]definition.Target, len(list.Content))
	f.Targets = make([]TargetEntry, len(list.Content))
	seen := make(map[definition.Place]int, len(list.Content))
	for i, n := range list.Content {
		before := p.failed()
		where := fmt.Sprintf("sync[%d]", i)
		targets[i], f.Targets[i] = p.target(n, where)
		if p.failed() > before {
			continue
		}
		place := targets[i].Place(f.Definition.Name)
		if first, ok := seen[place]; ok {
			p.fail(n, "%s is the same target as sync[%d] on line %d; remove one", where, first, list.Content[first].Line)
			continue
		}
		seen[place] = i
	}
	return targets
}

func (p *parser) target(n *yaml.Node, where string) (definition.Target, TargetEntry) {
	t, e := definition.Target{}, TargetEntry{Node: n}
	entries, ok := p.mapping(n, where, targetKeys)
	if !ok {
		return t, e
	}
	e.Cluster, e.Namespace, e.SecretName = entries["cluster"], entries["namespace"], entries["secretName"]
	e.selector, e.restart = entries["namespaceSelector"], entries["restart"]
	t.Cluster = parseText(p, n, where, "cluster", e.Cluster, definition.ParseClusterName)
	switch {
	case e.selector.Key == nil:
		t.Namespace = parseText(p, n, where, "namespace", e.Namespace, definition.ParseNamespace)
	case e.Namespace.Key != nil:
		p.fail(e.selector.Key, "%s has a namespace and a namespaceSelector; remove one of them", where)
	default:
		t.Selector = p.selector(e.selector, where)
	}
	if e.restart.Key != nil {
		t.Restart = p.restart(e.restart, where)
	}
	if e.SecretName.Key != nil {
		t.SecretName = parseText(p, n, where, "secretName", e.SecretName, definition.ParseSecretName)
	}
	return t, e
}

// selector reads a namespaceSelector.
func (p *parser) selector(e Entry, where string) definition.Selector {
	what := join(where, "namespaceSelector")
	before := p.failed()
	value := p.plainValue(e.Value, what)
	if p.failed() > before {
		return definition.Selector{}
	}
	text, err := json.Marshal(value)
	if err != nil {
		p.fail(e.Value, "%s can't be read", what)
		return definition.Selector{}
	}
	s, err := definition.ParseSelector(text)
	if err != nil {
		p.fail(e.Value, "%s %s", what, reason(err))
	}
	return s
}

// plainValue is what a node holds: mappings, lists and texts, and nothing that
// could be read in two ways.
func (p *parser) plainValue(n *yaml.Node, what string) any {
	if !p.undecorated(n, what) {
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any)
		for e := range p.entriesOf(n, what, definition.MaxMarks) {
			m[e.Key.Value] = p.plainValue(e.Value, join(what, e.Key.Value))
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			list[i] = p.plainValue(item, fmt.Sprintf("%s[%d]", what, i))
		}
		return list
	}
	return parseText(p, n, "", what, Entry{n, n}, func(t string) (string, error) { return t, nil })
}

// restart reads a target's list of workloads.
func (p *parser) restart(e Entry, where string) definition.Restart {
	what := join(where, "restart")
	if !p.undecorated(e.Value, what) {
		return definition.Restart{}
	}
	switch {
	case e.Value.Kind != yaml.SequenceNode:
		p.fail(e.Value, "%s must be a list of workloads such as [deployment/web], not %s", what, kindOf(e.Value))
		return definition.Restart{}
	case len(e.Value.Content) == 0:
		p.fail(e.Value, "%s is empty; name a workload such as deployment/web, or remove it", what)
		return definition.Restart{}
	}
	before := p.failed()
	workloads := make([]string, len(e.Value.Content))
	for i, n := range e.Value.Content {
		workloads[i] = parseText(p, n, "", fmt.Sprintf("%s[%d]", what, i), Entry{n, n}, func(t string) (string, error) { return t, nil })
	}
	if p.failed() > before {
		return definition.Restart{}
	}
	r, err := definition.ParseRestart(workloads)
	if err != nil {
		p.fail(e.Value, "%s: %s", what, reason(err))
	}
	return r
}
