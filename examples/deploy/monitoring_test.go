package deploy

import (
	"encoding/json"
	"log/slog"
	"os"
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
