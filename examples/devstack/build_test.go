package devstack

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// newTinyBuilder builds a program of one file instead of a kube-apiserver.
func newTinyBuilder(t *testing.T, source string) (*builder, part, *bytes.Buffer) {
	t.Helper()
	root, progress := t.TempDir(), new(bytes.Buffer)
	b := &builder{root: root, cache: filepath.Join(root, "cache"), progress: progress}
	for path, content := range map[string]string{"tiny/go.mod": "module tiny\n\ngo 1.26\n", "tiny/main.go": source} {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, path), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(b.cache, 0o700); err != nil {
		t.Fatal(err)
	}
	return b, part{name: "tiny", version: "v1.0.0", takes: "a moment", module: "tiny", target: ".", probe: "--version"}, progress
}

func TestOnesThatWantAPartAtTheSameTimeBuildItOnce(t *testing.T) {
	b, p, progress := newTinyBuilder(t, "package main\n\nfunc main() {}\n")
	var group errgroup.Group
	paths := make([]string, 3)
	for i := range paths {
		group.Go(func() (err error) {
			paths[i], err = b.ensure(t.Context(), p)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if paths[0] != paths[1] || paths[1] != paths[2] {
		t.Errorf("they got %v; want the same", paths)
	}
	if builds := strings.Count(progress.String(), "building tiny 1.0.0 from source, once, a moment"); builds != 1 {
		t.Errorf("built %d times; want once:\n%s", builds, progress)
	}
}

func TestTheProgressSaysWhatIsLeftAndHowLongItTookLastTime(t *testing.T) {
	b, p, progress := newTinyBuilder(t, "package main\n\nfunc main() {}\n")
	b.keepTime(p, 80*time.Second)
	known, unknown := part{name: "known", takes: "a moment"}, part{name: "unknown", takes: "an hour"}
	b.keepTime(known, 2*time.Minute)
	if _, err := b.ensure(t.Context(), p, known, unknown); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"building tiny 1.0.0 from source, once, 1m20s last time\n",
		"; left: known (2m0s last time), unknown (an hour)\n",
	} {
		if !strings.Contains(progress.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, progress)
		}
	}
	if took := b.lastTime(p); took == 80*time.Second {
		t.Error("the time that it took now isn't kept")
	}
}

func TestAChangedSourceIsBuiltAnew(t *testing.T) {
	b, p, _ := newTinyBuilder(t, "package main\n\nfunc main() {}\n")
	before, err := b.ensure(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.root, "tiny/main.go"), []byte("package main\n\nfunc main() { println() }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if stale, err := b.cached(p); stale != "" || err != nil {
		t.Errorf("%q, %v; want nothing cached for the new source", stale, err)
	}
	if after, err := b.ensure(t.Context(), p); err != nil || after == before {
		t.Errorf("%q, %v; want another file than before", after, err)
	}
}

func TestAFailedBuildIsToldAndNotKept(t *testing.T) {
	for name, c := range map[string]struct{ source, want string }{
		"it does not compile": {"package main\n\nfunc main() { nonsense() }\n", "undefined: nonsense"},
		"it does not run":     {"package main\n\nfunc main() { panic(\"broken on purpose\") }\n", "broken on purpose"},
	} {
		t.Run(name, func(t *testing.T) {
			b, p, _ := newTinyBuilder(t, c.source)
			if _, err := b.ensure(t.Context(), p); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want the cause, %s", err, c.want)
			}
			if path, err := b.cached(p); path != "" || err != nil {
				t.Errorf("%q, %v; want nothing in the cache", path, err)
			}
			if left, _ := filepath.Glob(filepath.Join(b.cache, "building-*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestAProgramOnTheMachineIsUsedWhereItsVersionSuffices(t *testing.T) {
	for version, suffices := range map[string]bool{"v1.33.9": false, leastAPIServer: true, "v1.40.0": true, "unknown": false} {
		assets := t.TempDir()
		path := filepath.Join(assets, "kube-apiserver")
		if err := os.WriteFile(path, fmt.Appendf(nil, "#!/bin/sh\necho Kubernetes %s\n", version), 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv("KUBEBUILDER_ASSETS", assets)
		t.Setenv("PATH", "")
		want := ""
		if suffices {
			want = path
		}
		p := part{name: "kube-apiserver", least: leastAPIServer, probe: "--version"}
		if got, _ := p.installed(t.Context()); got != want {
			t.Errorf("Kubernetes %s: %q; want %q", version, got, want)
		}
	}
}

// Else what the programs have in common would be compiled twice, and nothing but the clock would tell.
func TestTheMakefileBuildsAsTheDevstackDoes(t *testing.T) {
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"LEAN := " + strings.Join(leanEnvironment, " "),
		"LEANFLAGS := " + strings.Join(leanFlags, " "),
	} {
		if !strings.Contains(string(makefile), line+"\n") {
			t.Errorf("the Makefile has no line %q", line)
		}
	}
}

// A module that two of the programs use in different versions is compiled twice, with all that depends on it.
func TestTheModulesAgreeOnTheVersionsOfWhatTheyShare(t *testing.T) {
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	first := make(map[string]string) // versions by module, of the first that has it
	for _, module := range []string{".", "examples/devstack/kubernetes", "examples/devstack/vault"} {
		versions, err := pinned(filepath.Join(root, module, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		for _, shared := range costly {
			version, ok := versions[shared]
			if want := cmp.Or(first[shared], version); ok && version != want {
				t.Errorf("%s has %s %s, another has %s; run: go -C %s get %s@%s", module, shared, version, want, module, shared, want)
			}
			first[shared] = cmp.Or(first[shared], version)
		}
	}
}

// costly are the modules that much is compiled for, or that much depends on.
var costly = []string{
	"github.com/google/gnostic-models", "github.com/prometheus/client_golang", "go.yaml.in/yaml/v3",
	"golang.org/x/net", "golang.org/x/oauth2", "golang.org/x/sys", "golang.org/x/text", "google.golang.org/protobuf",
	"go.opentelemetry.io/otel", "google.golang.org/grpc", "k8s.io/api", "k8s.io/apimachinery", "k8s.io/client-go", "k8s.io/kube-openapi",
}
