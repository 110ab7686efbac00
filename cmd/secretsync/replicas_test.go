package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"text/template"
	"time"

	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiwatch "k8s.io/apimachinery/pkg/watch"

	"secretsync/examples/devstack"
	"secretsync/gitstore"
	"secretsync/httpapi/apikey"
	"secretsync/httpapi/forward/forwardtest"
)

// fleet is several replicas as processes, one HTTP Git server with a repository for each tenant,
// and the real clusters.
type fleet struct {
	*testing.T
	stack     *devstack.Stack
	namespace string // of the copies, and of the Leases and keys
	prefix    string
	tenants   []fleetTenant
	git       string // folder of the bare repositories
	replicas  []*process

	mu       sync.Mutex
	answered map[string]string // definitions that were answered with 201, and their tenants
	trouble  []string
	writes   atomic.Int64 // of copies, as the watch saw them
}

type fleetTenant struct {
	Name   string
	Secret string // its admin's key
	apikey.Key
}

// process is one replica.
type process struct {
	*world
	name  string
	proxy *devstack.Proxy // between it and its home
}

var fleetConfig = template.Must(template.New("").Parse(`listen: {{.Listen}}
dataDir: data
pollInterval: 30s
log: {level: info}
limits: {requestsPerSecond: 100000}
drain: 1s
home: {kubeconfig: {{.Home}}, namespace: {{.Namespace}}}
keys: {store: kubernetes}
replicas: {id: {{.Name}}, listen: "{{.Peers}}", lease: {{.Lease}}, certFile: tls.crt, keyFile: tls.key, caFile: ca.crt}
vault:
  address: {{.Vault}}
  mount: secret
  auth:
    token: {file: vault-token}
clusters:
  production: {kubeconfig: {{.Production}}}
tenants:
{{- range .Tenants}}
  {{.Name}}:
    repository: {url: {{$.Git}}/{{.Name}}.git}
    vault: {prefix: {{$.Prefix}}/{{.Name}}}
    clusters:
      production: {namespaces: ["{{$.Namespace}}"]}
    keys:
      - {id: {{.ID}}, displayName: {{.DisplayName}}, role: {{.Role}}, hash: "{{.Hash}}"}
{{- end}}
`))

// newFleet makes replicas that share tenants, and starts them.
func newFleet(t *testing.T, replicas, tenants int, lease time.Duration) *fleet {
	t.Helper()
	f := &fleet{T: t, stack: devstack.Shared(t), prefix: strings.ToLower(rand.Text()), answered: make(map[string]string), git: t.TempDir()}
	f.namespace = homeNamespace(t, f.stack)
	f.grant()
	served := f.serveGit()
	for i := range tenants {
		name := fmt.Sprintf("t%03d", i)
		parsed, err := gitstore.ParseTenantName(name)
		f.must(err)
		key, plaintext := apikey.New(parsed, apikey.Admin, "Admin of "+name)
		f.tenants = append(f.tenants, fleetTenant{name, plaintext, key})
		dir := filepath.Join(f.git, name+".git")
		f.command("git", "init", "-q", "--bare", "-b", "main", dir)
		f.command("git", "--git-dir", dir, "config", "http.receivepack", "true")
		_, err = f.stack.Vault.PutSecret(t.Context(), "secret", f.prefix+"/"+name+"/value", map[string]any{"of": name})
		f.must(err)
	}
	authority, err := forwardtest.NewAuthority()
	f.must(err)
	for i := range replicas {
		f.replicas = append(f.replicas, f.newProcess(fmt.Sprintf("r%d", i), served, authority, lease))
	}
	var starting sync.WaitGroup
	for _, r := range f.replicas {
		starting.Go(func() {
			if err := r.serve(); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return f
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

// grant gives replicas the rights they need at home, and none besides.
func (f *fleet) grant() {
	f.Helper()
	admin := f.stack.Cluster("production").Admin.RbacV1()
	_, err := admin.Roles(f.namespace).Create(f.Context(), &rbac.Role{ObjectMeta: meta.ObjectMeta{Name: "replica"}, Rules: []rbac.PolicyRule{
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"get", "list", "watch", "create", "update", "delete"}},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "list", "watch", "create", "patch"}},
	}}, meta.CreateOptions{})
	f.must(err)
	_, err = admin.RoleBindings(f.namespace).Create(f.Context(), &rbac.RoleBinding{
		ObjectMeta: meta.ObjectMeta{Name: "replica"}, RoleRef: rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "Role", Name: "replica"},
		Subjects: []rbac.Subject{{Kind: rbac.UserKind, APIGroup: rbac.GroupName, Name: devstack.User}},
	}, meta.CreateOptions{})
	f.must(err)
}

// serveGit serves the repositories as a forge does.
func (f *fleet) serveGit() (url string) {
	f.Helper()
	backend := &cgi.Handler{
		Path: filepath.Join(f.command("git", "--exec-path"), "git-http-backend"), Stderr: io.Discard,
		Env: []string{"GIT_PROJECT_ROOT=" + f.git, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1"},
	}
	server := httptest.NewServer(backend)
	f.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

func (f *fleet) newProcess(name, git string, authority *forwardtest.Authority, lease time.Duration) *process {
	f.Helper()
	dir := f.TempDir()
	address := fmt.Sprintf("127.0.0.1:%d", devstack.FreePort())
	r := &process{name: name, world: &world{dir: dir, url: "http://" + address, prefix: f.prefix, stack: f.stack, keys: map[string]string{}}}
	var err error
	r.proxy, err = f.stack.Cluster("production").Proxy()
	f.must(err)
	f.Cleanup(func() { r.proxy.Thaw(); r.proxy.Close() })
	f.Cleanup(r.end)
	_, err = authority.Issue(dir)
	f.must(err)
	var config bytes.Buffer
	f.must(fleetConfig.Execute(&config, map[string]any{
		"Listen": address, "Home": r.proxy.Kubeconfig, "Namespace": f.namespace, "Name": name,
		"Peers": fmt.Sprintf("127.0.0.1:%d", devstack.FreePort()), "Lease": lease,
		"Vault": f.stack.Vault.Address, "Production": f.stack.Cluster("production").Kubeconfig,
		"Tenants": f.tenants, "Git": git, "Prefix": f.prefix,
	}))
	token, err := r.vaultToken()
	f.must(err)
	for file, content := range map[string]string{"secretsync.yaml": config.String(), "vault-token": token} {
		f.must(os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600))
	}
	return r
}

// patient gives up on a replica that was stopped.
var patient = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func (f *fleet) call(r *process, t *fleetTenant, method, path, body, id string) (status int, answer string, err error) {
	request, err := http.NewRequest(method, r.url+"/api/v1/tenants/"+t.Name+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Authorization", "Bearer "+t.Secret)
	request.Header.Set("X-Request-Id", id)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := patient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// answers waits until each of these replicas answers for all tenants, and returns how long that
// took.
func (f *fleet) answers(replicas ...*process) time.Duration {
	f.Helper()
	began := time.Now()
	for _, r := range replicas {
		for i := range f.tenants {
			t := &f.tenants[i]
			await(f.T, r.name+" answers for "+t.Name, func() bool {
				status, _, err := f.call(r, t, "GET", "", "", "look")
				return err == nil && status == http.StatusOK
			})
		}
	}
	return time.Since(began)
}

// load writes through one replica, and reads what was written through another, till ctx ends.
func (f *fleet) load(ctx context.Context, r *process, random *mathrand.Rand) {
	for i := 0; ctx.Err() == nil; i++ {
		t := &f.tenants[random.IntN(len(f.tenants))]
		name := fmt.Sprintf("%s-%d", r.name, i)
		body := fmt.Sprintf(`{"name":%q,"secretPath":"value","sync":[{"cluster":"production","namespace":%q,"secretName":"%s-%s"}]}`, name, f.namespace, t.Name, name)
		status, answer, err := f.call(r, t, "POST", "/secrets", body, "write-"+name)
		switch {
		case err != nil, status == http.StatusServiceUnavailable:
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
			continue // not known, or not done
		case status != http.StatusCreated:
			f.wrong("POST by %s: %d %s", r.name, status, answer)
			continue
		}
		f.mu.Lock()
		f.answered[name] = t.Name
		f.mu.Unlock()
		other := f.replicas[random.IntN(len(f.replicas))]
		status, answer, err = f.call(other, t, "GET", "/secrets/"+name, "", "read-"+name)
		if err == nil && status != http.StatusOK && status != http.StatusServiceUnavailable {
			f.wrong("%s of %s was answered by %s, and by %s it is %d %s", name, t.Name, r.name, other.name, status, answer)
		}
	}
}

func (f *fleet) wrong(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trouble = append(f.trouble, fmt.Sprintf(format, args...))
}

// watchCopies looks at each copy at each moment: it must never hold what is another tenant's.
func (f *fleet) watchCopies(ctx context.Context) (end func()) {
	f.Helper()
	watch, err := f.stack.Cluster("production").Admin.CoreV1().Secrets(f.namespace).Watch(ctx, meta.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=secretsync,secretsync.dev/tenant"})
	f.must(err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e := range watch.ResultChan() {
			s, ok := e.Object.(*core.Secret)
			if !ok {
				f.wrong("the watch of copies: %v", e.Object)
				return
			}
			tenant, _, _ := strings.Cut(s.Name, "-")
			if string(s.Data["of"]) != tenant || len(s.Data) != 1 {
				f.wrong("copy %s holds what is not its own", s.Name)
			}
			if e.Type == apiwatch.Deleted {
				f.wrong("copy %s was deleted", s.Name)
			}
			f.writes.Add(1)
		}
	}()
	return func() { watch.Stop(); <-done }
}

// check compares what was answered with what there is, in the repositories and in the cluster.
func (f *fleet) check() {
	f.Helper()
	committed := make(map[string]string)
	for _, t := range f.tenants {
		log := f.command("git", "--git-dir", filepath.Join(f.git, t.Name+".git"), "log", "--format=%H%n%B", "--all", "--name-only")
		for line := range strings.Lines(log) {
			name, is := strings.CutPrefix(strings.TrimSpace(line), "secrets/")
			if !is {
				continue
			}
			name = strings.TrimSuffix(name, ".yaml")
			if committed[name] != "" {
				f.wrong("%s was committed twice", name)
			}
			committed[name] = t.Name
		}
	}
	for name, tenant := range f.answered {
		if committed[name] != tenant {
			f.wrong("%s of %s was answered, and is not there", name, tenant)
		}
	}
	secrets := f.stack.Cluster("production").Admin.CoreV1().Secrets(f.namespace)
	await(f.T, "each definition has its copy", func() bool {
		list, err := secrets.List(f.Context(), meta.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=secretsync,secretsync.dev/tenant"})
		return err == nil && len(list.Items) == len(committed)
	})
	if writes := f.writes.Load(); writes*10 > int64(len(committed))*11 {
		f.wrong("%d copies were written %d times", len(committed), writes)
	}
	f.Logf("%d writes answered, %d definitions, %d writes of copies", len(f.answered), len(committed), f.writes.Load())
	for _, trouble := range f.trouble[:min(len(f.trouble), 20)] {
		f.Error(trouble)
	}
	if len(f.trouble) > 20 {
		f.Errorf("and %d more", len(f.trouble)-20)
	}
}

// Three replicas share the tenants. One is killed, one stopped and woken when its time is over,
// one cut off from the API server of their Leases, and all are replaced one by one, while each
// is written to and read from. No write that was answered is lost or made twice, no copy is ever
// wrong, and none is written for nothing.
func TestReplicasLoseNothingWhateverBefallsThem(t *testing.T) {
	const lease = 4 * time.Second
	f := newFleet(t, 3, 60, lease)
	defer func() {
		if t.Failed() {
			for _, r := range f.replicas {
				log := readFile(t, filepath.Join(r.dir, "server.log"))
				t.Logf("the end of the log of %s:\n%s", r.name, log[max(0, len(log)-6000):])
			}
		}
	}()
	a, b, c := f.replicas[0], f.replicas[1], f.replicas[2]
	t.Logf("all answer for all after %v", f.answers(a, b, c))
	endWatch := f.watchCopies(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for i, r := range f.replicas {
		load.Go(func() { f.load(ctx, r, mathrand.New(mathrand.NewPCG(1, uint64(i)))) })
	}
	endLoad := sync.OnceFunc(func() { cancel(); load.Wait() })
	defer endLoad()

	f.must(a.stop(syscall.SIGKILL))
	t.Logf("after a kill all are answered for by the others in %v", f.answers(b, c))
	f.must(a.serve())
	t.Logf("it is back, and answers for all after %v", f.answers(a, b, c))

	f.must(b.server.Process.Signal(syscall.SIGSTOP))
	t.Logf("when one is stopped all are answered for by the others in %v", f.answers(a, c))
	f.must(b.server.Process.Signal(syscall.SIGCONT))
	t.Logf("it is woken, and answers for all after %v", f.answers(b, a, c))

	c.proxy.Freeze()
	await(t, "who is cut off says why it answers for nobody", func() bool {
		status, answer, err := f.call(c, &f.tenants[0], "GET", "", "", "look")
		return err == nil && status == http.StatusServiceUnavailable && strings.Contains(answer, "can't be reached from this replica")
	})
	t.Logf("when one is cut off all are answered for by the others in %v", f.answers(a, b))
	c.proxy.Thaw()
	t.Logf("it is back, and answers for all after %v", f.answers(c, a, b))

	for i, r := range f.replicas {
		others := slices.Delete(slices.Clone(f.replicas), i, i+1)
		f.must(r.stop(syscall.SIGTERM))
		t.Logf("%s has ended in order: all are answered for by the others in %v", r.name, f.answers(others...))
		f.must(r.serve())
		f.answers(f.replicas...)
	}
	endLoad()
	f.answers(f.replicas...)
	f.check()
	endWatch()
	for _, r := range f.replicas {
		if err := r.stop(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
	}
}
