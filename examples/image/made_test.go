package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// The tests look at what the Makefile makes of a checkout's files as they stand, for the platform that the tests run on.

// version is what a commit without a tag is made as.
const version = "v1.2.3"

var scratch string // for all tests, removed when they have ended

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if scratch, err = os.MkdirTemp("", "secretsync-image-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(scratch)
		return m.Run()
	}())
}

// made is the folder of a checkout in which make has made the image and the release, once for all tests.
var made = sync.OnceValues(func() (string, error) {
	folder := filepath.Join(scratch, "here")
	return folder, makeIn(folder)
})

func theMade(t *testing.T) string {
	t.Helper()
	if testing.Short() || runtime.GOOS != "linux" {
		t.Skip("builds programs for Linux, and runs them")
	}
	folder, err := made()
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// makeIn makes a clone of the checkout in a folder that is not there yet, and image and release in it.
func makeIn(folder string, environment ...string) error {
	// The commit has the same bytes wherever it is made, and so the same name.
	script := fmt.Sprintf(`
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' name; do
  [ -e "$name" ] && printf '%%s\0' "$name"
done | tar --create --null --files-from=- --file=- | (mkdir -p %[1]q && tar --extract --file=- --directory %[1]q)
cd %[1]q
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
export GIT_AUTHOR_DATE='2026-03-29T01:59:59+0100' GIT_COMMITTER_DATE='2026-03-29T01:59:59+0100'
git init -q --initial-branch main .
git add --all
git commit -q --message 'All of it'
git tag --annotate %[3]s --message 'A release'
make image release IMAGES=%[2]q RELEASES=%[2]q
`, folder, platform(), version)
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), append([]string{"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1"}, environment...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// commitDate is the date of that commit.
var commitDate = time.Date(2026, 3, 29, 0, 59, 59, 0, time.UTC)

// opened returns the image that make made.
func opened(t *testing.T) v1.ImageIndex {
	t.Helper()
	return openArchive(t, filepath.Join(theMade(t), "bin", "image", "secretsync-image_"+version+".oci.tar"), version)
}

// openArchive unpacks an archive and returns the image in it, which bears the tag.
func openArchive(t *testing.T, archive, tag string) v1.ImageIndex {
	t.Helper()
	folder := t.TempDir()
	if out, err := exec.Command("tar", "--extract", "--file", archive, "--directory", folder).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if mark, err := os.ReadFile(filepath.Join(folder, "oci-layout")); err != nil || !bytes.Contains(mark, []byte(`"imageLayoutVersion": "1.0.0"`)) {
		t.Fatalf("it is no layout: %v, %s", err, mark)
	}
	root, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := root.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 || manifest.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != tag {
		t.Fatalf("the archive holds %v, want one image named %s", manifest.Manifests, tag)
	}
	index, err := root.ImageIndex(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

// contents reads all files below a folder.
func contents(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	err := filepath.WalkDir(folder, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, _ := filepath.Rel(folder, path)
		files[name], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestTheSameCommitMakesTheSameBytesAnywhere(t *testing.T) {
	here := theMade(t)
	there := filepath.Join(scratch, "some", "other", "place", "with-a-longer-name")
	settings := filepath.Join(t.TempDir(), "env") // what go env -w wrote there
	if err := os.WriteFile(settings, []byte("GOFLAGS=-buildvcs=true -tags=of_this_machine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := makeIn(there, "TZ=Pacific/Kiritimati", "LC_ALL=C", "GOFLAGS=", "GOENV="+settings, "GOAMD64=v2", "GOARM64=v8.2", "HOME="+scratch,
		"GOCACHE="+goEnv(t, "GOCACHE"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"), "GOPROXY="+goEnv(t, "GOPROXY")); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"bin/image", "bin/release"} {
		one, other := contents(t, filepath.Join(here, folder)), contents(t, filepath.Join(there, folder))
		if len(one) < 2 || len(one) != len(other) {
			t.Errorf("%s holds %d files, and elsewhere %d", folder, len(one), len(other))
		}
		for name, content := range one {
			if !bytes.Equal(content, other[name]) {
				t.Errorf("%s/%s is not the same elsewhere", folder, name)
			}
			for _, place := range []string{here, scratch} {
				if bytes.Contains(content, []byte(place)) {
					t.Errorf("%s/%s names the folder %s", folder, name, place)
				}
			}
		}
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(out))
}
