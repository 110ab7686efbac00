package devstack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// Binaries are the paths of the programs that a stack runs.
type Binaries struct {
	Root      string // the repository's folder
	APIServer string
	Etcd      string
	Vault     string
	keeper    string
}

// Versions from which a program found on the machine is used in place of one built here. What is built is pinned in the
// go.mod files of the nested modules, and nowhere else.
const (
	leastAPIServer = "v1.34.0"
	leastEtcd      = "v3.6.0"
)

// Build returns the stack's programs: those found on the machine (KUBEBUILDER_ASSETS, then PATH) whose version suffices,
// else those of the cache under .cache/devstack in the repository, which it fills by building from source what isn't
// there. Processes that run at the same time build each part once; the others wait. What it does that takes long it says
// on progress, a line at a time; nil is silence.
func Build(ctx context.Context, progress io.Writer) (*Binaries, error) {
	root, err := findRoot()
	if err != nil {
		return nil, err
	}
	b := builder{root: root, cache: filepath.Join(root, ".cache", "devstack"), progress: progress}
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return nil, fmt.Errorf("devstack: %w", err)
	}
	binaries := &Binaries{Root: root}
	parts, err := binaries.parts()
	if err != nil {
		return nil, err
	}
	var missing []part
	for _, p := range parts {
		if *p.path = p.installed(ctx); *p.path != "" {
			continue
		}
		if *p.path, err = b.cached(p); err != nil {
			return nil, fmt.Errorf("devstack: %w", err)
		}
		if *p.path == "" {
			missing = append(missing, p)
		}
	}
	fetched := b.fetchAhead(ctx, missing)
	defer fetched()
	for _, p := range missing {
		if *p.path, err = b.ensure(ctx, p); err != nil {
			return nil, fmt.Errorf("devstack: building %s: %w", p.name, err)
		}
	}
	return binaries, nil
}

// parts lists what a stack runs, in the versions that the nested modules pin.
func (b *Binaries) parts() ([]part, error) {
	kubernetes, err := pinned(filepath.Join(b.Root, "examples/devstack/kubernetes/go.mod"))
	if err != nil {
		return nil, err
	}
	vault, err := pinned(filepath.Join(b.Root, "examples/devstack/vault/go.mod"))
	if err != nil {
		return nil, err
	}
	kubeVersion := kubernetes["k8s.io/kubernetes"]
	return []part{
		{
			path: &b.keeper, name: "keeper",
			module: ".", sources: "examples/devstack/keeper", target: "./examples/devstack/keeper",
		}, {
			path: &b.APIServer, name: "kube-apiserver", version: kubeVersion, least: leastAPIServer, takes: "about 4 minutes",
			module: "examples/devstack/kubernetes", target: "k8s.io/kubernetes/cmd/kube-apiserver",
			ldflags: stampKubernetes(kubeVersion), probe: "--version",
		}, {
			path: &b.Etcd, name: "etcd", version: kubernetes["go.etcd.io/etcd/server/v3"], least: leastEtcd, takes: "less than a minute",
			module: "examples/devstack/kubernetes", target: "go.etcd.io/etcd/server/v3", probe: "--version",
		}, {
			path: &b.Vault, name: "vault", version: vault["github.com/hashicorp/vault"], takes: "about 3 minutes",
			module: "examples/devstack/vault", target: ".", probe: "-help",
		},
	}, nil
}

// A part is one program to build.
type part struct {
	path    *string // where to note its path
	name    string
	version string // as its module has it: v1.37.2
	least   string // version from which one found on the machine will do; empty: none will
	takes   string // how long a cold build takes, in words; empty: not worth telling
	module  string // folder of the module it is built in, below the root
	sources string // folder below the root whose files decide whether a build is stale; empty: module
	target  string // package to build
	ldflags string
	probe   string // an argument with which the program ends at once, to see that it runs
}

// stampKubernetes sets the version that the API server tells its clients.
func stampKubernetes(version string) string {
	const pkg = "k8s.io/component-base/version"
	number := strings.Split(strings.TrimPrefix(version, "v"), ".")
	return fmt.Sprintf("-X %s.gitVersion=%s -X %s.gitMajor=%s -X %s.gitMinor=%s", pkg, version, pkg, number[0], pkg, number[1])
}

var versionNumber = regexp.MustCompile(`\d+\.\d+\.\d+`)

// installed returns the program's path if the machine has it in a version that suffices, else "".
func (p part) installed(ctx context.Context) string {
	if p.least == "" {
		return ""
	}
	var candidates []string
	if assets := os.Getenv("KUBEBUILDER_ASSETS"); assets != "" {
		candidates = append(candidates, filepath.Join(assets, p.name))
	}
	if path, err := exec.LookPath(p.name); err == nil {
		candidates = append(candidates, path)
	}
	for _, path := range candidates {
		output, err := exec.CommandContext(ctx, path, p.probe).Output()
		if err == nil && semver.Compare("v"+string(versionNumber.Find(output)), p.least) >= 0 {
			return path
		}
	}
	return ""
}

type builder struct {
	root, cache string
	mu          sync.Mutex // one line of progress at a time
	progress    io.Writer
}

func (b *builder) say(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.progress != nil {
		fmt.Fprintf(b.progress, "devstack: "+format+"\n", args...)
	}
}

// fetchAhead downloads the modules of the later parts while the first one is compiled; go build would do it one after the
// other. It only saves time, so failures are left for go build to tell. The caller calls done.
func (b *builder) fetchAhead(ctx context.Context, missing []part) (done func()) {
	ctx, cancel := context.WithCancel(ctx)
	var fetching sync.WaitGroup
	for _, p := range missing[min(1, len(missing)):] {
		fetching.Go(func() { b.goCommand(ctx, p, "list", "-deps", p.target).Run() })
	}
	return func() {
		cancel()
		fetching.Wait()
	}
}

// cached returns the path of the part in the cache, "" if it isn't there. A file with the final name is whole and was seen to
// run: it gets its name by a rename, last of all.
func (b *builder) cached(p part) (string, error) {
	key, err := b.key(p)
	if err != nil {
		return "", err
	}
	path := filepath.Join(b.cache, key)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	return path, nil
}

// ensure builds the part, unless somebody else was quicker, and returns its path in the cache.
func (b *builder) ensure(ctx context.Context, p part) (string, error) {
	unlock, err := b.lock(ctx, p)
	if err != nil {
		return "", err
	}
	defer unlock()
	if path, err := b.cached(p); path != "" || err != nil {
		return path, err
	}
	key, err := b.key(p)
	if err != nil {
		return "", err
	}
	final := filepath.Join(b.cache, key)
	scratch, err := os.MkdirTemp(b.cache, "building-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	made := filepath.Join(scratch, p.name)
	if err := b.compile(ctx, p, made); err != nil {
		return "", err
	}
	if p.probe != "" {
		if output, err := exec.CommandContext(ctx, made, p.probe).CombinedOutput(); err != nil {
			return "", fmt.Errorf("it was built but does not run: %w\n%s", err, output)
		}
	}
	return final, os.Rename(made, final)
}

// key names a build by everything that goes into it.
func (b *builder) key(p part) (string, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, runtime.GOOS, runtime.GOARCH, p.target, p.ldflags)
	sources := p.module
	if p.sources != "" {
		sources = p.sources
	}
	files, err := os.ReadDir(filepath.Join(b.root, sources))
	if err != nil {
		return "", err
	}
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(b.root, sources, file.Name()))
		if err != nil {
			return "", err
		}
		fmt.Fprintln(hash, file.Name(), len(content))
		hash.Write(content)
	}
	name := p.name
	if p.version != "" {
		name += "-" + strings.TrimPrefix(p.version, "v")
	}
	return fmt.Sprintf("%s-%x", name, hash.Sum(nil)[:6]), nil
}

// lock keeps others that want the same part waiting until it is released.
func (b *builder) lock(ctx context.Context, p part) (unlock func(), err error) {
	type result struct {
		unlock func()
		err    error
	}
	locked := make(chan result, 1)
	go func() {
		unlock, err := lockedfile.MutexAt(filepath.Join(b.cache, p.name+".lock")).Lock()
		locked <- result{unlock, err}
	}()
	wait := time.NewTimer(time.Second)
	defer wait.Stop()
	for {
		select {
		case r := <-locked:
			return r.unlock, r.err
		case <-wait.C:
			b.say("waiting for another process that is building %s", p.name)
		case <-ctx.Done():
			go func() { // the lock may still come; it must not stay
				if r := <-locked; r.err == nil {
					r.unlock()
				}
			}()
			return nil, ctx.Err()
		}
	}
}

func (b *builder) compile(ctx context.Context, p part, output string) error {
	started := time.Now()
	if p.takes != "" {
		b.say("building %s %s from source, once, %s", p.name, strings.TrimPrefix(p.version, "v"), p.takes)
		ticking, stop := context.WithCancel(ctx)
		ticked := make(chan struct{})
		go func() {
			defer close(ticked)
			b.tick(ticking, p, started)
		}()
		defer func() { stop(); <-ticked }()
	}
	build := b.goCommand(ctx, p, "build", "-trimpath", "-ldflags", "-s -w "+p.ldflags, "-o", output, p.target)
	var log bytes.Buffer
	build.Stdout, build.Stderr = &log, &log
	if err := build.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("go build %s in %s: %w\n%s", p.target, p.module, err, tail(log.String(), 30))
	}
	if p.takes != "" {
		b.say("built %s in %s", p.name, time.Since(started).Round(time.Second))
	}
	return nil
}

func (b *builder) goCommand(ctx context.Context, p part, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = filepath.Join(b.root, p.module)
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly -buildvcs=false")
	command.WaitDelay = 5 * time.Second // a killed go command leaves children behind that hold its output open
	return command
}

func (b *builder) tick(ctx context.Context, p part, started time.Time) {
	ticker := time.NewTicker(15 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			b.say("  %s: %s so far", p.name, time.Since(started).Round(time.Second))
		case <-ctx.Done():
			return
		}
	}
}

// pinned reads the versions that a go.mod requires.
func pinned(path string) (map[string]string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("devstack: %w", err)
	}
	file, err := modfile.Parse(path, content, nil)
	if err != nil {
		return nil, fmt.Errorf("devstack: %w", err)
	}
	versions := make(map[string]string)
	for _, require := range file.Require {
		versions[require.Mod.Path] = require.Mod.Version
	}
	return versions, nil
}

// findRoot returns the folder of the repository that the working directory lies in.
func findRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("devstack: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && modfile.ModulePath(content) == "secretsync" {
			return dir, nil
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("devstack: %w", err)
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("devstack: %s is not inside the secretsync repository; run it from there", start)
		}
	}
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
