package main

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// user is who the program runs as, a number, so that a cluster can see that it isn't root.
	user       = 65532
	programAt  = "usr/local/bin/secretsync"
	configAt   = "/etc/secretsync/config/secretsync.yaml" // where the chart has it
	dataAt     = "var/lib/secretsync/"
	documents  = "usr/share/doc/secretsync/"
	rootsAt    = "etc/ssl/certs/ca-certificates.crt" // where Go looks first
	annotation = "org.opencontainers.image."
)

// image is the image for all platforms.
type image struct {
	index   v1.ImageIndex
	lists   []list // of what is in it, one for each platform
	archive string // its path
}

// makeImage makes the image for the platforms of the programs, as an archive and a list of what is in it for each platform.
func makeImage(folder *folder, r release, programs []*program, certificates roots, licence []byte) (*image, error) {
	base, err := baseLayer(r, certificates.PEM)
	if err != nil {
		return nil, err
	}
	all := &image{index: mutate.IndexMediaType(empty.Index, types.OCIImageIndex)}
	for _, p := range programs {
		one, err := platformImage(r, p, base, licence)
		if err != nil {
			return nil, fmt.Errorf("the image for %s: %w", p.platform(), err)
		}
		all.index = mutate.AppendManifests(all.index, mutate.IndexAddendum{
			Add: one, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: p.OS, Architecture: p.Architecture}},
		})
		content, err := sbom(r, p, certificates.component())
		if err != nil {
			return nil, err
		}
		if err := folder.write(r.file("image", p, ".cdx.json"), content); err != nil {
			return nil, err
		}
		all.lists = append(all.lists, list{Of: one, Content: content})
	}
	if all.index, err = asSpecified(mutate.Annotations(all.index, labels(r)).(v1.ImageIndex)); err != nil {
		return nil, err
	}
	archive, err := layoutArchive(r, all.index)
	if err != nil {
		return nil, err
	}
	name := r.file("image", nil, ".oci.tar")
	all.archive = filepath.Join(folder.path, name)
	return all, folder.write(name, archive)
}

// explain says by what digest the image is to be deployed, and how it gets to where it is used.
func (i *image) explain(w io.Writer, r release) error {
	digest, err := i.index.Digest()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, `
its digest, in every registry: %s
push it:      make image PUSH=registry.example.com/platform/secretsync:%s
or by skopeo: skopeo copy --all oci-archive:%[3]s docker://registry.example.com/platform/secretsync:%[2]s
try it:       podman load --input %[3]s
`, digest, r.tag(), i.archive)
	return err
}

// baseLayer has what is the same on all platforms: no shell, no library, no other program.
func baseLayer(r release, certificates []byte) (v1.Layer, error) {
	return layer(r, []entry{
		{Name: "etc/passwd", Mode: 0o644, Content: fmt.Appendf(nil, "secretsync:x:%d:%[1]d:secretsync:/%s:/sbin/nologin\n", user, dataAt[:len(dataAt)-1])},
		{Name: "etc/group", Mode: 0o644, Content: fmt.Appendf(nil, "secretsync:x:%d:\n", user)},
		{Name: rootsAt, Mode: 0o644, Content: certificates},
		// The only place to write to, where a volume belongs; one that is made for it takes over the owner. Nothing of the server
		// needs /tmp.
		{Name: dataAt, Mode: 0o700, Owner: user},
	})
}

func platformImage(r release, p *program, base v1.Layer, licence []byte) (v1.Image, error) {
	own, err := layer(r, []entry{
		{Name: programAt, Mode: 0o755, Content: p.Content},
		{Name: documents + "LICENSE", Mode: 0o644, Content: licence},
		{Name: documents + "third-party-licenses.txt", Mode: 0o644, Content: thirdParty(p)},
	})
	if err != nil {
		return nil, err
	}
	when := v1.Time{Time: r.Date}
	made := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	made, err = mutate.Append(made,
		mutate.Addendum{Layer: base, MediaType: types.OCILayer, History: v1.History{Created: when, CreatedBy: "the user, the data folder, certificates"}},
		mutate.Addendum{Layer: own, MediaType: types.OCILayer, History: v1.History{Created: when, CreatedBy: "secretsync " + r.Version}},
	)
	if err != nil {
		return nil, err
	}
	config, err := made.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = p.OS, p.Architecture, when
	config.Config = v1.Config{
		User:       fmt.Sprintf("%d:%[1]d", user),
		Entrypoint: []string{"/" + programAt},
		Cmd:        []string{"serve", "--config", configAt},
		Env:        []string{"PATH=/usr/local/bin", "HOME=/" + dataAt[:len(dataAt)-1]},
		WorkingDir: "/",
		Labels:     labels(r),
	}
	if made, err = mutate.ConfigFile(made, config); err != nil {
		return nil, err
	}
	return mutate.Annotations(made, labels(r)).(v1.Image), nil
}

// labels are those that the image specification names; they are annotations of the manifests and labels of the
// configuration, for not everybody reads the same.
func labels(r release) map[string]string {
	l := map[string]string{
		"title":       "secretsync",
		"description": "Copies secret values from Vault to Kubernetes Secrets as definitions in Git say",
		"version":     r.Version,
		"created":     r.Date.Format(time.RFC3339),
		"licenses":    "Apache-2.0",
	}
	if r.Commit != "" {
		l["revision"] = r.Commit
	}
	full := make(map[string]string)
	for name, value := range l {
		full[annotation+name] = value
	}
	return full
}

func layer(r release, entries []entry) (v1.Layer, error) {
	var content bytes.Buffer
	if err := writeTar(&content, r.Date, entries); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching, tarball.WithCompressionLevel(6))
}
