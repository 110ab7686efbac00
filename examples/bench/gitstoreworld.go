package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/operation"
)

// A storeWorld is a store with one tenant, whose repository git fast-import made.
type storeWorld struct {
	dir, gitDir string
	tenant      gitstore.TenantName
	names       []definition.Name

	store      *gitstore.Store
	repository *gitstore.Repository

	commits, turn atomic.Int64
}

// newStoreWorld makes a repository of so many definitions and commits, each changing one file, and opens it.
func newStoreWorld(ctx context.Context, dir string, definitions, commits int) (*storeWorld, error) {
	tenant, err := gitstore.ParseTenantName("bench")
	if err != nil {
		return nil, err
	}
	w := &storeWorld{dir: dir, tenant: tenant}
	if err := w.nameDefinitions(definitions); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if w.gitDir, err = makeRepository(dir, "bench"); err != nil {
		return nil, err
	}
	if err := fastImport(ctx, w.gitDir, definitions, commits); err != nil {
		return nil, err
	}
	return w, w.open()
}

func (w *storeWorld) nameDefinitions(count int) error {
	for i := range count {
		name, err := definition.ParseName(definitionName(i))
		if err != nil {
			return err
		}
		w.names = append(w.names, name)
	}
	return nil
}

func (w *storeWorld) open() (err error) {
	if w.store, err = gitstore.Open(gitstore.Config{Dir: w.dir, MaxDefinitions: 100_000}); err != nil {
		return err
	}
	if w.repository, err = openRepository(context.Background(), w.store, w.tenant); err != nil {
		return err
	}
	if got := len(w.repository.Snapshot().Entries()); got != len(w.names) {
		return fmt.Errorf("%d definitions, not %d", got, len(w.names))
	}
	return nil
}

func (w *storeWorld) close() {
	if w.store != nil {
		w.store.Close()
		w.store, w.repository = nil, nil
	}
}

// forget removes the cache of the closed store.
func (w *storeWorld) forget() error { return os.RemoveAll(filepath.Join(w.gitDir, "secretsync")) }

// write patches the next definition.
func (w *storeWorld) write(ctx context.Context, worker int) error {
	n := w.turn.Add(1)
	sync, err := someTarget(n)
	if err != nil {
		return err
	}
	_, err = w.repository.Patch(ctx, someone, w.names[int(n)%len(w.names)], operation.Exists(), sync)
	w.commits.Add(1)
	return err
}

func someTarget(n int64) ([]definition.Target, error) {
	cluster, err := definition.ParseClusterName("production")
	if err != nil {
		return nil, err
	}
	namespace, err := definition.ParseNamespace(fmt.Sprintf("written-%d", n))
	return []definition.Target{{Cluster: cluster, Namespace: namespace}}, err
}

// follow moves the branch to commits that are there already, and measures how long the index takes to have them; beside
// it, what the tree diff alone takes with go-git.
func (w *storeWorld) follow(ctx context.Context, rounds int) (floor, ours float64, err error) {
	repository, err := gogit.PlainOpen(w.gitDir)
	if err != nil {
		return 0, 0, err
	}
	bare, err := newBareWriter(w.gitDir)
	if err != nil {
		return 0, 0, err
	}
	var floors, all []float64
	for range rounds {
		old := bare.head
		if err := bare.commit(); err != nil {
			return 0, 0, err
		}
		snapshot := w.repository.Snapshot()
		ref := filepath.Join(w.gitDir, "refs", "heads", "main")
		if err := os.WriteFile(ref+".lock", []byte(bare.head.String()+"\n"), 0o644); err != nil {
			return 0, 0, err
		}
		begun := time.Now()
		if err := os.Rename(ref+".lock", ref); err != nil {
			return 0, 0, err
		}
		for snapshot.Head().String() != bare.head.String() {
			if snapshot, err = w.repository.Wait(ctx, snapshot); err != nil {
				return 0, 0, err
			}
		}
		all = append(all, float64(time.Since(begun).Microseconds())/1000)

		begun = time.Now()
		if err := diffCommits(repository, old, bare.head); err != nil {
			return 0, 0, err
		}
		floors = append(floors, float64(time.Since(begun).Microseconds())/1000)
	}
	return median(floors), median(all), nil
}

func diffCommits(r *gogit.Repository, old, new plumbing.Hash) error {
	var trees [2]*object.Tree
	for i, id := range []plumbing.Hash{old, new} {
		c, err := object.GetCommit(r.Storer, id)
		if err != nil {
			return err
		}
		if trees[i], err = c.Tree(); err != nil {
			return err
		}
	}
	changes, err := object.DiffTree(trees[0], trees[1])
	if err == nil && len(changes) != 1 {
		err = fmt.Errorf("%d changes instead of one", len(changes))
	}
	return err
}

// A bareWriter is the floor of writing: one goroutine that writes blob, trees, commit and reference with go-git, without
// fsync, to a branch of its own.
type bareWriter struct {
	repository *gogit.Repository
	root       []object.TreeEntry
	secrets    []object.TreeEntry
	head       plumbing.Hash
	turn       int64
}

func newBareWriter(gitDir string) (*bareWriter, error) {
	repository, err := gogit.PlainOpen(gitDir)
	if err != nil {
		return nil, err
	}
	main, err := repository.Reference("refs/heads/main", true)
	if err != nil {
		return nil, err
	}
	c, err := repository.CommitObject(main.Hash())
	if err != nil {
		return nil, err
	}
	root, err := c.Tree()
	if err != nil {
		return nil, err
	}
	secrets, err := root.Tree("secrets")
	if err != nil {
		return nil, err
	}
	return &bareWriter{repository: repository, root: root.Entries, secrets: secrets.Entries, head: main.Hash()}, nil
}

func (b *bareWriter) write(context.Context, int) error {
	if err := b.commit(); err != nil {
		return err
	}
	return b.repository.Storer.SetReference(plumbing.NewHashReference("refs/heads/floor", b.head))
}

// commit writes the objects of a commit that changes one file.
func (b *bareWriter) commit() error {
	b.turn++
	n := int(b.turn) % len(b.secrets)
	blob := b.repository.Storer.NewEncodedObject()
	blob.SetType(plumbing.BlobObject)
	w, err := blob.Writer()
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(definitionFile(n, int(b.turn)+1))); err != nil {
		return err
	}
	if b.secrets[n].Hash, err = b.repository.Storer.SetEncodedObject(blob); err != nil {
		return err
	}
	secrets, err := b.store(&object.Tree{Entries: b.secrets})
	if err != nil {
		return err
	}
	for i := range b.root {
		if b.root[i].Name == "secrets" {
			b.root[i] = object.TreeEntry{Name: "secrets", Mode: filemode.Dir, Hash: secrets}
		}
	}
	root, err := b.store(&object.Tree{Entries: b.root})
	if err != nil {
		return err
	}
	who := object.Signature{Name: "Bench", Email: "bench@localhost", When: time.Now()}
	b.head, err = b.store(&object.Commit{
		Author: who, Committer: who, TreeHash: root, ParentHashes: []plumbing.Hash{b.head},
		Message: "Sync " + definitionName(n) + " to 1 target\n\nRequest-Id: bench\nVia: secretsync api\n",
	})
	return err
}

func (b *bareWriter) store(o interface {
	Encode(plumbing.EncodedObject) error
}) (plumbing.Hash, error) {
	encoded := b.repository.Storer.NewEncodedObject()
	if err := o.Encode(encoded); err != nil {
		return plumbing.ZeroHash, err
	}
	return b.repository.Storer.SetEncodedObject(encoded)
}

func definitionName(n int) string { return fmt.Sprintf("definition-%05d", n) }

func definitionFile(n, version int) string {
	return fmt.Sprintf("name: %s\nsecretPath: path/%[1]s\nsync:\n  - cluster: production\n    namespace: version-%d-%d\n", definitionName(n), n, version)
}

// fastImport fills a repository: a commit with all definitions, then so many that change one each.
func fastImport(ctx context.Context, gitDir string, definitions, commits int) error {
	command := exec.CommandContext(ctx, "git", "fast-import", "--quiet")
	command.Dir, command.Stderr = gitDir, os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	out := bufio.NewWriterSize(in, 1<<20)
	now := time.Now().Unix() - int64(commits) - 1
	file := func(n, version int) {
		content := definitionFile(n, version)
		fmt.Fprintf(out, "M 100644 inline secrets/%s.yaml\ndata %d\n%s\n", definitionName(n), len(content), content)
	}
	for i := range commits + 1 {
		message := fmt.Sprintf("Change %d", i)
		fmt.Fprintf(out, "commit refs/heads/main\ncommitter Bench <bench@localhost> %d +0000\ndata %d\n%s\n", now+int64(i), len(message), message)
		if i == 0 {
			for n := range definitions {
				file(n, 0)
			}
			continue
		}
		file((i*7919)%definitions, i)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if err := in.Close(); err != nil {
		return err
	}
	if err := command.Wait(); err != nil {
		return fmt.Errorf("git fast-import: %w", err)
	}
	return nil
}
