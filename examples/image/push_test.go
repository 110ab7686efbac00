package main

import (
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func TestAPushedImageIsTheArchivesAndLeadsToWhatIsInIt(t *testing.T) {
	want, err := opened(t).Digest()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	to := strings.TrimPrefix(server.URL, "http://") + "/platform/secretsync:" + version

	commit, err := theImage(t).ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"image", "-version", version, "-commit", commit.Config.Labels["org.opencontainers.image.revision"],
		"-date", "2026-03-29T00:59:59Z", "-out", t.TempDir(), "-push", to, filepath.Join(theMade(t), "bin/platforms", platform(), "secretsync")}
	var said bytes.Buffer
	if err := run(t.Context(), args, &said, io.Discard); err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(to)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	if got, err := index.Digest(); err != nil || got != want || !strings.Contains(said.String(), "pushed "+to+"@"+want.String()) {
		t.Errorf("pushed is %s, %v; the archive holds %s; said was:\n%s", got, err, want, &said)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	about, err := remote.Referrers(ref.Context().Digest(manifest.Manifests[0].Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	referrers, err := about.IndexManifest()
	if err != nil || len(referrers.Manifests) != 1 || referrers.Manifests[0].ArtifactType != sbomType {
		t.Fatalf("%v, %+v", err, referrers)
	}
	artifact, err := remote.Image(ref.Context().Digest(referrers.Manifests[0].Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := artifact.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%v, %d layers", err, len(layers))
	}
	list, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	got, err := io.ReadAll(list)
	if err != nil {
		t.Fatal(err)
	}
	beside, err := os.ReadFile(listPath(t, "image"))
	if err != nil || !bytes.Equal(got, beside) {
		t.Errorf("%v; what the registry has is not what lies beside the archive", err)
	}
}

func TestARegistryThatIsAwayIsSaid(t *testing.T) {
	i := &image{index: opened(t)}
	err := i.push(t.Context(), freeAddress(t)+"/secretsync:v1", io.Discard)
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("%v", err)
	}
	if err := i.push(t.Context(), "Not A Name", io.Discard); err == nil || !strings.Contains(err.Error(), "-push") {
		t.Errorf("%v", err)
	}
}
