package deploy

import (
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const monitored = `monitoring: {serviceMonitor: {enabled: true}, rules: {enabled: true}, dashboard: {enabled: true}}`

// Prometheus' own reader takes the file as it lies there, for those who load it with rule_files.
func TestPrometheusTakesTheAlertRules(t *testing.T) {
	content, err := os.ReadFile("chart/files/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	groups, errs := rulefmt.Parse(content, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Error(err)
	}
	if groups == nil || len(groups.Groups) == 0 || len(groups.Groups[0].Rules) < 5 {
		t.Error("there are no rules")
	}
}

// The operator's own types know each field that is set.
func TestThePrometheusOperatorKnowsEachField(t *testing.T) {
	objects := objectsOf(t, mustRender(t, "secretsync", monitored))
	for kind, into := range map[string]any{"ServiceMonitor": new(monitoring.ServiceMonitor), "PrometheusRule": new(monitoring.PrometheusRule)} {
		if err := yaml.UnmarshalStrict([]byte(asYAML(t, find(t, objects, kind, "secretsync"))), into); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// Whoever is woken follows a link from the alert; without an address of the page there is none that leads nowhere.
func TestAnAlertLinksToItsSectionWhereTheRunbookIs(t *testing.T) {
	const address = "https://git.example.com/platform/secretsync/blob/main/examples/runbook/README.md"
	for name, c := range map[string]struct{ values, annotation, page string }{
		"by the address that is given": {"runbookURL: " + address, "runbook_url", address},
		"by its file without one":      {"labels: {}", "runbook", "examples/runbook/README.md"},
	} {
		t.Run(name, func(t *testing.T) {
			objects := objectsOf(t, mustRender(t, "secretsync", "monitoring: {rules: {enabled: true, "+c.values+"}}"))
			var rules monitoring.PrometheusRule
			if err := yaml.UnmarshalStrict([]byte(asYAML(t, find(t, objects, "PrometheusRule", "secretsync"))), &rules); err != nil {
				t.Fatal(err)
			}
			for _, r := range rules.Spec.Groups[0].Rules {
				if want := c.page + "#" + strings.ToLower(r.Alert); r.Annotations[c.annotation] != want || len(r.Annotations) != 3 {
					t.Errorf("%s has the annotations %q; want %s: %s", r.Alert, r.Annotations, c.annotation, want)
				}
			}
		})
	}
}

func TestTheMonitorFindsThePort(t *testing.T) {
	objects := objectsOf(t, mustRender(t, "secretsync", monitored))
	monitor := find(t, objects, "ServiceMonitor", "secretsync").Object
	service := find(t, objects, "Service", "secretsync-pods")
	selector, _, _ := unstructured.NestedStringMap(monitor, "spec", "selector", "matchLabels")
	for name, value := range selector {
		if service.GetLabels()[name] != value {
			t.Errorf("the service of the pods has no label %s: %s", name, value)
		}
	}
	others := find(t, objects, "Service", "secretsync")
	if others.GetLabels()["secretsync.dev/metrics"] != "" {
		t.Error("the service of the API would be scraped too")
	}
}

func TestTheDashboardIsWholeInItsConfigMap(t *testing.T) {
	objects := objectsOf(t, mustRender(t, "secretsync", monitored))
	content, _, _ := unstructured.NestedString(find(t, objects, "ConfigMap", "secretsync-dashboard").Object, "data", "secretsync.json")
	var dashboard struct{ Panels []any }
	if err := json.Unmarshal([]byte(content), &dashboard); err != nil || len(dashboard.Panels) == 0 {
		t.Errorf("%d panels: %v", len(dashboard.Panels), err)
	}
}

// What Grafana puts in place of its variables, as far as they stand in expressions.
var variables = strings.NewReplacer("$namespace", ".*", "$tenant", ".*", "$__rate_interval", "2m")

// That the metrics and labels are there is tested where a server runs: cmd/secretsync.
func TestPrometheusTakesWhatEachPanelAsks(t *testing.T) {
	content, err := os.ReadFile("chart/files/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			ID      int
			Type    string
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(content, &dashboard); err != nil {
		t.Fatal(err)
	}
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] {
			t.Errorf("%s: another panel has the id %d", p.Title, p.ID)
		}
		ids[p.ID] = true
		at := p.GridPos
		if at.X+at.W > 24 { // so wide Grafana is
			t.Errorf("%s reaches beyond the right edge", p.Title)
		}
		for y := at.Y; y < at.Y+at.H; y++ {
			for x := at.X; x < at.X+at.W; x++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%s lies upon %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if len(p.Targets) == 0 && p.Type != "row" {
			t.Errorf("%s asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			if strings.Contains(variables.Replace(target.Expr), "$") {
				t.Errorf("%s asks by a variable that there is not: %s", p.Title, target.Expr)
			}
			if _, err := parser.NewParser(parser.Options{}).ParseExpr(variables.Replace(target.Expr)); err != nil {
				t.Errorf("%s: %s: %v", p.Title, target.Expr, err)
			}
		}
	}
}
