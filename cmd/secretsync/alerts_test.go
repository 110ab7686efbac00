package main

import (
	"bufio"
	"io"
	"maps"
	"net/http"
	"os"
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

// anchorsOf returns the anchors of a page's headings.
func anchorsOf(page string) (anchors []string) {
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(page, -1) {
		anchor := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		anchors = append(anchors, strings.ReplaceAll(anchor, " ", "-"))
	}
	return anchors
}

// scraped is what servers tell Prometheus: for each metric the labels that it was seen with.
type scraped map[string][]string

var sample = regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})? `)

func (s scraped) add(t *testing.T, url string) {
	t.Helper()
	answer, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(io.LimitReader(answer.Body, 16<<20)); lines.Scan(); {
		found := sample.FindStringSubmatch(lines.Text())
		if found == nil {
			continue
		}
		labels := []string{"instance", "job"} // Prometheus' own
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

// Every alert asks for metrics, and by labels, that a server really has. That each is an
// expression that Prometheus takes is tested where its parser is: examples/deploy.
func TestEveryAlertAsksForMetricsThatAreThere(t *testing.T) {
	c := newCollector(t)
	w := newWorldOf(t)
	config := readFile(t, w.dir+"/secretsync.yaml")
	config = strings.Replace(config, "  mount: secret\n", "  mount: secret\n  events: true\n", 1)
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
	// What only replicas have, which keep keys in Kubernetes and repositories elsewhere.
	there.await(t, newFleet(t, 1, 1, 5*time.Second).replicas[0].url, "secretsync_gitstore_remote_fetched_timestamp_seconds")

	asked := regexp.MustCompile(`([a-z]+_[a-z_]+)(\{[^}]*\})?`)
	for _, r := range alertRules(t) {
		n := 0
		for _, m := range asked.FindAllStringSubmatch(regexp.MustCompile(`\b(by|on) \([^)]*\)`).ReplaceAllString(r.Expr, ""), -1) {
			if m[1] == "histogram_quantile" {
				continue
			}
			n++
			labels, ok := there[m[1]]
			if !ok {
				t.Errorf("%s: there is no metric %s", r.Alert, m[1])
			}
			for _, l := range regexp.MustCompile(`([a-z_]+)(=~|!~|=|!=)"`).FindAllStringSubmatch(m[2], -1) {
				if !slices.Contains(labels, l[1]) {
					t.Errorf("%s: %s has no label %s", r.Alert, m[1], l[1])
				}
			}
		}
		if n == 0 {
			t.Errorf("%s asks for nothing: %s", r.Alert, r.Expr)
		}
		for _, text := range r.Annotations {
			for _, l := range regexp.MustCompile(`\$labels\.([a-z_]+)`).FindAllStringSubmatch(text, -1) {
				if by := regexp.MustCompile(`by \(([^)]*)\)`).FindStringSubmatch(r.Expr); by != nil {
					if !strings.Contains(", "+by[1]+",", ", "+l[1]+",") {
						t.Errorf("%s: its text names label %s, which the expression drops", r.Alert, l[1])
					}
				} else if strings.HasPrefix(r.Expr, "sum(") || strings.HasPrefix(r.Expr, "absent(") {
					t.Errorf("%s: its text names label %s, which the expression drops", r.Alert, l[1])
				}
			}
		}
	}
}
