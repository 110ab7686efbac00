package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/template"
	"time"

	"golang.org/x/sync/errgroup"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/examples/devstack"
	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/forward/forwardtest"
	"secretsync/reconcile/shard"
)

// fleet is several replicas as processes, one HTTP Git server with a repository for each tenant,
// and the two real clusters, one of which the replicas have their Leases in.
type fleet struct {
	*testing.T
	stack     *devstack.Stack
	home      string // namespace of the Leases and keys
	namespace string // of the copies, in each cluster
	prefix    string
	tenants   []fleetTenant
	git       string // folder of the bare repositories
	forge     string // the URL of the server of the repositories
	gitDown   *atomic.Bool
	gitGate   *atomic.Pointer[func(tenant string)]
	replicas  []*process
	ledger    ledger
}

type fleetTenant struct {
	Name   string
	Secret string // its admin's key
	apikey.Key
}

// process is one replica.
type process struct {
	*world
	name    string
	metrics string          // the address of its metrics
	proxy   *devstack.Proxy // between it and its home
}

const (
	// calm is a lease time for stories in which no replica loses its shards: one whose machine stood still for
	// longer than its lease time does.
	calm = 15 * time.Second
	// seeds is how many definitions each tenant begins with, each with a copy in each cluster.
	seeds = 5
	// makers is how many tenants are made at once.
	makers = 4
)

var fleetConfig = template.Must(template.New("").Parse(`listen: {{.Listen}}
dataDir: data
pollInterval: {{.Poll}}
log: {level: info}
limits: {requestsPerSecond: 100000}
drain: 1s
pprof: true
metricsListen: {{.Metrics}}
home: {kubeconfig: {{.Home}}, namespace: {{.HomeNamespace}}}
keys: {store: kubernetes}
replicas: {id: {{.Name}}, listen: "{{.Peers}}", lease: {{.Lease}}, certFile: tls.crt, keyFile: tls.key, caFile: ca.crt}
vault:
  address: {{.Vault}}
  mount: secret
  auth:
    token: {file: vault-token}
clusters:
  production: {kubeconfig: {{.Production}}}
  staging: {kubeconfig: {{.Staging}}}
tenants:
{{- range .Tenants}}
  {{.Name}}:
    repository: {url: {{$.Git}}/{{.Name}}.git}
    vault: {prefix: {{$.Prefix}}/{{.Name}}}
    clusters:
      production: {namespaces: ["{{$.Namespace}}"]}
      staging: {namespaces: ["{{$.Namespace}}"]}
    keys:
      - {id: {{.ID}}, displayName: {{.DisplayName}}, role: {{.Role}}, hash: "{{.Hash}}"}
{{- end}}
`))

// newFleet makes replicas that share tenants, and starts them.
func newFleet(t *testing.T, replicas, tenants int, lease time.Duration) *fleet {
	t.Helper()
	f := makeFleet(t, replicas, tenants, lease)
	f.start()
	return f
}

// makeFleet makes replicas that share tenants: their repositories, values and configurations.
func makeFleet(t *testing.T, replicas, tenants int, lease time.Duration) *fleet {
	t.Helper()
	f := &fleet{T: t, stack: devstack.Shared(t), prefix: strings.ToLower(rand.Text()), git: t.TempDir()}
	t.Cleanup(f.tellLogs)
	f.home = homeNamespace(t, f.stack)
	f.namespace = strings.Replace(f.home, "home-", "copies-", 1)
	for _, cluster := range f.stack.Clusters() {
		f.must(cluster.CreateNamespace(t.Context(), f.namespace))
	}
	f.grant()
	f.serveGit()
	f.settle(tenants)
	authority, err := forwardtest.NewAuthority()
	f.must(err)
	for i := range replicas {
		f.replicas = append(f.replicas, f.newProcess(fmt.Sprintf("r%d", i), f.forge, authority, lease))
	}
	return f
}

// tellLogs tells what went wrong with copies, and how the log of each replica ends, if the story fails.
func (f *fleet) tellLogs() {
	if !f.Failed() {
		return
	}
	f.tellTrouble()
	for _, r := range f.replicas {
		log, _ := os.ReadFile(filepath.Join(r.dir, "server.log")) // none: it was never started
		f.Logf("the end of the log of %s:\n%s", r.name, log[max(0, len(log)-6000):])
	}
}

// settle makes so many tenants, each with a key, a value and a repository.
func (f *fleet) settle(tenants int) {
	f.Helper()
	f.ledger.begin()
	for i := range tenants {
		name := fmt.Sprintf("t%04d", i)
		parsed, err := gitstore.ParseTenantName(name)
		f.must(err)
		key, plaintext := apikey.New(parsed, apikey.Admin, "Admin of "+name)
		f.tenants = append(f.tenants, fleetTenant{name, plaintext, key})
	}
	var making errgroup.Group
	making.SetLimit(makers)
	for _, tenant := range f.tenants {
		making.Go(func() error {
			if err := f.putValue(tenant.Name, 1); err != nil {
				return err
			}
			return f.makeRepository(tenant.Name)
		})
	}
	f.must(making.Wait())
}

// start starts all replicas at once.
func (f *fleet) start() {
	f.Helper()
	var starting errgroup.Group
	for _, r := range f.replicas {
		starting.Go(r.serve)
	}
	f.must(starting.Wait())
}

func (f *fleet) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fleet) command(argv ...string) string {
	f.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		f.Fatalf("%v: %v\n%s", argv, err, out)
	}
	return strings.TrimSpace(string(out))
}

// patience is how long anything may take that must come.
func (f *fleet) patience() time.Duration {
	return patience + time.Duration(len(f.tenants))*200*time.Millisecond
}

// putValue makes a version of the one value that all copies of a tenant hold: whose it is, and
// which edition.
func (f *fleet) putValue(tenant string, edition int) error {
	_, err := f.stack.Vault.PutSecret(f.Context(), "secret", f.prefix+"/"+tenant+"/value", map[string]any{"of": tenant, "edition": fmt.Sprint(edition)})
	return err
}

// makeRepository makes a tenant's repository with its first definitions.
func (f *fleet) makeRepository(tenant string) error {
	var in bytes.Buffer
	fmt.Fprintf(&in, "commit refs/heads/main\ncommitter Dana <dana@example.com> %d +0000\ndata 5\nBegin\n", time.Now().Unix())
	for i := range seeds {
		name := fmt.Sprintf("%s-seed-%d", tenant, i)
		text := fmt.Sprintf("name: %s\nsecretPath: value\nsync:\n", name)
		for _, cluster := range f.stack.Clusters() {
			text += fmt.Sprintf("  - cluster: %s\n    namespace: %s\n", cluster.Name, f.namespace)
		}
		fmt.Fprintf(&in, "M 100644 inline secrets/%s.yaml\ndata %d\n%s\n", name, len(text), text)
	}
	dir := filepath.Join(f.git, tenant+".git")
	for _, step := range []struct {
		argv []string
		in   io.Reader
	}{
		{argv: []string{"init", "-q", "--bare", "-b", "main", dir}},
		{argv: []string{"--git-dir", dir, "config", "http.receivepack", "true"}},
		{[]string{"--git-dir", dir, "fast-import", "--quiet"}, &in},
	} {
		git := exec.Command("git", step.argv...)
		git.Stdin = step.in
		if out, err := git.CombinedOutput(); err != nil {
			return fmt.Errorf("git %v: %w\n%s", step.argv, err, out)
		}
	}
	return nil
}

// grant gives replicas the rights they need at home, and none besides.
func (f *fleet) grant() {
	f.Helper()
	admin := f.stack.Cluster("production").Admin.RbacV1()
	_, err := admin.Roles(f.home).Create(f.Context(), &rbac.Role{ObjectMeta: meta.ObjectMeta{Name: "replica"}, Rules: []rbac.PolicyRule{
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"get", "list", "watch", "create", "update", "delete"}},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "list", "watch", "create", "patch"}},
	}}, meta.CreateOptions{})
	f.must(err)
	_, err = admin.RoleBindings(f.home).Create(f.Context(), &rbac.RoleBinding{
		ObjectMeta: meta.ObjectMeta{Name: "replica"}, RoleRef: rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "Role", Name: "replica"},
		Subjects: []rbac.Subject{{Kind: rbac.UserKind, APIGroup: rbac.GroupName, Name: devstack.User}},
	}, meta.CreateOptions{})
	f.must(err)
}

func (f *fleet) newProcess(name, git string, authority *forwardtest.Authority, lease time.Duration) *process {
	f.Helper()
	dir := f.TempDir()
	loopback := func() string { return fmt.Sprintf("127.0.0.1:%d", devstack.FreePort()) }
	address, metrics := loopback(), loopback()
	r := &process{name: name, metrics: "http://" + metrics, world: &world{dir: dir, url: "http://" + address, prefix: f.prefix, stack: f.stack, keys: map[string]string{}}}
	var err error
	r.proxy, err = f.stack.Cluster("production").Proxy()
	f.must(err)
	f.Cleanup(func() { r.proxy.Thaw(); r.proxy.Close() })
	f.Cleanup(r.end)
	_, err = authority.Issue(dir)
	f.must(err)
	var config bytes.Buffer
	f.must(fleetConfig.Execute(&config, map[string]any{
		"Listen": address, "Peers": loopback(), "Metrics": metrics, "Home": r.proxy.Kubeconfig, "HomeNamespace": f.home, "Name": name, "Lease": lease, "Poll": 2 * lease,
		"Vault": f.stack.Vault.Address, "Production": f.stack.Cluster("production").Kubeconfig, "Staging": f.stack.Cluster("staging").Kubeconfig,
		"Namespace": f.namespace, "Tenants": f.tenants, "Git": git, "Prefix": f.prefix,
	}))
	token, err := r.vaultToken()
	f.must(err)
	for file, content := range map[string]string{"secretsync.yaml": config.String(), "vault-token": token} {
		f.must(os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600))
	}
	return r
}

// tenantsOf returns those whom a replica works for when all are there.
func (f *fleet) tenantsOf(r *process) (of []*fleetTenant) {
	f.Helper()
	var names []string
	for _, each := range f.replicas {
		names = append(names, each.name)
	}
	holders := shard.Assign(names, shard.DefaultShards)
	for i := range f.tenants {
		name, err := gitstore.ParseTenantName(f.tenants[i].Name)
		f.must(err)
		if holders[shard.Of(name, shard.DefaultShards)] == r.name {
			of = append(of, &f.tenants[i])
		}
	}
	return of
}

// settled reports whether these replicas and nobody else hold all shards, each those that are its own.
func (f *fleet) settled(replicas ...*process) bool {
	var names []string
	for _, r := range replicas {
		names = append(names, r.name)
	}
	want := shard.Assign(names, shard.DefaultShards)
	leases, err := f.stack.Cluster("production").Admin.CoordinationV1().Leases(f.home).List(f.Context(), meta.ListOptions{LabelSelector: "secretsync.dev/lease=shard"})
	if err != nil {
		return false
	}
	held := 0
	for _, lease := range leases.Items {
		var number int
		if _, err := fmt.Sscanf(lease.Name, "secretsync-shard-%d", &number); err != nil || lease.Spec.HolderIdentity == nil {
			continue
		}
		if name, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_"); name == want[number] {
			held++
		}
	}
	return held == shard.DefaultShards
}

// each does something for many tenants, some at once.
func each(tenants []*fleetTenant, do func(*fleetTenant)) {
	var group sync.WaitGroup
	for _, t := range tenants {
		group.Go(func() { do(t) })
	}
	group.Wait()
}
