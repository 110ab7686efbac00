package devstack

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// Build returns the stack's programs: those found on the machine (KUBEBUILDER_ASSETS, then PATH) whose version suffices,
// else those of the cache under .cache/devstack in the repository, which it fills by building from source what isn't
// there; of a forge as well if that is wanted. Processes that run at the same time build each part once; the others wait. What it does that takes long it says
// on progress, a line at a time; nil is silence.
func Build(ctx context.Context, progress io.Writer, forge bool) (*Binaries, error) {
	b, err := newBuilder(progress)
	if err != nil {
		return nil, fmt.Errorf("devstack: %w", err)
	}
	binaries := &Binaries{Root: b.root}
	supply, err := binaries.supply()
	if err != nil {
		return nil, fmt.Errorf("devstack: %w", err)
	}
	parts := append(supply.real(), supply.keeper)
	if forge {
		parts = append(parts, supply.gitea)
	}
	if err := b.provide(ctx, parts...); err != nil {
		return nil, fmt.Errorf("devstack: %w", err)
	}
	return binaries, nil
}

// How all programs are built here, and by those commands of the Makefile that precede a build here: with the same flags and
// without cgo, so that what several of them have in common, such as the clients of Kubernetes, is compiled once; without
// what only a debugger reads; and by a compiler that collects its garbage less often, for which it takes half a gigabyte.
var (
	leanFlags       = []string{"-trimpath", "-gcflags=all=-dwarf=false"}
	leanEnvironment = []string{"CGO_ENABLED=0", "GOGC=400"}
)

type builder struct {
	root, cache string
	mu          sync.Mutex // one line of progress at a time
	progress    io.Writer
}

func newBuilder(progress io.Writer) (*builder, error) {
	root, err := findRoot()
	if err != nil {
		return nil, err
	}
	b := &builder{root: root, cache: filepath.Join(root, ".cache", "devstack"), progress: progress}
	return b, os.MkdirAll(b.cache, 0o755)
}

// provide notes the paths of the parts and builds those that aren't there.
func (b *builder) provide(ctx context.Context, parts ...part) error {
	missing, err := b.missing(ctx, parts...)
	if err != nil {
		return err
	}
	return b.build(ctx, missing)
}

// missing notes the paths of the parts that are on the machine or in the cache, and returns the others.
func (b *builder) missing(ctx context.Context, parts ...part) ([]part, error) {
	var missing []part
	for _, p := range parts {
		if path, version := p.installed(ctx); path != "" {
			b.say("%s %s of this machine is used: %s", p.name, version, path)
			p.is(path)
			continue
		}
		path, err := b.cached(p)
		switch {
		case err != nil:
			return nil, err
		case path != "":
			p.is(path)
		default:
			missing = append(missing, p)
		}
	}
	if list := b.list(missing); list != "" {
		b.say("to be built from source, once: %s", list)
	}
	return missing, nil
}

// build builds the parts, one after the other, and notes the path of each as soon as it is there.
func (b *builder) build(ctx context.Context, missing []part) error {
	fetched := b.fetchAhead(ctx, missing)
	defer fetched()
	for i, p := range missing {
		path, err := b.ensure(ctx, p, missing[i+1:]...)
		if err != nil {
			return fmt.Errorf("building %s: %w", p.name, err)
		}
		p.is(path)
	}
	return nil
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

// ensure builds the part, unless somebody else was quicker, and returns its path in the cache. What is left to build after it
// is for the progress only.
func (b *builder) ensure(ctx context.Context, p part, left ...part) (string, error) {
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
	if err := b.compile(ctx, p, made, left); err != nil {
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
	fmt.Fprintln(hash, runtime.GOOS, runtime.GOARCH, leanFlags, p.target, p.ldflags, p.tags)
	sources := os.DirFS(filepath.Join(b.root, cmp.Or(p.sources, p.module)))
	err := fs.WalkDir(sources, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(sources, path)
		fmt.Fprintln(hash, path, len(content))
		hash.Write(content)
		return err
	})
	name := p.name
	if p.version != "" {
		name += "-" + strings.TrimPrefix(p.version, "v")
	}
	return fmt.Sprintf("%s-%x", name, hash.Sum(nil)[:6]), err
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

func (b *builder) compile(ctx context.Context, p part, output string, left []part) error {
	built := b.building(ctx, p, left)
	defer built(false)
	args := append([]string{"build"}, leanFlags...)
	build := b.goCommand(ctx, p, append(args, "-tags", p.tags, "-ldflags", "-s -w "+p.ldflags, "-o", output, p.target)...)
	var log bytes.Buffer
	build.Stdout, build.Stderr = &log, &log
	if err := build.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("go build %s in %s: %w\n%s", p.target, p.module, err, tail(log.String(), 30))
	}
	built(true)
	return nil
}

func (b *builder) goCommand(ctx context.Context, p part, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = filepath.Join(b.root, p.module)
	command.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly -buildvcs=false")
	command.Env = append(command.Env, leanEnvironment...)
	command.WaitDelay = 5 * time.Second // a killed go command leaves children behind that hold its output open
	return command
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
