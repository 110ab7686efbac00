package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"secretsync/examples/devstack"
	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/forward/forwardtest"
)

func init() { register("replicas-3", replicas3) }

// How large replicas-3 is: so many tenants, each with a definition of so many targets.
const (
	replicaTenants = 1000
	replicaTargets = 30
)

// replicaSet is a tenantry that several servers share, or one has alone.
type replicaSet struct {
	*tenantry
	keys      []string // of the tenants' admins
	hashes    []apikey.Key
	home      string // namespace
	authority *forwardtest.Authority
	servers   []*server
}

func newReplicaSet(ctx context.Context, env *Env) (*replicaSet, error) {
	t, err := newTenantryOf(ctx, env, fleetOptions{
		definitions: replicaTenants, targets: replicaTargets, namespaces: replicaTargets / 2, clusters: []string{"production", "staging"}, pollInterval: 30 * time.Second,
	}, replicaTenants, true)
	if err != nil {
		return nil, err
	}
	r := &replicaSet{tenantry: t, home: "home-" + t.name}
	for i := range t.tenants {
		name, err := gitstore.ParseTenantName(tenantName(i))
		if err != nil {
			return nil, err
		}
		key, plaintext := apikey.New(name, apikey.Admin, "Bench")
		r.hashes, r.keys = append(r.hashes, key), append(r.keys, plaintext)
	}
	if r.authority, err = forwardtest.NewAuthority(); err != nil {
		return nil, err
	}
	return r, t.stack.Cluster("production").CreateNamespace(ctx, r.home)
}

// start starts so many servers, each with an empty data folder.
func (r *replicaSet) start(ctx context.Context, count int) error {
	config, err := os.ReadFile(filepath.Join(r.dir, "config.yaml"))
	if err != nil {
		return err
	}
	common, _, _ := strings.Cut(string(config), "clusters: {")
	for i := range count {
		dir, err := os.MkdirTemp(r.dir, "replica-")
		if err != nil {
			return err
		}
		secretID, err := os.ReadFile(filepath.Join(r.dir, "secret-id"))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "secret-id"), secretID, 0o600); err != nil {
			return err
		}
		var b strings.Builder
		b.WriteString(common)
		if count > 1 {
			if _, err := r.authority.Issue(dir); err != nil {
				return err
			}
			fmt.Fprintf(&b, "home: {kubeconfig: %q, namespace: %s}\nkeys: {store: kubernetes}\ndrain: 0s\n", r.stack.Cluster("production").AdminKubeconfig, r.home)
			fmt.Fprintf(&b, "replicas: {id: r%d, listen: \"127.0.0.1:%d\", certFile: tls.crt, keyFile: tls.key, caFile: ca.crt}\n", i, devstack.FreePort())
		}
		fmt.Fprintf(&b, "clusters: {production: {kubeconfig: %q}, staging: {kubeconfig: %q}}\ntenants:\n", r.stack.Cluster("production").Kubeconfig, r.stack.Cluster("staging").Kubeconfig)
		for i := range r.tenants {
			grant := fmt.Sprintf("{namespaces: [%q]}", r.name+"-*")
			fmt.Fprintf(&b, "  %s:\n    repository: {url: %q}\n    clusters: {production: %s, staging: %s}\n    keys: [{id: %s, displayName: Bench, role: admin, hash: %q}]\n",
				tenantName(i), r.git.URL+"/"+tenantName(i)+".git", grant, grant, r.hashes[i].ID, r.hashes[i].Hash)
		}
		s, err := startServer(ctx, r.binary, dir, b.String())
		if err != nil {
			return err
		}
		r.servers = append(r.servers, s)
	}
	return nil
}

// end ends those that run.
func (r *replicaSet) end() error {
	var errs []error
	for _, s := range r.servers {
		errs = append(errs, s.stop())
	}
	r.servers = nil
	return errors.Join(errs...)
}

// answered waits until each tenant is answered for, by whichever server is asked.
func (r *replicaSet) answered(ctx context.Context) error {
	client := &http.Client{Timeout: 5 * time.Second}
	return parallel(ctx, 16, r.tenants, func(ctx context.Context, i int) error {
		for {
			s := r.servers[i%len(r.servers)]
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/api/v1/tenants/"+tenantName(i), nil)
			if err != nil {
				return err
			}
			request.Header.Set("Authorization", "Bearer "+r.keys[i])
			response, err := client.Do(request)
			if err == nil {
				response.Body.Close()
				if response.StatusCode == http.StatusOK {
					return nil
				}
			}
			if err := wait(ctx, 20*time.Millisecond); err != nil {
				return fmt.Errorf("tenant %s: %w\n%s", tenantName(i), err, s.log)
			}
		}
	})
}

// writes is how many writes of copies the servers made.
func (r *replicaSet) writes(ctx context.Context) (sum float64, err error) {
	for _, s := range r.servers {
		n, err := s.metric(ctx, "secretsync_writes_total{")
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// coldWith is how long so many servers take from their start till all copies stand.
func (r *replicaSet) coldWith(ctx context.Context, servers int) (seconds float64, err error) {
	if err := r.empty(ctx); err != nil {
		return 0, err
	}
	counter, err := r.count(ctx)
	if err != nil {
		return 0, err
	}
	defer counter.close()
	began := time.Now()
	if err := r.start(ctx, servers); err != nil {
		return 0, err
	}
	err = counter.until(ctx, r.copies())
	return time.Since(began).Seconds(), err
}

// replicas3 measures what three replicas take for what one does alone, and how long tenants are without one that answers.
func replicas3(ctx context.Context, env *Env) (results []Result, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute)
	defer cancel()
	r, err := newReplicaSet(ctx, env)
	if err != nil {
		return nil, err
	}
	defer r.close()
	defer r.empty(context.WithoutCancel(ctx))
	defer func() { err = errors.Join(err, r.end()) }()

	one, err := r.coldWith(ctx, 1)
	if err != nil {
		return nil, err
	}
	oneWrites, err := r.writes(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	three, err := r.coldWith(ctx, 3)
	if err != nil {
		return nil, err
	}
	if err := r.answered(ctx); err != nil {
		return nil, err
	}
	threeWrites, err := r.writes(ctx)
	if err != nil {
		return nil, err
	}
	what := fmt.Sprintf("%d tenants on one HTTP Git server, %d copies in two clusters", r.tenants, r.copies())
	results = []Result{
		{Name: "replicas-3", Value: three, Floor: one, Unit: "s", Note: "cold sync by three replicas with empty folders, " + what + "; floor: by one server. All share this machine's processors"},
		{Name: "replicas-3-writes", Value: threeWrites, Floor: oneWrites, Unit: "writes", Note: "of copies; floor: by one server"},
	}
	// One is killed, and one of the two that are left ends in order.
	for _, c := range []struct {
		name, note string
		end        func(*server) error
	}{
		{"kill", "from a kill -9 of one of three till each tenant is answered for by each of the others; the lease is 15 s", func(s *server) error {
			_ = s.cmd.Process.Signal(syscall.SIGKILL)
			_ = s.cmd.Wait() // killed
			return nil
		}},
		{"handover", "from a SIGTERM to one of two, which serves on meanwhile, till it has ended and each tenant is answered for by the other", (*server).stop},
	} {
		gone := r.servers[0]
		r.servers = r.servers[1:]
		began := time.Now()
		if err := c.end(gone); err != nil {
			return results, err
		}
		if err := r.answered(ctx); err != nil {
			return results, err
		}
		results = append(results, Result{Name: "replicas-3-" + c.name, Value: time.Since(began).Seconds(), Unit: "s", Note: c.note})
	}
	return results, nil
}
