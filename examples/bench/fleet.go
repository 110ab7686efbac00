package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	vaultapi "github.com/hashicorp/vault/api"

	"secretsync/examples/devstack"
)

// A fleet is one tenant with many definitions: its values in Vault, its repository and its empty namespaces.
type fleet struct {
	name    string // of the tenant, the mount and the namespaces
	dir     string
	stack   *devstack.Stack
	binary  string
	names   []string
	key     string // of an admin
	options fleetOptions
	writer  map[string]*kubernetes.Clientset // unlimited, by cluster
	reader  *vaultapi.KVv2                   // with the server's own token, so that policies cost the floor the same
}

type fleetOptions struct {
	definitions  int
	targets      int // of each definition, over namespaces and clusters in turn
	namespaces   int
	clusters     []string
	pollInterval time.Duration
	urgent       int                                 // definitions, the first ones, whose value is asked for once a second
	copies       []richCopy                          // what the definitions say in turn besides; nil: nothing
	vaultURL     string                              // instead of Vault's own, such as a proxy's
	prepare      func(context.Context, *fleet) error // before its server starts, in withServer; nil: nothing
}

// target is where the definition with index i is copied to.
type target struct{ cluster, namespace int }

const fleetWorkers = 32

var fleets atomic.Int64

func newFleet(ctx context.Context, env *Env, options fleetOptions) (*fleet, error) {
	stack, err := env.Stack(ctx)
	if err != nil {
		return nil, err
	}
	f := &fleet{name: fmt.Sprintf("fleet%d", fleets.Add(1)), stack: stack, options: options, writer: make(map[string]*kubernetes.Clientset)}
	if f.binary, err = env.Binary(ctx); err != nil {
		return nil, err
	}
	if f.dir, err = os.MkdirTemp(env.Dir, f.name+"-"); err != nil {
		return nil, err
	}
	for i := range options.definitions {
		f.names = append(f.names, fmt.Sprintf("secret-%05d", i))
	}
	for _, cluster := range options.clusters {
		var namespaces []string
		for i := range options.namespaces {
			namespaces = append(namespaces, f.namespace(i))
		}
		if err := stack.Cluster(cluster).CreateNamespace(ctx, namespaces...); err != nil {
			return nil, err
		}
		unlimited := rest.CopyConfig(stack.Cluster(cluster).Config)
		unlimited.QPS = -1
		if f.writer[cluster], err = kubernetes.NewForConfig(unlimited); err != nil {
			return nil, err
		}
	}
	if err := stack.Vault.Mount(ctx, f.name); err != nil {
		return nil, err
	}
	err = parallel(ctx, fleetWorkers, len(f.names), func(ctx context.Context, i int) error { return f.put(ctx, i, "first") })
	if err != nil {
		return nil, err
	}
	if err := f.writeRepository(); err != nil {
		return nil, err
	}
	return f, f.writeConfig(ctx)
}

func (f *fleet) namespace(i int) string { return fmt.Sprintf("%s-%d", f.name, i) }

// places of definition i.
func (f *fleet) places(i int) []target {
	places := make([]target, f.options.targets)
	for j := range places {
		places[j] = target{cluster: j % len(f.options.clusters), namespace: (i + j/len(f.options.clusters)) % f.options.namespaces}
	}
	return places
}

func (f *fleet) copies() int { return f.options.definitions * f.options.targets }

func (f *fleet) put(ctx context.Context, i int, password string) error {
	value := map[string]any{"username": f.names[i], "password": fmt.Sprintf("correct horse battery staple %s %d", password, i)}
	if rich := f.rich(i); rich != nil {
		value = rich.value(i)
	}
	_, err := f.stack.Vault.PutSecret(ctx, f.name, f.names[i], value)
	return err
}

// rich is what definition i says of its copies besides; nil: nothing.
func (f *fleet) rich(i int) *richCopy {
	if len(f.options.copies) == 0 {
		return nil
	}
	return &f.options.copies[i%len(f.options.copies)]
}

// bare makes the copy of definition i as a program of its own would.
func (f *fleet) bare(i int, value map[string]any) (*core.Secret, error) {
	if rich := f.rich(i); rich != nil {
		secret, err := rich.compose(value)
		if err != nil {
			return nil, err
		}
		secret.Name = f.names[i]
		return secret, nil
	}
	data := map[string][]byte{}
	for key, v := range value {
		data[key] = []byte(v.(string))
	}
	return &core.Secret{ObjectMeta: meta.ObjectMeta{Name: f.names[i]}, Data: data}, nil
}

func (f *fleet) yaml(i int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "name: %s\nsecretPath: %s\n", f.names[i], f.names[i])
	if i < f.options.urgent {
		b.WriteString("refreshInterval: 1s\n")
	}
	if rich := f.rich(i); rich != nil {
		b.WriteString(rich.yaml)
	}
	b.WriteString("sync:\n")
	for _, t := range f.places(i) {
		fmt.Fprintf(&b, "  - cluster: %s\n    namespace: %s\n", f.options.clusters[t.cluster], f.namespace(t.namespace))
	}
	return b.String()
}

// writeRepository commits all definitions at once, as one push would.
func (f *fleet) writeRepository() error {
	repositories := filepath.Join(f.dir, "data", "repositories")
	if err := os.MkdirAll(repositories, 0o700); err != nil {
		return err
	}
	repository, err := makeRepository(repositories, f.name)
	if err != nil {
		return err
	}
	var in bytes.Buffer
	fmt.Fprintf(&in, "commit refs/heads/main\ncommitter Bench <bench@example.org> %d +0000\ndata 6\nfleet\n", time.Now().Unix())
	for i := range f.names {
		content := f.yaml(i)
		fmt.Fprintf(&in, "M 100644 inline secrets/%s.yaml\ndata %d\n%s\n", f.names[i], len(content), content)
	}
	return importCommits(repository, &in)
}

func (f *fleet) writeConfig(ctx context.Context) error {
	vault := f.stack.Vault
	if err := vault.ReadPolicy(ctx, f.name, f.name, ""); err != nil {
		return err
	}
	token, err := vault.Token(ctx, 24*time.Hour, f.name)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(f.dir, "token"), []byte(token), 0o600); err != nil {
		return err
	}
	client, err := vault.NewClient(token)
	if err != nil {
		return err
	}
	f.reader = client.KVv2(f.name)
	address := vault.Address
	if f.options.vaultURL != "" {
		address = f.options.vaultURL
	}
	poll := f.options.pollInterval
	if poll == 0 {
		poll = time.Minute
	}
	var b strings.Builder
	fmt.Fprintf(&b, "listen: 127.0.0.1:0\ndataDir: data\npollInterval: %s\nlog: {level: warn}\nlimits: {definitions: 1000000, requestsPerSecond: 100000}\nvault: {address: %q}\nclusters:\n", poll, address)
	for _, c := range f.options.clusters {
		fmt.Fprintf(&b, "  %s: {kubeconfig: %q}\n", c, f.stack.Cluster(c).Kubeconfig)
	}
	out, err := exec.CommandContext(ctx, f.binary, "key", "new", "--name", "bench", "--role", "admin").Output()
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	key, stanza, _ := strings.Cut(string(out), "\n")
	f.key = strings.TrimSpace(key)
	fmt.Fprintf(&b, "tenants:\n  %s:\n    vault: {mount: %s, auth: {token: {file: token}}}\n    clusters:\n", f.name, f.name)
	for _, c := range f.options.clusters {
		fmt.Fprintf(&b, "      %s: {namespaces: [%q]}\n", c, f.name+"-*")
	}
	b.WriteString("    keys:\n")
	for line := range strings.Lines(stanza) {
		b.WriteString("      " + line)
	}
	return os.WriteFile(filepath.Join(f.dir, "config.yaml"), []byte(b.String()), 0o600)
}

// count begins to watch the fleet's namespaces.
func (f *fleet) count(ctx context.Context) (*counter, error) {
	clusters := make(map[string]*rest.Config)
	for _, name := range f.options.clusters {
		clusters[name] = f.stack.Cluster(name).AdminConfig
	}
	return newCounter(ctx, f.name+"-", clusters)
}

// empty removes the fleet's Secrets.
func (f *fleet) empty(ctx context.Context) error {
	for _, cluster := range f.options.clusters {
		admin := f.stack.Cluster(cluster).Admin
		err := parallel(ctx, 4, f.options.namespaces, func(ctx context.Context, i int) error {
			return admin.CoreV1().Secrets(f.namespace(i)).DeleteCollection(ctx, meta.DeleteOptions{}, meta.ListOptions{})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// bareLoop reads each value once and creates its Secrets, and returns the seconds until all are there.
func (f *fleet) bareLoop(ctx context.Context) (float64, error) {
	if err := f.empty(ctx); err != nil {
		return 0, err
	}
	counter, err := f.count(ctx)
	if err != nil {
		return 0, err
	}
	defer counter.close()
	started := time.Now()
	err = parallel(ctx, fleetWorkers, len(f.names), func(ctx context.Context, i int) error {
		value, err := f.reader.Get(ctx, f.names[i])
		if err != nil {
			return err
		}
		secret, err := f.bare(i, value.Data)
		if err != nil {
			return err
		}
		for _, t := range f.places(i) {
			if _, err := f.writer[f.options.clusters[t.cluster]].CoreV1().Secrets(f.namespace(t.namespace)).Create(ctx, secret, meta.CreateOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	err = counter.until(ctx, f.copies())
	return time.Since(started).Seconds(), err
}

// coldSync starts the server with nothing there, and returns the seconds until all Secrets are.
func (f *fleet) coldSync(ctx context.Context) (float64, error) {
	if err := f.empty(ctx); err != nil {
		return 0, err
	}
	counter, err := f.count(ctx)
	if err != nil {
		return 0, err
	}
	defer counter.close()
	started := time.Now()
	server, err := f.serve(ctx)
	if err != nil {
		return 0, err
	}
	defer server.stop()
	err = counter.until(ctx, f.copies())
	return time.Since(started).Seconds(), err
}

// withServer measures on a fleet whose server has synced it all, within a time.
func withServer(ctx context.Context, env *Env, within time.Duration, options fleetOptions, measure func(context.Context, *fleet, *server) ([]Result, error)) ([]Result, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	f, err := newFleet(ctx, env, options)
	if err != nil {
		return nil, err
	}
	defer f.empty(context.WithoutCancel(ctx))
	if options.prepare != nil {
		if err := options.prepare(ctx, f); err != nil {
			return nil, err
		}
	}
	server, err := f.serve(ctx)
	if err != nil {
		return nil, err
	}
	defer server.stop()
	if err := server.untilSynced(ctx, f.copies()); err != nil {
		return nil, err
	}
	return measure(ctx, f, server)
}

// parallel calls do for 0 … count-1, so many at a time.
func parallel(ctx context.Context, workers, count int, do func(context.Context, int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for i := range count {
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}
