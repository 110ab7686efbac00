package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func init() { register("hook-to-copy", hookToCopy) }

const hookSecret = "the benchmark is hooked"

// hookToCopy: a commit is in a remote repository, and a forge tells of it.
func hookToCopy(ctx context.Context, env *Env) ([]Result, error) {
	var remote *gitServer
	defer func() {
		if remote != nil {
			remote.Close()
		}
	}()
	options := fleetOptions{definitions: 100, targets: 1, namespaces: 10, clusters: []string{"production"}}
	options.prepare = func(ctx context.Context, f *fleet) (err error) {
		remote, err = f.moveToRemote(ctx)
		return err
	}
	return withServer(ctx, env, 5*time.Minute, options, func(ctx context.Context, f *fleet, server *server) ([]Result, error) {
		return f.hookedCopies(ctx, server, remote)
	})
}

// hookedCopies measures ours and the floor in turn.
func (f *fleet) hookedCopies(ctx context.Context, server *server, remote *gitServer) ([]Result, error) {
	counter, err := f.count(ctx)
	if err != nil {
		return nil, err
	}
	defer counter.close()
	clone := filepath.Join(f.dir, "clone.git")
	if err := git(ctx, f.dir, "clone", "-q", "--bare", remote.URL+"/bench.git", clone); err != nil {
		return nil, err
	}
	var floors, ours []float64
	for i := range 100 {
		if _, err := f.commit(remote, fmt.Sprintf("floor-%d", i), i); err != nil {
			return nil, err
		}
		begun := time.Now()
		if err := git(ctx, clone, "fetch", "-q", "origin", "main"); err != nil {
			return nil, err
		}
		fetched := time.Since(begun)
		wrote, err := f.bareWrite(ctx, counter, i)
		if err != nil {
			return nil, fmt.Errorf("the floor: %w", err)
		}
		floors = append(floors, (fetched+wrote).Seconds()*1000)

		place, err := f.commit(remote, fmt.Sprintf("hooked-%d", i), i)
		if err != nil {
			return nil, err
		}
		begun = time.Now()
		if err := f.deliver(ctx, server); err != nil {
			return nil, err
		}
		took, err := counter.since(ctx, begun, place)
		if err != nil {
			return nil, err
		}
		ours = append(ours, took.Seconds()*1000)
	}
	return []Result{{Name: "hook-to-copy", Value: median(ours), Floor: median(floors), Unit: "ms",
		Note: "p50 from a webhook until a watch shows the Secret, git http-backend on loopback; floor: stock git fetch, then a bare Vault read plus Secret write until the same watch shows it"}}, nil
}

// moveToRemote has the fleet's repository served by stock git, and its server told by webhook alone.
func (f *fleet) moveToRemote(ctx context.Context) (*gitServer, error) {
	served := filepath.Join(f.dir, "served")
	if err := os.Mkdir(served, 0o700); err != nil {
		return nil, err
	}
	if err := os.Rename(filepath.Join(f.dir, "data", "repositories", f.name+".git"), filepath.Join(served, "served.git")); err != nil {
		return nil, err
	}
	remote, err := serveGit(ctx, served)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(f.dir, "config.yaml")
	config, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block := fmt.Sprintf("  %s:\n    repository: {url: %q, pollInterval: 1h, webhook: {kind: generic, secretFile: hook}}\n", f.name, remote.URL+"/bench.git")
	for name, content := range map[string]string{path: strings.Replace(string(config), "  "+f.name+":\n", block, 1), filepath.Join(f.dir, "hook"): hookSecret} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	return remote, nil
}

// commit adds a definition with value i to the remote repository, and returns where its Secret will be.
func (f *fleet) commit(remote *gitServer, name string, i int) (place string, err error) {
	namespace := f.namespace(1)
	content := fmt.Sprintf("name: %s\nsecretPath: %s\nsync:\n  - cluster: production\n    namespace: %s\n", name, f.names[i%len(f.names)], namespace)
	err = importCommits(remote.gitDir, strings.NewReader(fmt.Sprintf(
		"commit refs/heads/main\ncommitter Bench <bench@example.org> %d +0000\ndata 3\nadd\nfrom refs/heads/main^0\nM 100644 inline secrets/%s.yaml\ndata %d\n%s\n",
		time.Now().Unix(), name, len(content), content)))
	return "production/" + namespace + "/" + name, err
}

// deliver tells the server as a forge does.
func (f *fleet) deliver(ctx context.Context, s *server) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/hooks/git/"+f.name, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+hookSecret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		return fmt.Errorf("the webhook: %s", response.Status)
	}
	return nil
}
