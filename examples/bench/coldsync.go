package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"secretsync/examples/devstack"
)

func init() { register("cold-sync-1k", coldSync) }

const (
	coldSecrets    = 1000
	coldNamespaces = 10
	coldWorkers    = 32
	coldMount      = "cold"
	coldPrefix     = "acme"
)

// coldSync: from the start of the process with 1,000 definitions at HEAD, one target each in ten namespaces, to 1,000
// Secrets present. Its floor is a bare client loop that reads the same 1,000 values and creates the same 1,000 Secrets.
func coldSync(ctx context.Context, env *Env) ([]Result, error) {
	w, err := newColdWorld(ctx, env)
	if err != nil {
		return nil, err
	}
	floor, ours, err := alternate(ctx, 5, w.bareLoop, w.serve)
	if err != nil {
		return nil, err
	}
	return []Result{{
		Name: "cold-sync-1k", Value: ours, Floor: floor, Unit: "s",
		Note: "process start to 1,000 Secrets present; floor: bare client loop, 32 workers, Vault read and Secret create",
	}}, nil
}

// A coldWorld holds 1,000 values, ten empty namespaces and a data folder with 1,000 definitions.
type coldWorld struct {
	env        *Env
	stack      *devstack.Stack
	cluster    *devstack.Cluster
	binary     string
	token      string // of Vault
	namespaces []string
	names      []string
	round      int
}

func newColdWorld(ctx context.Context, env *Env) (*coldWorld, error) {
	stack, err := env.Stack(ctx)
	if err != nil {
		return nil, err
	}
	w := &coldWorld{env: env, stack: stack, cluster: stack.Cluster("production")}
	if w.binary, err = env.Binary(ctx); err != nil {
		return nil, err
	}
	for i := range coldNamespaces {
		w.namespaces = append(w.namespaces, fmt.Sprintf("cold-%d", i))
	}
	for i := range coldSecrets {
		w.names = append(w.names, fmt.Sprintf("secret-%04d", i))
	}
	if err := w.cluster.CreateNamespace(ctx, w.namespaces...); err != nil {
		return nil, err
	}
	if err := w.writeValues(ctx); err != nil {
		return nil, err
	}
	return w, w.writeDefinitions(ctx)
}

func (w *coldWorld) writeValues(ctx context.Context) (err error) {
	vault := w.stack.Vault
	if err := vault.Mount(ctx, coldMount); err != nil {
		return err
	}
	if err := vault.ReadPolicy(ctx, coldMount, coldMount, coldPrefix); err != nil {
		return err
	}
	if w.token, err = vault.Token(ctx, time.Hour, coldMount); err != nil {
		return err
	}
	return parallel(ctx, coldWorkers, len(w.names), func(ctx context.Context, i int) error {
		_, err := vault.PutSecret(ctx, coldMount, coldPrefix+"/"+w.names[i], map[string]any{
			"username": w.names[i], "password": fmt.Sprintf("correct horse battery staple %d", i),
		})
		return err
	})
}

// writeDefinitions pushes the definitions, with stock git, into a repository of the store's making.
func (w *coldWorld) writeDefinitions(ctx context.Context) error {
	repository, err := makeRepository(filepath.Join(w.env.Dir, "data", "repositories"), coldPrefix)
	if err != nil {
		return err
	}
	clone := filepath.Join(w.env.Dir, "clone")
	if err := os.MkdirAll(filepath.Join(clone, "secrets"), 0o700); err != nil {
		return err
	}
	for i, name := range w.names {
		definition := fmt.Sprintf("name: %s\nsecretPath: %s\nsync:\n  - cluster: production\n    namespace: %s\n", name, name, w.namespace(i))
		if err := os.WriteFile(filepath.Join(clone, "secrets", name+".yaml"), []byte(definition), 0o600); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main"}, {"add", "."}, {"commit", "--quiet", "--message", "Add 1,000 definitions"},
		{"push", "--quiet", repository, "main"},
	} {
		if err := git(ctx, clone, args...); err != nil {
			return err
		}
	}
	return nil
}

const coldConfig = `listen: 127.0.0.1:%d
dataDir: data
log: {level: warn}
vault: {address: %q, mount: %s, prefix: %s, auth: {token: {file: token}}}
clusters: {production: {kubeconfig: %q}}
tenants: {acme: {clusters: {production: {namespaces: ["*"]}}}}
`

// serve starts the server over a fresh copy of the data folder and returns the seconds until all Secrets are there.
func (w *coldWorld) serve(ctx context.Context) (float64, error) {
	if err := w.empty(ctx); err != nil {
		return 0, err
	}
	w.round++
	dir := filepath.Join(w.env.Dir, fmt.Sprintf("round-%d", w.round))
	if err := os.CopyFS(filepath.Join(dir, "data"), os.DirFS(filepath.Join(w.env.Dir, "data"))); err != nil {
		return 0, err
	}
	config := fmt.Sprintf(coldConfig, devstack.FreePort(), w.stack.Vault.Address, coldMount, coldPrefix, w.cluster.Kubeconfig)
	err := errors.Join(
		os.WriteFile(filepath.Join(dir, "secretsync.yaml"), []byte(config), 0o600),
		os.WriteFile(filepath.Join(dir, "token"), []byte(w.token), 0o600))
	if err != nil {
		return 0, err
	}
	present, err := w.watchSecrets(ctx)
	if err != nil {
		return 0, err
	}
	server := w.stack.Program(fmt.Sprintf("secretsync-%d", w.round),
		[]string{w.binary, "serve", "--config", filepath.Join(dir, "secretsync.yaml")}, nil)
	started := time.Now()
	if err := server.Start(ctx); err != nil {
		return 0, err
	}
	defer server.Stop()
	if err := present(); err != nil {
		log, _ := os.ReadFile(server.Log())
		return 0, fmt.Errorf("%w; the server's log:\n%s", err, log[max(0, len(log)-4000):])
	}
	return time.Since(started).Seconds(), nil
}

// watchSecrets begins to watch the cluster and returns a function that returns when all Secrets are there.
func (w *coldWorld) watchSecrets(ctx context.Context) (present func() error, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	// Only names are needed, and cheaply: the watcher shares the processors with what it watches.
	config := rest.CopyConfig(w.cluster.AdminConfig)
	config.ContentType = runtime.ContentTypeProtobuf
	client, err := metadata.NewForConfig(config)
	if err != nil {
		cancel()
		return nil, err
	}
	events, err := client.Resource(core.SchemeGroupVersion.WithResource("secrets")).Watch(ctx, meta.ListOptions{})
	if err != nil {
		cancel()
		return nil, err
	}
	return func() error {
		defer cancel()
		defer events.Stop()
		seen := make(map[string]bool)
		for event := range events.ResultChan() {
			if secret, ok := event.Object.(*meta.PartialObjectMetadata); ok && event.Type == watch.Added && slices.Contains(w.namespaces, secret.Namespace) {
				seen[secret.Namespace+"/"+secret.Name] = true
			}
			if len(seen) >= len(w.names) {
				return nil
			}
		}
		return fmt.Errorf("%d of %d Secrets came", len(seen), len(w.names))
	}, nil
}

func (w *coldWorld) namespace(i int) string { return w.namespaces[i%len(w.namespaces)] }

// bareLoop does the least that can be done and returns the seconds it took.
func (w *coldWorld) bareLoop(ctx context.Context) (float64, error) {
	if err := w.empty(ctx); err != nil {
		return 0, err
	}
	unlimited := rest.CopyConfig(w.cluster.Config)
	unlimited.QPS = -1
	client, err := kubernetes.NewForConfig(unlimited)
	if err != nil {
		return 0, err
	}
	values := w.stack.Vault.Client.KVv2(coldMount)
	started := time.Now()
	err = parallel(ctx, coldWorkers, len(w.names), func(ctx context.Context, i int) error {
		value, err := values.Get(ctx, coldPrefix+"/"+w.names[i])
		if err != nil {
			return err
		}
		secret := &core.Secret{ObjectMeta: meta.ObjectMeta{Name: w.names[i]}, Data: map[string][]byte{}}
		for key, v := range value.Data {
			secret.Data[key] = []byte(v.(string))
		}
		_, err = client.CoreV1().Secrets(w.namespace(i)).Create(ctx, secret, meta.CreateOptions{})
		return err
	})
	return time.Since(started).Seconds(), err
}

// empty removes the Secrets of the namespaces.
func (w *coldWorld) empty(ctx context.Context) error {
	return parallel(ctx, len(w.namespaces), len(w.namespaces), func(ctx context.Context, i int) error {
		secrets := w.cluster.Admin.CoreV1().Secrets(w.namespaces[i])
		return secrets.DeleteCollection(ctx, meta.DeleteOptions{}, meta.ListOptions{})
	})
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
