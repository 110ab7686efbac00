package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// panel is one panel of the dashboard, or the row that those after it stand in.
type panel struct {
	Type, Title string
	Targets     []struct{ Expr, LegendFormat string }

	row string // that it stands in
}

func dashboard(t *testing.T) (panels []panel) {
	t.Helper()
	var file struct{ Panels []panel }
	if err := json.Unmarshal([]byte(readFile(t, "../../examples/deploy/chart/files/dashboard.json")), &file); err != nil {
		t.Fatal(err)
	}
	row := ""
	for _, p := range file.Panels {
		if p.Type == "row" {
			row = p.Title
			continue
		}
		p.row = row
		panels = append(panels, p)
	}
	return panels
}

// metrics returns those that an expression asks for.
func metrics(expr string) (names []string) {
	for _, a := range askedIn(expr) {
		names = append(names, a.metric)
	}
	return names
}

// Whoever comes from an alert, or from its section of the runbook, looks at the row of the same name and sees there what
// the alert asked for.
func TestTheDashboardHasARowForEachOfTheRunbook(t *testing.T) {
	shown := make(map[string][]string) // metrics by row
	for _, p := range dashboard(t) {
		for _, target := range p.Targets {
			shown[p.row] = append(shown[p.row], metrics(target.Expr)...)
		}
	}
	index, _, _ := strings.Cut(readFile(t, runbook), "\n## ")
	for _, r := range alertRules(t) {
		row := regexp.MustCompile(`(?m)^\| ([^|]+) \|.*\(#` + strings.ToLower(r.Alert) + `\)`).FindStringSubmatch(index)
		if row == nil {
			t.Errorf("%s is in no row of the runbook's index", r.Alert)
			continue
		}
		for _, metric := range metrics(r.Expr) {
			if !slices.Contains(shown[row[1]], metric) {
				t.Errorf("%s: no panel in the row %q shows %s", r.Alert, row[1], metric)
			}
		}
	}
}
