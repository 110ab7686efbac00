package devstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Options say what to start. The zero value is two clusters, production and staging, and a Vault.
type Options struct {
	Clusters []string  // names; nil: production and staging; empty: none
	NoVault  bool      // clusters only
	Audit    bool      // each cluster and Vault log the requests they get, see Cluster.Audited and Vault.Audited
	Dir      string    // folder to make the stack's working folder in; empty: the system's
	Progress io.Writer // for Build
}

// A Stack is a set of running parts.
type Stack struct {
	Dir      string // working folder with logs, data and kubeconfigs; gone after Close
	Binaries *Binaries
	Vault    *Vault // nil without
	clusters []*Cluster
	etcd     *Process
	etcdURL  string

	builder *builder
	supply  *supply
	missing []part // of the supply, when it was prepared
	told    bool   // the addresses were given to others, and have to stay

	closing sync.Once
	cleanup []func()
	mu      sync.Mutex
}

// Start starts the parts and returns when all of them answer. An error says which part failed and how its log ends.
func Start(ctx context.Context, options Options) (*Stack, error) {
	s, err := newStack(ctx, options)
	if err != nil {
		return nil, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.Build(ctx) })
	group.Go(func() error { return s.Start(ctx) })
	if err := group.Wait(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Prepare returns a stack of which nothing runs yet and perhaps nothing is built, but of which the addresses, certificates
// and kubeconfigs are known, so that programs can be pointed at it and see it come up. The caller calls Build and Start, both
// at once or one after the other, and Close when they have returned.
//
//	            Prepare      Build             Start
//	program     perhaps      there             there
//	address     known        known             known
//	a client    is refused   is refused        is answered, from Await on
func Prepare(ctx context.Context, options Options) (*Stack, error) {
	s, err := newStack(ctx, options)
	if err == nil {
		s.told = true
	}
	return s, err
}

func newStack(ctx context.Context, options Options) (*Stack, error) {
	s := new(Stack)
	if err := s.prepare(ctx, options); err != nil {
		s.Close()
		return nil, fmt.Errorf("devstack: %w", err)
	}
	return s, nil
}

func (s *Stack) prepare(ctx context.Context, options Options) (err error) {
	if s.builder, err = newBuilder(options.Progress); err != nil {
		return err
	}
	s.Binaries = &Binaries{Root: s.builder.root}
	if s.supply, err = s.Binaries.supply(); err != nil {
		return err
	}
	if err := s.builder.provide(ctx, s.supply.keeper); err != nil { // Program needs it, and it takes a second
		return err
	}
	if s.missing, err = s.builder.missing(ctx, s.supply.real()...); err != nil {
		return err
	}
	if s.Dir, err = os.MkdirTemp(options.Dir, "devstack-"); err != nil {
		return err
	}
	if options.Clusters == nil {
		options.Clusters = []string{"production", "staging"}
	}
	for _, name := range options.Clusters {
		c := &Cluster{Name: name, stack: s, up: make(chan struct{})}
		if err := c.prepare(options.Audit); err != nil {
			return err
		}
		s.clusters = append(s.clusters, c)
	}
	if !options.NoVault {
		s.Vault = &Vault{stack: s, up: make(chan struct{})}
		return s.Vault.prepare(options.Audit)
	}
	return nil
}

// Unbuilt names the programs that Build has to build from source, and how long each takes; empty if none.
func (s *Stack) Unbuilt() string { return s.builder.list(s.missing) }

// Build builds the programs that aren't there yet.
func (s *Stack) Build(ctx context.Context) error {
	if err := s.builder.build(ctx, s.missing); err != nil {
		return fmt.Errorf("devstack: %w", err)
	}
	return nil
}

// Start starts each part as soon as its program is there, and returns when all of them answer.
func (s *Stack) Start(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	if s.Vault != nil {
		group.Go(func() error {
			if err := s.supply.vault.await(ctx); err != nil {
				return err
			}
			return s.Vault.create(ctx)
		})
	}
	if len(s.clusters) > 0 {
		group.Go(func() error { return s.startClusters(ctx) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("devstack: %w", err)
	}
	return nil
}

func (s *Stack) startClusters(ctx context.Context) error {
	if err := s.supply.etcd.await(ctx); err != nil {
		return err
	}
	if err := s.startEtcd(ctx); err != nil {
		return err
	}
	if err := s.supply.apiServer.await(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range s.clusters {
		group.Go(func() error { return c.create(ctx) })
	}
	return group.Wait()
}

func (s *Stack) startEtcd(ctx context.Context) error {
	return withPorts(freePorts(2), func(ports []int) error {
		s.etcdURL = fmt.Sprintf("http://127.0.0.1:%d", ports[0])
		peerURL := fmt.Sprintf("http://127.0.0.1:%d", ports[1])
		s.etcd = s.process("etcd", func() []string {
			return []string{s.Binaries.Etcd,
				"--data-dir", filepath.Join(s.Dir, "etcd"),
				"--listen-client-urls", s.etcdURL, "--advertise-client-urls", s.etcdURL,
				"--listen-peer-urls", peerURL, "--initial-advertise-peer-urls", peerURL, "--initial-cluster", "default=" + peerURL,
				"--unsafe-no-fsync",                                       // an etcd that lives as long as a test need not survive a power cut
				"--heartbeat-interval", "10", "--election-timeout", "100", // one member, on loopback: elected at once
				"--log-level", "warn",
			}
		}, func(ctx context.Context) error { return answers(ctx, http.DefaultClient, s.etcdURL+"/health") })
		return s.etcd.Start(ctx)
	})
}

// onPort calls start with the port and, unless others were told of it, with fresh ones when somebody else was quicker to take
// it.
func (s *Stack) onPort(port int, start func(port int) error) error {
	if s.told {
		return start(port)
	}
	return withPorts([]int{port}, func(ports []int) error { return start(ports[0]) })
}

// Program prepares a program of the caller's, to be started with Start, that ends with the stack at the latest. Start
// returns when ready succeeds; nil is ready at once.
func (s *Stack) Program(name string, argv []string, ready func(context.Context) error) *Process {
	p := s.process(name, func() []string { return argv }, ready)
	s.onClose(p.Stop)
	return p
}

func (s *Stack) process(name string, argv func() []string, ready func(context.Context) error) *Process {
	return &Process{name: name, dir: s.Dir, argv: argv, ready: ready, keeper: s.Binaries.keeper}
}

// Cluster returns the cluster of that name. There must be one.
func (s *Stack) Cluster(name string) *Cluster {
	for _, c := range s.clusters {
		if c.Name == name {
			return c
		}
	}
	panic("devstack: the stack was started without a cluster " + name)
}

// Clusters returns the clusters in the order of Options.Clusters.
func (s *Stack) Clusters() []*Cluster { return s.clusters }

// PIDs returns the process ids of the programs that run, by name: etcd, vault, kube-apiserver-production and so on.
func (s *Stack) PIDs() map[string]int {
	pids := make(map[string]int)
	for _, p := range s.processes() {
		if p.Running() {
			pids[p.name] = p.PID()
		}
	}
	return pids
}

func (s *Stack) processes() []*Process {
	var all []*Process
	for _, c := range s.clusters {
		if c.process != nil {
			all = append(all, c.process)
		}
	}
	if s.Vault != nil && s.Vault.process != nil {
		all = append(all, s.Vault.process)
	}
	if s.etcd != nil {
		all = append(all, s.etcd)
	}
	return all
}

// Close stops everything and removes the working folder.
func (s *Stack) Close() error {
	var err error
	s.closing.Do(func() {
		s.mu.Lock()
		for _, cleanup := range s.cleanup {
			cleanup()
		}
		s.mu.Unlock()
		var stopping sync.WaitGroup
		for _, p := range s.processes() {
			stopping.Go(p.Stop)
		}
		stopping.Wait()
		err = os.RemoveAll(s.Dir)
	})
	return err
}

func (s *Stack) onClose(cleanup func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cleanup = append(s.cleanup, cleanup)
}

// await returns when up is closed, or with the reason why ctx ended.
func await(ctx context.Context, up <-chan struct{}) error {
	select {
	case <-up:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// answers returns nil if the address answers with 200.
func answers(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status + ": " + tail(string(body), 5))
	}
	return nil
}
