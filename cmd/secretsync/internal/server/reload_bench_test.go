package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"secretsync/cmd/secretsync/internal/config"
	"secretsync/cmd/secretsync/internal/datafolder"
	"secretsync/examples/devstack"
	"secretsync/gitstore"
	"secretsync/gitstore/definition/parse"
	"secretsync/gitstore/operation"
	"secretsync/httpapi/apikey"
)

// BenchmarkPut is what it costs this process that one tenant leaves or comes, while many others
// are served: the reload itself, and all that it wakes within a second.
func BenchmarkPut(b *testing.B) {
	for _, tenants := range []int{350, 1000} {
		b.Run(fmt.Sprintf("%d tenants", tenants), func(b *testing.B) { benchmarkPut(b, tenants) })
	}
}

// copies is how many each tenant of the benchmark has.
const copies = 10

func benchmarkPut(b *testing.B, tenants int) {
	c := newCrowd(b, tenants)
	b.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	ctx, end := context.WithCancel(b.Context())
	p, cfg, err := Load(Config{Path: c.path, Build: prometheus.NewRegistry()})
	c.must(err)
	served := make(chan error, 1)
	go func() { served <- p.Run(ctx, cfg, io.Discard) }()
	defer func() {
		end()
		c.must(<-served)
	}()
	c.synced(p, tenants*copies)

	leaver := cfg.Tenants[tenants/2].Name
	without := cfg.Only(func(t gitstore.TenantName) bool { return t != leaver })
	const moment = time.Second
	var took, woken [2]time.Duration
	for b.Loop() {
		for i, next := range []*config.Config{without, cfg} {
			// What is done at rest is not counted; it is looked at each time, since it varies.
			idle := cpuOf(func() { time.Sleep(moment) })
			woken[i] += cpuOf(func() {
				took[i] += elapsed(func() { c.must(p.put(next)) })
				time.Sleep(moment)
			}) - idle
		}
	}
	b.ReportMetric(0, "ns/op")
	for i, what := range []string{"leave", "come"} {
		b.ReportMetric(took[i].Seconds()*1000/float64(b.N), "ms/"+what)
		b.ReportMetric(woken[i].Seconds()*1000/float64(b.N), "cpu-ms/"+what)
	}
}

func elapsed(do func()) time.Duration {
	began := time.Now()
	do()
	return time.Since(began)
}

// cpuOf is what the process worked while something was done.
func cpuOf(do func()) time.Duration {
	used := func() time.Duration {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // of this process it does not fail
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	do()
	return used() - before
}

// crowd is many tenants, each with a repository in the data folder of one server.
type crowd struct {
	*testing.B
	path string // of the configuration
}

var crowdConfig = template.Must(template.New("").Parse(`listen: 127.0.0.1:0
dataDir: data
pollInterval: 10m
vault:
  address: {{.Vault}}
  mount: secret
  prefix: {{.Prefix}}
  auth:
    token: {file: vault-token}
clusters:
  production: {kubeconfig: {{.Production}}}
tenants:
{{- range .Tenants}}
  {{.Tenant}}:
    clusters:
      production: {namespaces: ["{{$.Prefix}}"]}
    keys:
      - {id: {{.ID}}, displayName: {{.DisplayName}}, role: {{.Role}}, hash: "{{.Hash}}"}
{{- end}}
`))

// newCrowd makes their repositories and values, and the configuration.
func newCrowd(b *testing.B, tenants int) *crowd {
	b.Helper()
	dir, stack, prefix := b.TempDir(), devstack.Shared(b), strings.ToLower(rand.Text())
	c := &crowd{B: b, path: filepath.Join(dir, "secretsync.yaml")}
	c.must(stack.Cluster("production").CreateNamespace(b.Context(), prefix))
	for i := range copies {
		_, err := stack.Vault.PutSecret(b.Context(), "secret", fmt.Sprintf("%s/value-%d", prefix, i), map[string]any{"a": "1"})
		c.must(err)
	}
	c.must(stack.Vault.ReadPolicy(b.Context(), prefix, "secret", prefix))
	token, err := stack.Vault.Token(b.Context(), time.Hour, prefix)
	c.must(err)

	store, err := gitstore.Open(gitstore.Config{Dir: datafolder.Repositories(filepath.Join(dir, "data"))})
	c.must(err)
	var making errgroup.Group
	making.SetLimit(16)
	keys := make([]apikey.Key, tenants)
	for i := range keys {
		name, err := gitstore.ParseTenantName(fmt.Sprintf("t%04d", i))
		c.must(err)
		keys[i], _ = apikey.New(name, apikey.Admin, "Admin")
		definitions := c.definitions(name, prefix)
		making.Go(func() error {
			repository, err := store.Repository(name)
			if err != nil {
				return err
			}
			if err := repository.Opened(b.Context()); err != nil {
				return err
			}
			_, err = repository.Apply(b.Context(), gitstore.Attribution{Author: gitstore.Author{Name: "bench", ID: "ak-bench"}, RequestID: "bench"}, operation.Lenient, definitions...)
			return err
		})
	}
	c.must(making.Wait())
	c.must(store.Close())

	var text bytes.Buffer
	c.must(crowdConfig.Execute(&text, map[string]any{
		"Vault": stack.Vault.Address, "Production": stack.Cluster("production").Kubeconfig, "Prefix": prefix, "Tenants": keys,
	}))
	for file, content := range map[string]string{c.path: text.String(), filepath.Join(dir, "vault-token"): token} {
		c.must(os.WriteFile(file, []byte(content), 0o600))
	}
	return c
}

// definitions are those of one tenant, one of which takes its copy along when it goes.
func (c *crowd) definitions(tenant gitstore.TenantName, namespace string) (all []operation.Operation) {
	for i := range copies {
		name := fmt.Sprintf("%s-%d", tenant, i)
		text := fmt.Sprintf("name: %s\nsecretPath: value-%d\nsync: [{cluster: production, namespace: %s}]\n", name, i, namespace)
		if i == 0 {
			text += "deletionPolicy: Delete\n"
		}
		d, err := parse.File("secrets/"+name+".yaml", []byte(text))
		c.must(err)
		all = append(all, operation.Creation(d))
	}
	return all
}

func (c *crowd) must(err error) {
	if err != nil {
		c.Helper()
		c.Fatal(err)
	}
}

// synced waits till so many copies stand.
func (c *crowd) synced(p *Program, copies int) {
	c.Helper()
	for end := time.Now().Add(10 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if n := c.count(p); n == copies {
			return
		} else if time.Now().After(end) {
			c.Fatalf("%d of %d copies stand", n, copies)
		}
	}
}

func (c *crowd) count(p *Program) (n int) {
	if p.registry == nil {
		return 0
	}
	families, err := p.registry.Gather()
	c.must(err)
	for _, f := range families {
		if f.GetName() != "secretsync_targets" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetValue() == "Synced" && l.GetName() == "state" {
					n += int(m.GetGauge().GetValue())
				}
			}
		}
	}
	return n
}
