package reconcile

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// TestDashboardAndAlertsAskForMetricsThatAreThere holds the files under
// examples to what a server that has done each kind of work really tells.
func TestDashboardAndAlertsAskForMetricsThatAreThere(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	w := newWorld(t, func(w *world) { w.config.Metrics = registry })
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.synced("db")
	w.put("db", map[string]any{"a": "2"})
	w.holds("production/./db", map[string]string{"a": "2"})
	w.edit("production/./db", func(s *corev1.Secret) { s.Data["a"] = []byte("3") })
	w.holds("production/./db", map[string]string{"a": "2"})
	w.synced("db")

	there := make(map[string][]string) // labels by name
	from := make(map[string]bool)
	families, err := registry.Gather()
	w.must(err)
	for _, f := range families {
		names := []string{f.GetName()}
		if f.GetType().String() == "HISTOGRAM" {
			names = []string{f.GetName() + "_bucket", f.GetName() + "_count", f.GetName() + "_sum"}
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		for _, name := range names {
			there[name] = append(labels, "le")
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "from" {
					from[l.GetValue()] = true
				}
			}
		}
	}
	if !from[askedByCommit] || !from[askedByValue] || !from[askedByDrift] {
		t.Errorf("latencies are told for %v only", from)
	}

	alerts, err := os.ReadFile("../examples/alerts.yaml")
	w.must(err)
	var rules any
	w.must(yaml.UnmarshalStrict(alerts, &rules))
	dashboard, err := os.ReadFile("../examples/grafana-dashboard.json")
	w.must(err)
	w.must(json.Unmarshal(dashboard, &rules))
	metric := regexp.MustCompile(`(secretsync_[a-z_]+)(\{[^}]*\})?`)
	label := regexp.MustCompile(`([a-z]+)[=!]`)
	seen := 0
	for _, m := range metric.FindAllStringSubmatch(string(alerts)+strings.ReplaceAll(string(dashboard), `\"`, `"`), -1) {
		seen++
		labels, ok := there[m[1]]
		if !ok {
			t.Errorf("there is no metric %s", m[1])
		}
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(labels, l[1]) {
				t.Errorf("%s has no label %s", m[1], l[1])
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d metrics are asked for", seen)
	}
}
