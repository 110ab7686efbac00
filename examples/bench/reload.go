package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"secretsync/examples/devstack"
	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
)

func init() { register("reload-100", reload) }

const (
	reloadTenants = 100
	reloadRounds  = 5
	// The one that is changed has many paths, so that the first poll of a new interval is not long in coming.
	reloadPaths      = 200
	reloadOtherPaths = 10
	reloadSlow       = 10 * time.Minute
	reloadFast       = time.Second
)

// reload measures how long the changed interval of one of a hundred tenants takes to be in force, against a server that has
// that tenant alone. That nobody notices is asserted, the others as well as the one itself, whose login has nothing to do
// with its interval: an error beside the results says who noticed what.
func reload(ctx context.Context, env *Env) ([]Result, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	alone, err := newReloadWorld(ctx, env, 1)
	if err != nil {
		return nil, err
	}
	defer alone.close()
	all, err := newReloadWorld(ctx, env, reloadTenants)
	if err != nil {
		return nil, err
	}
	defer all.close()
	var disturbed error // by any round; it is the same with each
	floor, ours, err := alternate(ctx, reloadRounds, alone.round, func(ctx context.Context) (float64, error) {
		before, err := all.standing(ctx)
		if err != nil {
			return 0, err
		}
		took, err := all.round(ctx)
		if err != nil {
			return 0, err
		}
		after, err := all.standing(ctx)
		disturbed = cmp.Or(disturbed, all.disturbances(before, after))
		return took, err
	})
	if err != nil {
		return nil, err
	}
	return []Result{{
		Name: "reload-100", Value: ours, Floor: floor, Unit: "ms",
		Note: "from SIGHUP until the changed poll interval of one of 100 tenants is seen at the vault; floor: the same with that tenant alone",
	}}, disturbed
}

// A reloadWorld is a running server with a number of tenants, of which the first is changed.
type reloadWorld struct {
	name           string
	dir            string
	tenants        []*reloadTenant
	vault, cluster *devstack.Proxy
	server         *server

	mu      sync.Mutex
	reads   map[string]bool // paths of the first tenant that were read
	lastly  time.Time       // when one was read last
	logins  map[string]int  // by role id
	listed  int             // how often Secrets or namespaces were listed, or a watch of them begun
	arrived chan struct{}
}

type reloadTenant struct {
	name   string
	paths  int
	roleID string
	key    apikey.Key
	secret string // the key itself
}

func newReloadWorld(ctx context.Context, env *Env, tenants int) (*reloadWorld, error) {
	stack, err := env.Stack(ctx)
	if err != nil {
		return nil, err
	}
	binary, err := env.Binary(ctx)
	if err != nil {
		return nil, err
	}
	w := &reloadWorld{name: fmt.Sprintf("reload%d", tenants), reads: make(map[string]bool), logins: make(map[string]int), arrived: make(chan struct{}, 1)}
	if w.dir, err = os.MkdirTemp(env.Dir, w.name+"-"); err != nil {
		return nil, err
	}
	if err := stack.Cluster("production").CreateNamespace(ctx, w.name); err != nil {
		return nil, err
	}
	if err := errors.Join(stack.Vault.Mount(ctx, w.name), stack.Vault.ReadPolicy(ctx, w.name, w.name, "")); err != nil {
		return nil, err
	}
	if w.vault, err = stack.Vault.Proxy(); err != nil {
		return nil, err
	}
	if w.cluster, err = stack.Cluster("production").Proxy(); err != nil {
		return nil, err
	}
	copies := 0
	for i := range tenants {
		t := &reloadTenant{name: fmt.Sprintf("tenant-%03d", i), paths: reloadOtherPaths}
		if i == 0 {
			t.paths = reloadPaths
		}
		if err := w.add(ctx, stack, t); err != nil {
			return nil, err
		}
		copies += t.paths
	}
	// They see each request and befall none.
	w.vault.Inject(devstack.Fault{Match: w.sawVault})
	w.cluster.Inject(devstack.Fault{Match: w.sawCluster})
	if w.server, err = startServer(ctx, binary, w.dir, w.config(reloadSlow)); err != nil {
		return nil, err
	}
	if err := w.server.untilSynced(ctx, copies); err != nil {
		w.close()
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.logins) != tenants || w.listed == 0 {
		w.close()
		return nil, fmt.Errorf("%d of %d logins and %d listings were seen at the start, so that none later would prove nothing", len(w.logins), tenants, w.listed)
	}
	return w, nil
}

func (w *reloadWorld) close() {
	if w.server != nil {
		_ = w.server.stop() // what it was asked for was measured
	}
	w.vault.Close()
	w.cluster.Close()
}

// add makes a tenant's values, definitions, login and key.
func (w *reloadWorld) add(ctx context.Context, stack *devstack.Stack, t *reloadTenant) error {
	var in bytes.Buffer
	fmt.Fprintf(&in, "commit refs/heads/main\ncommitter Bench <bench@example.org> %d +0000\ndata 7\nreload\n", time.Now().Unix())
	for i := range t.paths {
		name := fmt.Sprintf("%s-%03d", t.name, i)
		content := fmt.Sprintf("name: %s\nsecretPath: %s\nsync: [{cluster: production, namespace: %s}]\n", name, name, w.name)
		fmt.Fprintf(&in, "M 100644 inline secrets/%s.yaml\ndata %d\n%s\n", name, len(content), content)
	}
	err := parallel(ctx, fleetWorkers, t.paths, func(ctx context.Context, i int) error {
		_, err := stack.Vault.PutSecret(ctx, w.name, fmt.Sprintf("%s/%s-%03d", t.name, t.name, i), map[string]any{"password": "correct horse"})
		return err
	})
	if err != nil {
		return err
	}
	repository, err := makeRepository(filepath.Join(w.dir, "data", "repositories"), t.name)
	if err != nil {
		return err
	}
	if err := importCommits(repository, &in); err != nil {
		return err
	}
	var secretID string
	if t.roleID, secretID, err = stack.Vault.AppRole(ctx, w.name+"-"+t.name, time.Hour, w.name); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(w.dir, t.name), []byte(secretID), 0o600); err != nil {
		return err
	}
	t.key, t.secret = apikey.New(gitstore.TenantName{}, apikey.Readonly, "bench")
	w.tenants = append(w.tenants, t)
	return nil
}

// config has the first tenant polled at an interval.
func (w *reloadWorld) config(interval time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "listen: %s\ndataDir: data\npollInterval: %s\nlog: {level: warn}\nlimits: {requestsPerSecond: 100000}\n", noAddress, reloadSlow)
	fmt.Fprintf(&b, "vault: {address: %q, mount: %s}\nclusters: {production: {kubeconfig: %q}}\ntenants:\n", w.vault.URL, w.name, w.cluster.Kubeconfig)
	for i, t := range w.tenants {
		fmt.Fprintf(&b, "  %s:\n", t.name)
		if i == 0 {
			fmt.Fprintf(&b, "    pollInterval: %s\n", interval)
		}
		fmt.Fprintf(&b, "    vault: {prefix: %s, auth: {appRole: {roleID: %s, secretIDFile: %s}}}\n", t.name, t.roleID, t.name)
		fmt.Fprintf(&b, "    clusters: {production: {namespaces: [%s]}}\n", w.name)
		fmt.Fprintf(&b, "    keys: [{id: %s, displayName: %s, role: %s, hash: %q}]\n", t.key.ID, t.key.DisplayName, t.key.Role, t.key.Hash)
	}
	return b.String()
}

// sawVault takes note of a request to the vault.
func (w *reloadWorld) sawVault(r *http.Request) bool {
	switch {
	case strings.HasSuffix(r.URL.Path, "/login"):
		body, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		var login struct {
			RoleID string `json:"role_id"`
		}
		if err != nil || json.Unmarshal(body, &login) != nil {
			return false
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.logins[login.RoleID]++
	case strings.Contains(r.URL.Path, "/"+w.tenants[0].name+"/"):
		w.mu.Lock()
		defer w.mu.Unlock()
		w.reads[r.URL.Path], w.lastly = true, time.Now()
		select {
		case w.arrived <- struct{}{}:
		default:
		}
	}
	return false
}

// sawCluster takes note of a request to the cluster.
func (w *reloadWorld) sawCluster(r *http.Request) bool {
	if r.Method == http.MethodGet && (strings.HasSuffix(r.URL.Path, "/secrets") || strings.HasSuffix(r.URL.Path, "/namespaces")) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.listed++
	}
	return false
}

// round shortens the interval and returns the milliseconds until it is in force; then it has it as it was again.
func (w *reloadWorld) round(ctx context.Context) (float64, error) {
	w.mu.Lock()
	clear(w.reads)
	clear(w.logins)
	w.listed = 0
	w.mu.Unlock()
	if err := w.server.configure(w.config(reloadFast)); err != nil {
		return 0, err
	}
	started := time.Now()
	if err := w.server.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return 0, err
	}
	// One or two may be due anyway.
	const enough = 3
	for w.read() < enough {
		select {
		case <-w.arrived:
		case <-ctx.Done():
			return 0, fmt.Errorf("waiting for polls at the new interval: %w\n%s", ctx.Err(), w.server.log)
		}
	}
	took := time.Since(started)
	// For a while it is looked at who notices; two intervals show that it is in force for all paths.
	if err := wait(ctx, 2*reloadFast); err != nil {
		return 0, err
	}
	if n := w.read(); n < reloadPaths {
		return 0, fmt.Errorf("%d of %d paths were polled in two intervals\n%s", n, reloadPaths, w.server.log)
	}
	if err := w.server.configure(w.config(reloadSlow)); err != nil {
		return 0, err
	}
	if err := w.server.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return 0, err
	}
	return took.Seconds() * 1000, w.calm(ctx)
}

func (w *reloadWorld) read() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.reads)
}

// calm waits until the first tenant is polled slowly again.
func (w *reloadWorld) calm(ctx context.Context) error {
	for {
		w.mu.Lock()
		since := time.Since(w.lastly)
		w.mu.Unlock()
		if since > reloadFast/2 {
			return nil
		}
		if err := wait(ctx, reloadFast/10); err != nil {
			return err
		}
	}
}

// standing returns how each definition stands, with since when, without when it was looked at last.
func (w *reloadWorld) standing(ctx context.Context) (map[string]string, error) {
	standing := make(map[string]string)
	for _, t := range w.tenants {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.server.url+"/api/v1/tenants/"+t.name+"/secrets", nil)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Authorization", "Bearer "+t.secret)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return nil, err
		}
		var list struct {
			Items []struct {
				Name   string
				Status struct {
					Phase      string
					Conditions []struct{ Reason, LastTransitionTime string }
				}
			}
		}
		err = json.NewDecoder(response.Body).Decode(&list)
		if err := errors.Join(err, response.Body.Close()); err != nil || len(list.Items) != t.paths {
			return nil, fmt.Errorf("the definitions of %s: %d, %s: %w", t.name, len(list.Items), response.Status, err)
		}
		for _, item := range list.Items {
			standing[item.Name] = fmt.Sprintf("%+v", item.Status)
		}
	}
	return standing, nil
}

// disturbances says who noticed the last round.
func (w *reloadWorld) disturbances(before, after map[string]string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	own, others := w.logins[w.tenants[0].roleID], 0
	for _, n := range w.logins {
		others += n
	}
	others -= own
	if others > 0 {
		errs = append(errs, fmt.Errorf("the other tenants logged in again %d times", others))
	}
	if own > 0 {
		errs = append(errs, fmt.Errorf("the tenant logged in again %d times, in two reloads of its interval", own))
	}
	if w.listed > 0 {
		errs = append(errs, fmt.Errorf("the cluster was listed or watched anew %d times", w.listed))
	}
	changed := make(map[bool]int) // of the tenant itself, and not
	for name := range before {
		if before[name] != after[name] {
			changed[strings.HasPrefix(name, w.tenants[0].name)]++
		}
	}
	if changed[false] > 0 {
		errs = append(errs, fmt.Errorf("%d definitions of other tenants changed their status", changed[false]))
	}
	if changed[true] > 0 {
		errs = append(errs, fmt.Errorf("%d definitions of the tenant changed their status", changed[true]))
	}
	return errors.Join(errs...)
}
