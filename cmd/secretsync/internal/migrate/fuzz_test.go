package migrate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"secretsync/gitstore/definition"
)

// Whatever is given, the program goes on; what it makes are valid definitions,
// and no text that was given begins a line of what people or shells read.
func FuzzReadAndConvert(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		var all []byte
		for _, file := range archive.Files {
			if !strings.HasPrefix(file.Name, "want/") && file.Name != "options" {
				f.Add(file.Data)
				all = append(append(all, "---\n"...), file.Data...)
			}
		}
		f.Add(all)
	}
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("kind: List\napiVersion: v1\nitems: &i [{kind: List, apiVersion: v1, items: *i}]\n"))
	f.Add([]byte("{\n\t\"kind\": \"ExternalSecret\",\n\t\"apiVersion\": \"external-secrets.io/v1\", \"metadata\": null, \"spec\": [] }"))
	f.Add([]byte("kind: ExternalSecret\napiVersion: external-secrets.io/v1\nmetadata: {name: \"a\\nrm -rf /\", namespace: \"$(id)\"}\n"))
	cluster, _ := definition.ParseClusterName("production")
	namespace, _ := definition.ParseNamespace("shop")
	f.Fuzz(func(t *testing.T, text []byte) {
		resources, err := Read("given", text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("the error has several lines: %q", err)
			}
			return
		}
		plan := Convert(resources, Options{Tenant: "acme", Cluster: cluster, Mount: "secret", Prefix: "acme", Namespace: namespace})
		checkValid(t, plan)
		for _, finding := range plan.Findings {
			if line := finding.String(); strings.ContainsAny(line, "\n\r\x1b") || !strings.HasPrefix(line, "given:") {
				t.Errorf("a finding forges a line: %q", line)
			}
		}
		for line := range strings.Lines(strings.TrimPrefix(plan.Handover(), handoverHeadOf(plan))) {
			if word, _, _ := strings.Cut(strings.TrimSpace(line), " "); !known[word] {
				t.Errorf("the handover has a line of its own: %q", line)
			}
		}
		if len(resources) > 0 && len(plan.Definitions)+len(plan.Findings)+len(plan.Passed) == 0 {
			t.Errorf("%d resources went in, and nothing is said of them", len(resources))
		}
	})
}

var known = map[string]bool{"": true, "#": true, "change": true, "let_go": true, "drop": true, "adopt": true, "share": true, "if": true, "for": true, "curl": true, "done": true, "fi": true}

func handoverHeadOf(p *Plan) string {
	head, _, _ := strings.Cut(p.Handover(), "\n\n# given:")
	return head
}

func TestUnreadableTextsAreToldByLineAndNotQuoted(t *testing.T) {
	for text, want := range map[string]string{
		"a: b\nc: [hunter2\n":                 "given:",
		"- hunter2\n":                         "given:1: is no resource: it has no apiVersion and kind",
		"{{- if .Values.hunter2 }}\na: b\n":   "given:",
		"kind: hunter2\n":                     "given:1: is no resource: it has no apiVersion and kind",
		"a: b\n\t hunter2: c\n":               "given:2: is no YAML from here on; if it is a template, render it first",
		"kind: A\napiVersion: v1\n---\n- b\n": "given:4: is no resource: it has no apiVersion and kind",
	} {
		_, err := Read("given", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// A definition has so many targets and no more; what would have more is refused.
func TestAPathWithTooManyNamespacesIsRefused(t *testing.T) {
	store := "apiVersion: external-secrets.io/v1\nkind: ClusterSecretStore\nmetadata: {name: vault}\nspec: {provider: {vault: {server: 'https://vault', path: secret}}}\n---\n"
	var namespaces strings.Builder
	for i := range definition.MaxTargets + 1 {
		namespaces.WriteString("    - n" + strings.Repeat("x", i%50) + "-" + string(rune('a'+i/50)) + "\n")
	}
	resources, err := Read("given", []byte(store+"apiVersion: external-secrets.io/v1\nkind: ClusterExternalSecret\nmetadata: {name: wide}\nspec:\n  namespaces:\n"+
		namespaces.String()+"  externalSecretSpec: {secretStoreRef: {name: vault, kind: ClusterSecretStore}, dataFrom: [{extract: {key: acme/wide}}]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	plan := Convert(resources, usual(t))
	if len(plan.Definitions) != 0 || plan.Complete() || !strings.Contains(plan.Findings[len(plan.Findings)-1].Reason, "101 targets") {
		t.Errorf("got %v", plan.Findings)
	}
}

func TestTheWholeIsCompleteWithNotesOnly(t *testing.T) {
	text, err := os.ReadFile("testdata/whole-values-of-one-path-become-one-definition.txtar")
	if err != nil {
		t.Fatal(err)
	}
	plan := Convert(readAll(t, txtar.Parse(text).Files[:2]), usual(t))
	if !plan.Complete() {
		t.Error("notes count as something left")
	}
}
