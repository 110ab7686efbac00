package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// rule is one alert.
type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func alertRules(t *testing.T) []rule {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	d := yaml.NewDecoder(strings.NewReader(readFile(t, "../../examples/deploy/chart/files/alerts.yaml")))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	return file.Groups[0].Rules
}

const runbook = "../../examples/runbook/README.md"

// Whoever is woken by an alert finds what it means, where it comes from and what to do.
func TestEveryAlertHasASectionOfTheRunbookAndEverySectionAnAlert(t *testing.T) {
	sections := map[string]string{}
	for _, s := range strings.Split(readFile(t, runbook), "\n## ")[1:] {
		name, text, _ := strings.Cut(s, "\n")
		sections[name] = text
	}
	index, _, _ := strings.Cut(readFile(t, runbook), "\n## ")
	var alerts []string
	for _, r := range alertRules(t) {
		alerts = append(alerts, r.Alert)
		for _, part := range []string{"- **Means.** ", "- **Cause.** ", "- **Do.** "} {
			if !strings.Contains(sections[r.Alert], part) {
				t.Errorf("%s: the runbook lacks %q", r.Alert, part)
			}
		}
		at := "#" + strings.ToLower(r.Alert)
		if !strings.Contains(index, "("+at+")") {
			t.Errorf("%s is not in the runbook's index", r.Alert)
		}
		if r.Annotations["runbook"] != "examples/runbook/README.md"+at || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s: %q", r.Alert, r.Annotations)
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("%s: %q", r.Alert, r.Labels)
		}
	}
	slices.Sort(alerts)
	if named := slices.Sorted(maps.Keys(sections)); !slices.Equal(alerts, named) {
		t.Errorf("the alerts are %q, and the sections %q", alerts, named)
	}
	// Links within the page and to sections of others lead somewhere.
	for _, link := range regexp.MustCompile(`\]\(([^)#]*)#([^)]+)\)`).FindAllStringSubmatch(readFile(t, runbook), -1) {
		page := readFile(t, runbook)
		if link[1] != "" {
			page = readFile(t, "../../examples/runbook/"+link[1])
		}
		if !slices.Contains(anchorsOf(page), link[2]) {
			t.Errorf("%s#%s leads nowhere", link[1], link[2])
		}
	}
}

// What is counted once is seen for as long as the range of its increase, so a rule that waits as long never fires for it.
func TestAnAlertFiresForWhatHappensOnce(t *testing.T) {
	once := regexp.MustCompile(`increase\(([a-z_]+(?:\{[^}]*\})?)\[([^]]+)\]\)`)
	again := []string{`secretsync_reports_total{outcome="failed"}`, `secretsync_telemetry_spans_total{outcome=~"dropped|rejected"}`} // while it lasts
	for _, r := range alertRules(t) {
		wait := time.Duration(0)
		if r.For != "" {
			var err error
			if wait, err = time.ParseDuration(r.For); err != nil {
				t.Fatalf("%s: %v", r.Alert, err)
			}
		}
		for _, m := range once.FindAllStringSubmatch(r.Expr, -1) {
			if seen, err := time.ParseDuration(m[2]); err != nil || seen <= wait && !slices.Contains(again, m[1]) {
				t.Errorf("%s waits %v for %s, which shows for %s after it happened (%v)", r.Alert, wait, m[1], m[2], err)
			}
		}
	}
}

// anchorsOf returns the anchors of a page's headings.
func anchorsOf(page string) (anchors []string) {
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(page, -1) {
		anchor := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		anchors = append(anchors, strings.ReplaceAll(anchor, " ", "-"))
	}
	return anchors
}
