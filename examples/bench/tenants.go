package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/definition/parse"
)

func init() { register("tenants-1000", tenants1000) }

// tenantry are many tenants with a definition each, or for a floor one with as many: in either case as many copies, from
// as many paths of one mount, by one login.
type tenantry struct {
	*fleet
	tenants int
	git     *gitServer // of their repositories, if those are remote
}

const (
	tenantryDefinitions = 1000
	tenantryNamespaces  = 10
)

func tenantName(i int) string { return fmt.Sprintf("t%04d", i) }

// newTenantry makes so many tenants who share a thousand definitions among them.
func newTenantry(ctx context.Context, env *Env, tenants int, remote bool) (*tenantry, error) {
	return newTenantryOf(ctx, env, fleetOptions{
		definitions: tenantryDefinitions, targets: 1, namespaces: tenantryNamespaces, clusters: []string{"production"}, pollInterval: 30 * time.Second,
	}, tenants, remote)
}

func newTenantryOf(ctx context.Context, env *Env, options fleetOptions, tenants int, remote bool) (*tenantry, error) {
	f, err := newFleet(ctx, env, options)
	if err != nil {
		return nil, err
	}
	t := &tenantry{fleet: f, tenants: tenants}
	repositories := filepath.Join(f.dir, "data", "repositories")
	if remote {
		repositories = filepath.Join(f.dir, "served")
	}
	if err := t.commit(ctx, repositories); err != nil {
		return nil, err
	}
	if remote {
		if t.git, err = serveGit(ctx, repositories); err != nil {
			return nil, err
		}
		t.git.each, t.git.refs = true, make(map[string][]byte)
	}
	return t, t.writeConfig(ctx)
}

func (t *tenantry) close() {
	if t.git != nil {
		t.git.Close()
	}
}

// commit makes the repositories.
func (t *tenantry) commit(ctx context.Context, dir string) error {
	store, err := gitstore.Open(gitstore.Config{Dir: dir})
	if err != nil {
		return err
	}
	defer store.Close()
	return parallel(ctx, 16, t.tenants, func(ctx context.Context, i int) error {
		name, err := gitstore.ParseTenantName(tenantName(i))
		if err != nil {
			return err
		}
		repository, err := openRepository(ctx, store, name)
		if err != nil {
			return err
		}
		by := gitstore.Attribution{Author: gitstore.Author{Name: "Bench", ID: "ak-bench"}, RequestID: "bench"}
		for n := i; n < len(t.names); n += t.tenants {
			d, err := parse.File("secrets/"+t.names[n]+".yaml", []byte(t.yaml(n)))
			if err != nil {
				return err
			}
			if _, err := repository.Create(ctx, by, d); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeConfig writes that of all tenants, who log in in one way.
func (t *tenantry) writeConfig(ctx context.Context) error {
	vault := t.stack.Vault
	roleID, secretID, err := vault.AppRole(ctx, t.name, time.Hour, t.name)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(t.dir, "secret-id"), []byte(secretID), 0o600); err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "listen: 127.0.0.1:0\ndataDir: data\npollInterval: 30s\nlog: {level: warn}\nlimits: {requestsPerSecond: 100000}\n")
	fmt.Fprintf(&b, "vault: {address: %q, mount: %s, auth: {appRole: {roleID: %s, secretIDFile: secret-id}}}\n", vault.Address, t.name, roleID)
	fmt.Fprintf(&b, "clusters: {production: {kubeconfig: %q}}\ntenants:\n", t.stack.Cluster("production").Kubeconfig)
	for i := range t.tenants {
		fmt.Fprintf(&b, "  %s:\n    clusters: {production: {namespaces: [%q]}}\n", tenantName(i), t.name+"-*")
		if t.git != nil {
			fmt.Fprintf(&b, "    repository: {url: %q}\n", t.git.URL+"/"+tenantName(i)+".git")
		}
	}
	return os.WriteFile(filepath.Join(t.dir, "config.yaml"), []byte(b.String()), 0o600)
}

// idle is a minute of a server that has nothing to do, and what it holds then.
type idle struct {
	work               // in that minute
	goroutines float64 // after it
	logins     float64 // requests about logins and tokens since the start
	watches    float64 // begun since the start
	sockets    float64 // open
	files      float64 // open, sockets included
}

func (t *tenantry) idle(ctx context.Context) (i idle, err error) {
	if err := t.empty(ctx); err != nil {
		return i, err
	}
	server, err := t.serve(ctx)
	if err != nil {
		return i, err
	}
	defer server.stop()
	if err := server.untilSynced(ctx, tenantryDefinitions); err != nil {
		return i, err
	}
	// What a start leaves to be done is done, and connections that a start needed are closed.
	if err := wait(ctx, 100*time.Second); err != nil {
		return i, err
	}
	before, err := server.work(ctx)
	if err != nil {
		return i, err
	}
	if err := wait(ctx, time.Minute); err != nil {
		return i, err
	}
	after, err := server.work(ctx)
	if err != nil {
		return i, err
	}
	i.work = work{usage{after.cpu - before.cpu, after.resident, after.peak}, after.vault - before.vault, after.kubernetes - before.kubernetes}
	for prefix, sum := range map[string]*float64{
		"go_goroutines ": &i.goroutines,
		`secretsync_kubernetes_request_seconds_count{cluster="production",outcome="ok",verb="watch"`: &i.watches,
	} {
		if *sum, err = server.metric(ctx, prefix); err != nil {
			return i, err
		}
	}
	for _, kind := range []string{"login", "lookup", "renew"} {
		n, err := server.metric(ctx, `secretsync_vault_request_seconds_count{kind="`+kind+`"`)
		if err != nil {
			return i, err
		}
		i.logins += n
	}
	i.files, i.sockets, err = server.opened()
	return i, err
}

// opened counts the open files of a server, and the sockets among them.
func (s *server) opened() (files, sockets float64, err error) {
	dir := fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid)
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		files++
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && strings.HasPrefix(target, "socket:") {
			sockets++
		}
	}
	return files, sockets, err
}

// tenants1000 measures what a thousand tenants cost who have nothing to do.
func tenants1000(ctx context.Context, env *Env) ([]Result, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute)
	defer cancel()
	measure := func(tenants int, remote bool) (i idle, err error) {
		t, err := newTenantry(ctx, env, tenants, remote)
		if err != nil {
			return i, err
		}
		defer t.close()
		defer t.empty(context.WithoutCancel(ctx))
		return t.idle(ctx)
	}
	one, err := measure(1, false)
	if err != nil {
		return nil, err
	}
	many, err := measure(tenantryDefinitions, false)
	if err != nil {
		return nil, err
	}
	far, err := measure(tenantryDefinitions, true)
	if err != nil {
		return nil, err
	}
	const floor = "; floor: one tenant with a thousand definitions"
	results := []Result{{Name: "tenants-1000", Value: many.cpu.Seconds(), Floor: one.cpu.Seconds(), Unit: "CPU s", Note: "of an idle minute of 1,000 tenants with a definition each, polled twice in it" + floor}}
	for _, kind := range []struct {
		name, what string
		of         idle
	}{{"", "repositories in the data folder", many}, {"-remote", "remote repositories, asked twice a minute", far}} {
		if kind.name != "" {
			results = append(results, Result{Name: "tenants-1000" + kind.name, Value: kind.of.cpu.Seconds(), Floor: one.cpu.Seconds(), Unit: "CPU s", Note: "the same with " + kind.what + floor})
		}
		for _, r := range []struct {
			name, unit, note string
			value, floor     float64
		}{
			{"resident", "MiB", "resident memory", mebibytes(kind.of.resident), mebibytes(one.resident)},
			{"goroutines", "goroutines", "goroutines", kind.of.goroutines, one.goroutines},
			{"sockets", "sockets", "open sockets", kind.of.sockets, one.sockets},
			{"files", "files", "open files", kind.of.files, one.files},
			{"vault", "requests", "requests to Vault in that minute", kind.of.vault, one.vault},
			{"logins", "requests", "requests about logins since the start", kind.of.logins, one.logins},
			{"watches", "requests", "watches begun since the start", kind.of.watches, one.watches},
		} {
			results = append(results, Result{Name: "tenants-1000" + kind.name + "-" + r.name, Value: r.value, Floor: r.floor, Unit: r.unit, Note: r.note + ", " + kind.what + floor})
		}
	}
	return results, nil
}
