package devstack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// Binaries are the paths of the programs that a stack runs. The path of a program that is still being built is empty.
type Binaries struct {
	Root      string // the repository's folder
	APIServer string
	Etcd      string
	Vault     string
	gitea     string
	keeper    string
}

// Versions from which a program found on the machine is used in place of one built here. What is built is pinned in the
// go.mod files of the nested modules, and nowhere else.
const (
	leastAPIServer = "v1.34.0"
	leastEtcd      = "v3.6.0"
)

// A part is one program of a stack.
type part struct {
	path    *string       // where to note its path
	there   chan struct{} // closed when the path is noted
	name    string
	version string // as its module has it: v1.37.2
	least   string // version from which one found on the machine will do; empty: none will
	takes   string // how long a cold build takes on two cores, in words; empty: not worth telling
	module  string // folder of the module it is built in, below the root
	sources string // folder below the root whose files decide whether a build is stale; empty: module
	target  string // package to build
	tags    string // to build it with
	ldflags string
	probe   string // an argument with which the program ends at once, to see that it runs
}

func (p part) String() string {
	return strings.TrimSpace(p.name + " " + strings.TrimPrefix(p.version, "v"))
}

// A supply is what a stack runs.
type supply struct {
	keeper, vault, etcd, apiServer part
	gitea                          part // that is built only for who asks for it
}

// real are the parts that secretsync works with, in the order in which to build them: the largest last, because there is
// something to see without it.
func (s *supply) real() []part { return []part{s.vault, s.etcd, s.apiServer} }

// supply describes the programs, in the versions that the nested modules pin.
func (b *Binaries) supply() (*supply, error) {
	kubernetes, err := pinned(filepath.Join(b.Root, "examples/devstack/kubernetes/go.mod"))
	if err != nil {
		return nil, err
	}
	vault, err := pinned(filepath.Join(b.Root, "examples/devstack/vault/go.mod"))
	if err != nil {
		return nil, err
	}
	gitea, err := pinned(filepath.Join(b.Root, giteaModule, "go.mod"))
	if err != nil {
		return nil, err
	}
	kubeVersion := kubernetes["k8s.io/kubernetes"]
	return &supply{
		keeper: part{
			path: &b.keeper, there: make(chan struct{}), name: "keeper",
			module: ".", sources: "examples/devstack/keeper", target: "./examples/devstack/keeper",
		},
		vault: part{
			path: &b.Vault, there: make(chan struct{}), name: "vault", version: vault["github.com/hashicorp/vault"], takes: "about a minute",
			module: "examples/devstack/vault", target: ".", probe: "-help",
		},
		etcd: part{
			path: &b.Etcd, there: make(chan struct{}), name: "etcd", version: kubernetes["go.etcd.io/etcd/server/v3"],
			least: leastEtcd, takes: "less than a minute",
			module: "examples/devstack/kubernetes", target: "go.etcd.io/etcd/server/v3", probe: "--version",
		},
		apiServer: part{
			path: &b.APIServer, there: make(chan struct{}), name: "kube-apiserver", version: kubeVersion,
			least: leastAPIServer, takes: "about two minutes",
			module: "examples/devstack/kubernetes", target: "k8s.io/kubernetes/cmd/kube-apiserver",
			ldflags: stampKubernetes(kubeVersion), probe: "--version",
		},
		gitea: part{
			path: &b.gitea, there: make(chan struct{}), name: "gitea", version: gitea[giteaPath], takes: "about three minutes",
			module: giteaModule, target: giteaPath, tags: "sqlite", probe: "--version",
		},
	}, nil
}

// is notes the part's path, for all who await it.
func (p part) is(path string) {
	*p.path = path
	close(p.there)
}

// await returns when the part's path is noted.
func (p part) await(ctx context.Context) error { return await(ctx, p.there) }

// stampKubernetes sets the version that the API server tells its clients.
func stampKubernetes(version string) string {
	const pkg = "k8s.io/component-base/version"
	number := strings.Split(strings.TrimPrefix(version, "v"), ".")
	return fmt.Sprintf("-X %s.gitVersion=%s -X %s.gitMajor=%s -X %s.gitMinor=%s", pkg, version, pkg, number[0], pkg, number[1])
}

var versionNumber = regexp.MustCompile(`\d+\.\d+\.\d+`)

// installed returns the program's path and version if the machine has it in a version that suffices, else "".
func (p part) installed(ctx context.Context) (path, version string) {
	if p.least == "" {
		return "", ""
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
		version := string(versionNumber.Find(output))
		if err == nil && semver.Compare("v"+version, p.least) >= 0 {
			return path, version
		}
	}
	return "", ""
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
