package main

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// scraped is what servers tell Prometheus: for each metric the labels that it was seen with.
type scraped map[string][]string

var sample = regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})? `)

// metricsAt is what a server tells, of 16 MiB at most.
func metricsAt(url string) ([]byte, error) {
	answer, err := http.Get(url + "/metrics")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return io.ReadAll(io.LimitReader(answer.Body, 16<<20))
}

func (s scraped) add(t *testing.T, url string) {
	t.Helper()
	text, err := metricsAt(url)
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		found := sample.FindStringSubmatch(lines.Text())
		if found == nil {
			continue
		}
		labels := []string{"instance", "job", "namespace"} // Prometheus' own
		for _, label := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(found[2], -1) {
			labels = append(labels, label[1])
		}
		s[found[1]] = labels
	}
}

// await adds what a server tells, once it tells of a certain metric.
func (s scraped) await(t *testing.T, url, metric string) {
	t.Helper()
	for end := time.Now().Add(patience); s[metric] == nil && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		s.add(t, url)
	}
}

// everything is what servers tell that have done each kind of work.
func everything(t *testing.T) scraped {
	t.Helper()
	c := newCollector(t)
	w := newWorldOf(t)
	config := readFile(t, w.dir+"/secretsync.yaml")
	config = strings.Replace(config, "  mount: secret\n", "  mount: secret\n  events: true\n", 1)
	// Nobody is at the forge: that its pull requests are not checked is told all the same.
	config = strings.Replace(config, "  acme:\n", `  acme:
    repository:
      receipts: true
      forge: {kind: gitea, repository: "http://127.0.0.1:1/acme/secrets.git", tokenFile: vault-token, checks: true}
`, 1)
	if err := os.WriteFile(w.dir+"/secretsync.yaml", []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	w.configure(t, "audit: {file: audit.log}", "telemetry: {endpoint: "+c.URL+"}")
	if err := w.serve(); err != nil {
		t.Fatal(err)
	}
	if err := w.put("acme/watched", map[string]any{"password": "one"}); err != nil {
		t.Fatal(err)
	}
	w.must(t, 201, "POST", "/tenants/acme/secrets", `{"name":"watched","secretPath":"watched","sync":[{"cluster":"production","namespace":"default"}]}`)
	w.must(t, 200, "GET", "/tenants/acme/secrets/watched?wait=Active&timeout=30s", "")
	refused, err := http.Post(w.url+"/hooks/git/acme", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	refused.Body.Close()
	there := scraped{}
	// That a copy came in time is counted once it was seen to stand.
	there.await(t, w.url, "secretsync_sync_seconds_bucket")
	there.await(t, w.url, "secretsync_pulls_checked")
	// What only replicas have, which keep keys in Kubernetes and repositories elsewhere.
	f := newFleet(t, 1, 1, 5*time.Second)
	replica, tenant := f.replicas[0], &f.tenants[0]
	f.await("the tenant is served", func() bool { return f.served(replica, tenant) })
	if status, answer, err := f.post(replica, tenant, "pushed"); status != http.StatusCreated {
		t.Fatalf("%d %s (%v)", status, answer, err)
	}
	there.await(t, replica.metrics, "secretsync_gitstore_remote_pushes_total")
	return there
}

// asked is one metric that an expression of Prometheus asks for, with the labels by which it chooses.
type asked struct {
	metric string
	labels []string
}

var (
	ranges     = regexp.MustCompile(`\[[^]]*\]`)
	groupings  = regexp.MustCompile(`\b(by|on) \(([^)]*)\)`)
	selectors  = regexp.MustCompile(`([a-z]+_[a-z_]+)(\{[^}]*\})?`)
	conditions = regexp.MustCompile(`([a-z_]+)(=~|!~|=|!=)"`)
)

// askedIn returns what an expression asks for. Whether it is one that Prometheus takes is tested where its parser is:
// examples/deploy.
func askedIn(expr string) (all []asked) {
	for _, m := range selectors.FindAllStringSubmatch(groupings.ReplaceAllString(ranges.ReplaceAllString(expr, ""), ""), -1) {
		if m[1] == "histogram_quantile" {
			continue
		}
		a := asked{metric: m[1]}
		for _, l := range conditions.FindAllStringSubmatch(m[2], -1) {
			a.labels = append(a.labels, l[1])
		}
		all = append(all, a)
	}
	return all
}

// answers holds an expression, and the labels that texts beside it name, to what is there.
func (s scraped) answers(t *testing.T, whose, expr string, named []string) {
	t.Helper()
	all := askedIn(expr)
	if len(all) == 0 {
		t.Errorf("%s asks for nothing: %s", whose, expr)
		return
	}
	for _, a := range all {
		labels, ok := s[a.metric]
		if !ok {
			t.Errorf("%s: there is no metric %s", whose, a.metric)
		}
		for _, l := range a.labels {
			if !slices.Contains(labels, l) {
				t.Errorf("%s: %s has no label %s", whose, a.metric, l)
			}
		}
	}
	kept := s[all[0].metric]
	if by := groupings.FindStringSubmatch(expr); by != nil && by[1] == "by" {
		for _, l := range strings.Split(by[2], ", ") {
			if !slices.Contains(kept, l) {
				t.Errorf("%s: %s has no label %s", whose, all[0].metric, l)
			}
		}
		kept = strings.Split(by[2], ", ")
	} else if regexp.MustCompile(`^(sum|absent)\(`).MatchString(expr) {
		kept = nil
	}
	for _, l := range named {
		if !slices.Contains(kept, l) {
			t.Errorf("%s: its text names label %s, which the expression drops", whose, l)
		}
	}
}

// namedIn returns the labels that texts name, as a pattern says.
func namedIn(pattern string, texts ...string) (labels []string) {
	for _, text := range texts {
		for _, l := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			labels = append(labels, l[1])
		}
	}
	return labels
}

// Every alert and every panel asks for metrics, and by labels, that a server really has; and each that it has is in a
// panel, and told of on a page or by an alert.
func TestEveryAlertAndEveryPanelAsksForMetricsThatAreThere(t *testing.T) {
	there := everything(t)
	pages, err := filepath.Glob("../../examples/*/README.md")
	if err != nil {
		t.Fatal(err)
	}
	told, shown := "", ""
	for _, page := range append(pages, "../../README.md") {
		told += readFile(t, page)
	}
	for _, r := range alertRules(t) {
		told += r.Expr
		there.answers(t, r.Alert, r.Expr, namedIn(`\$labels\.([a-z_]+)`, r.Annotations["summary"], r.Annotations["description"]))
	}
	for _, p := range dashboard(t) {
		for _, target := range p.Targets {
			shown += target.Expr
			there.answers(t, p.Title, target.Expr, namedIn(`\{\{([a-z_]+)\}\}`, target.LegendFormat))
		}
	}
	missing := make(map[string]bool)
	for metric := range there {
		metric = regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(metric, "")
		if !strings.HasPrefix(metric, "secretsync_") || missing[metric] {
			continue
		}
		if !strings.Contains(told, metric) {
			missing[metric] = true
			t.Errorf("no page and no alert has the metric %s", metric)
		}
		if !strings.Contains(shown, metric) {
			missing[metric] = true
			t.Errorf("no panel has the metric %s", metric)
		}
	}
}
