package reconcile

import (
	"encoding/json"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	corev1 "k8s.io/api/core/v1"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/gitstoretest"
)

// useRemote has a tenant of the store write to a repository on a server.
func useRemote(t *testing.T, store *gitstoretest.Store) {
	t.Helper()
	dir := t.TempDir()
	for _, args := range [][]string{{"init", "-q", "--bare", "-b", "main", filepath.Join(dir, "far.git")}, {"-C", filepath.Join(dir, "far.git"), "config", "http.receivepack", "true"}} {
		if out, err := exec.Command("git", args...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	programs, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(&cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(programs)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1"},
	})
	t.Cleanup(server.Close)
	tenant, err := gitstore.ParseTenantName("far")
	if err != nil {
		t.Fatal(err)
	}
	remote, err := gitstore.ParseRemote(gitstore.RemoteSettings{URL: server.URL + "/far.git"}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	store.Configure(tenant, gitstore.Settings{Remote: remote})
	d, err := definition.Parse("secrets/far.yaml", []byte("name: far\nsecretPath: far\nsync: []\n"))
	if err != nil {
		t.Fatal(err)
	}
	r := store.MustRepository("far")
	if err := r.Asked(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.MustCreate(d)
}

// TestTheDashboardAsksForMetricsThatAreThere holds it to what a server that has done
// each kind of work really tells.
func TestTheDashboardAsksForMetricsThatAreThere(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	w := newWorld(t, func(w *world) { w.config.Metrics = registry })
	// A store of the same server, whose metrics are asked for as well.
	store := gitstoretest.MustOpen(t, gitstore.Config{Dir: t.TempDir(), Metrics: registry})
	store.MustRepository("acme")
	useRemote(t, store)
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.synced("db")
	w.put("db", map[string]any{"a": "2"})
	w.holds("production/./db", map[string]string{"a": "2"})
	w.edit("production/./db", func(s *corev1.Secret) { s.Data["a"] = []byte("3") })
	w.holds("production/./db", map[string]string{"a": "2"})
	// A copy is in the cluster before its write is answered, and so counted.
	families := w.gathered(registry, func(families []*dto.MetricFamily) bool {
		from := labelValues(families, "from")
		return from[causeCommit] && from[causeValue] && from[causeDrift]
	})
	there := make(map[string][]string) // labels by name
	for _, f := range families {
		names := []string{f.GetName()}
		if f.GetType() == dto.MetricType_HISTOGRAM {
			names = []string{f.GetName() + "_bucket", f.GetName() + "_count", f.GetName() + "_sum"}
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		for _, name := range names {
			there[name] = append(labels, "le")
		}
	}

	dashboard, err := os.ReadFile("../examples/deploy/chart/files/dashboard.json")
	w.must(err)
	var panels any
	w.must(json.Unmarshal(dashboard, &panels))
	metric := regexp.MustCompile(`(secretsync_[a-z_]+)(\{[^}]*\})?`)
	label := regexp.MustCompile(`([a-z]+)[=!]`)
	seen := 0
	for _, m := range metric.FindAllStringSubmatch(strings.ReplaceAll(string(dashboard), `\"`, `"`), -1) {
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
	if seen < 15 {
		t.Errorf("only %d metrics are asked for", seen)
	}
}

// gathered waits until the metrics are as they should be.
func (w *world) gathered(registry *prometheus.Registry, ok func([]*dto.MetricFamily) bool) []*dto.MetricFamily {
	w.t.Helper()
	for end := time.Now().Add(deadline); ; time.Sleep(10 * time.Millisecond) {
		families, err := registry.Gather()
		w.must(err)
		if ok(families) {
			return families
		}
		if time.Now().After(end) {
			w.t.Fatalf("the metrics are %v", families)
		}
	}
}

// labelValues returns the values that a label has in any of the metrics.
func labelValues(families []*dto.MetricFamily, label string) map[string]bool {
	values := make(map[string]bool)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == label {
					values[l.GetValue()] = true
				}
			}
		}
	}
	return values
}
