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

	closing sync.Once
	cleanup []func()
	mu      sync.Mutex
}

// Start starts the parts and returns when all of them answer. An error says which part failed and how its log ends.
func Start(ctx context.Context, options Options) (*Stack, error) {
	binaries, err := Build(ctx, options.Progress)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(options.Dir, "devstack-")
	if err != nil {
		return nil, fmt.Errorf("devstack: %w", err)
	}
	if options.Clusters == nil {
		options.Clusters = []string{"production", "staging"}
	}
	s := &Stack{Dir: dir, Binaries: binaries}
	if err := s.start(ctx, options); err != nil {
		s.Close()
		return nil, fmt.Errorf("devstack: %w", err)
	}
	return s, nil
}

func (s *Stack) start(ctx context.Context, options Options) error {
	for _, name := range options.Clusters {
		s.clusters = append(s.clusters, &Cluster{Name: name, stack: s})
	}
	group, ctx := errgroup.WithContext(ctx)
	if !options.NoVault {
		s.Vault = &Vault{stack: s}
		group.Go(func() error { return s.Vault.create(ctx, options.Audit) })
	}
	if len(s.clusters) > 0 {
		group.Go(func() error {
			if err := s.startEtcd(ctx); err != nil {
				return err
			}
			group, ctx := errgroup.WithContext(ctx)
			for _, c := range s.clusters {
				group.Go(func() error { return c.create(ctx, options.Audit) })
			}
			return group.Wait()
		})
	}
	return group.Wait()
}

func (s *Stack) startEtcd(ctx context.Context) error {
	return withPorts(2, func(ports []int) error {
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
