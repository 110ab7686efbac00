package main

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	spec "github.com/opencontainers/image-spec/specs-go/v1"
)

func platform() string { return "linux/" + runtime.GOARCH }

// theImage returns the image for the platform that the tests run on.
func theImage(t *testing.T) v1.Image {
	t.Helper()
	index := opened(t)
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 || manifest.Manifests[0].Platform.String() != platform() {
		t.Fatalf("the image is for %v", manifest.Manifests)
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestTheArchiveIsAValidImage(t *testing.T) {
	index := opened(t)
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	config, err := theImage(t).ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	for where, l := range map[string]map[string]string{"the index": manifest.Annotations, "the configuration": config.Config.Labels} {
		if l["org.opencontainers.image.version"] != version || len(l["org.opencontainers.image.revision"]) != 40 ||
			l["org.opencontainers.image.created"] != commitDate.Format(time.RFC3339) || l["org.opencontainers.image.licenses"] != "Apache-2.0" {
			t.Errorf("%s has %v", where, l)
		}
	}
	if !config.Created.Equal(commitDate) {
		t.Errorf("created %v, want the date of the commit", config.Created)
	}
}

func TestAnImageForTwoPlatformsSharesWhatIsTheSame(t *testing.T) {
	from, err := findSources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	certificates, err := trustedRoots(from)
	if err != nil {
		t.Fatal(err)
	}
	out, err := newFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	programs := []*program{
		{OS: "linux", Architecture: "amd64", Content: []byte("one")},
		{OS: "linux", Architecture: "arm64", Content: []byte("other")},
	}
	both, err := makeImage(out, release{Version: "v1+exp", Date: commitDate}, programs, certificates, []byte("licence"))
	if err != nil {
		t.Fatal(err)
	}
	index := openArchive(t, both.archive, "v1_exp")
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	// What podman and skopeo do with it on the way, which must not give it another digest.
	raw, err := index.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	var read spec.Index
	if err := json.Unmarshal(raw, &read); err != nil {
		t.Fatal(err)
	}
	if again, err := json.Marshal(read); err != nil || !bytes.Equal(again, raw) {
		t.Errorf("%v; written anew it is\n%s\nand was\n%s", err, again, raw)
	}
	layers := make(map[v1.Hash]int)
	for i, p := range programs {
		d := manifest.Manifests[i]
		if d.Platform.String() != p.platform() {
			t.Errorf("image %d is for %v", i, d.Platform)
		}
		one, err := index.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		config, err := one.ConfigFile()
		if err != nil || config.OS+"/"+config.Architecture != p.platform() {
			t.Errorf("image %d is configured for %+v, %v", i, config, err)
		}
		of, err := one.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range of.Layers {
			layers[l.Digest]++
		}
	}
	if len(manifest.Manifests) != 2 || len(layers) != 3 {
		t.Errorf("%d images of %d layers", len(manifest.Manifests), len(layers))
	}
}

func TestTheImageRunsOneProgramAsNobodyInParticular(t *testing.T) {
	image := theImage(t)
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if c := config.Config; c.User != "65532:65532" || !slices.Equal(c.Entrypoint, []string{"/usr/local/bin/secretsync"}) || c.Cmd[0] != "serve" {
		t.Errorf("user %q, entrypoint %q, arguments %q", c.User, c.Entrypoint, c.Cmd)
	}
	var executable []string
	layers := mutate.Extract(image)
	defer layers.Close()
	for archive := tar.NewReader(layers); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !header.ModTime.Equal(commitDate) {
			t.Errorf("%s is of %v", header.Name, header.ModTime)
		}
		if header.Mode&^0o755 != 0 {
			t.Errorf("%s has the mode %o", header.Name, header.Mode)
		}
		if own := header.Uid != 0 || header.Gid != 0; own != (header.Name == "var/lib/secretsync/" || header.Name == "var/lib/secretsync") {
			t.Errorf("%s belongs to %d:%d", header.Name, header.Uid, header.Gid)
		}
		switch {
		case header.Typeflag == tar.TypeReg && header.Mode&0o111 != 0:
			executable = append(executable, header.Name)
		case header.Name == "etc/ssl/certs/ca-certificates.crt":
			content, err := io.ReadAll(archive)
			if err != nil {
				t.Fatal(err)
			}
			checkRoots(t, content)
		}
	}
	if !slices.Equal(executable, []string{"usr/local/bin/secretsync"}) {
		t.Errorf("executable are %v", executable)
	}
}

func checkRoots(t *testing.T, content []byte) {
	t.Helper()
	names := make(map[string]bool)
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		names[root.Subject.CommonName] = true
	}
	if len(names) < 80 || !names["ISRG Root X1"] {
		t.Errorf("%d authorities are trusted, Let's Encrypt: %v", len(names), names["ISRG Root X1"])
	}
}

// unpacked returns a folder with all that is in the image.
func unpacked(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	layers := mutate.Extract(theImage(t))
	defer layers.Close()
	cmd := exec.Command("tar", "--extract", "--numeric-owner", "--same-permissions", "--file=-", "--directory", folder)
	cmd.Stdin = layers
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return folder
}

func TestTheProgramOfTheImageSaysItsVersion(t *testing.T) {
	out, err := exec.Command(filepath.Join(unpacked(t), programAt), "version").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if want := "secretsync " + version + " (commit "; !strings.HasPrefix(string(out), want) ||
		!strings.Contains(string(out), " of 2026-03-29T00:59:59Z, "+runtime.Version()+", "+platform()+")") {
		t.Errorf("it says %q", out)
	}
}

// The server starts as an engine would start it: the image as its root, read-only, with a volume at the data folder and the
// configuration mounted, as the image's user without any capability.
func TestTheServerStartsOnAReadOnlyRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounts need root")
	}
	if out, err := exec.Command("unshare", "--mount", "true").CombinedOutput(); err != nil {
		t.Skipf("no mounts here: %v %s", err, out)
	}
	root, data, config, address := unpacked(t), t.TempDir(), t.TempDir(), freeAddress(t)
	if err := errors.Join(
		os.Chmod(root, 0o755), os.Chown(data, user, user), os.Chmod(config, 0o755),
		// As engines make the places of mounts.
		os.MkdirAll(filepath.Join(root, "etc/secretsync/config"), 0o755), os.Mkdir(filepath.Join(root, "proc"), 0o755),
		os.WriteFile(filepath.Join(config, "secretsync.yaml"), []byte("listen: "+address+"\ndataDir: /var/lib/secretsync\n"), 0o644),
	); err != nil {
		t.Fatal(err)
	}
	image, err := theImage(t).ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if len(image.Config.Env) != 2 {
		t.Fatalf("the environment is %q", image.Config.Env)
	}
	cmd := exec.Command("unshare", append([]string{"--mount", "--pid", "--fork", "bash", "-euc", `
mount --bind "$1" "$1"
mount --bind "$2" "$1/var/lib/secretsync"
mount --bind "$3" "$1/etc/secretsync/config"
mount -t proc proc "$1/proc"
mount -o remount,bind,ro "$1"
mount -o remount,bind,ro "$1/etc/secretsync/config"
! touch "$1/etc/written" "$1/etc/secretsync/config/written" 2>/dev/null
exec setpriv --no-new-privs env -i "${@:5:2}" "$(command -v chroot)" --userspec="$4" "$1" "${@:7}"
`, "start", root, data, config, image.Config.User},
		slices.Concat(image.Config.Env, image.Config.Entrypoint, image.Config.Cmd)...)...)
	// The server outlives unshare, for it has another user: the whole group is ended.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	status, err := 0, error(nil)
	for poll := time.NewTicker(20 * time.Millisecond); status != http.StatusOK && err == nil; {
		select {
		case err = <-ended:
			t.Errorf("it ended: %v", err)
			err = errors.Join(errors.New("ended"), err)
		case <-poll.C:
			if answer, err := http.Get("http://" + address + "/healthz"); err == nil {
				answer.Body.Close()
				status = answer.StatusCode
			}
		}
	}
	if err == nil {
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		<-ended
	}
	if t.Failed() {
		t.Fatal(log.String())
	}
	if entries, err := os.ReadDir(data); err != nil || len(entries) < 2 {
		t.Errorf("the data folder holds %v, %v", entries, err)
	}
	if entries := contents(t, filepath.Join(root, "etc")); len(entries) != 3 {
		t.Errorf("etc holds %d files", len(entries))
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
