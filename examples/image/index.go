package main

import (
	"bytes"
	"encoding/json"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	spec "github.com/opencontainers/image-spec/specs-go/v1"
)

// index is an index written as the image specification's own types write it. Podman and skopeo write an index anew when they copy
// it, by those types: only one that is written so already keeps its digest on the way.
type index struct {
	unwritten // the images
	raw       []byte
}

// unwritten gives v1.ImageIndex, which has a method of its own name, another one to be embedded by.
type unwritten interface{ v1.ImageIndex }

func asSpecified(i v1.ImageIndex) (v1.ImageIndex, error) {
	manifest, err := i.IndexManifest()
	if err != nil {
		return nil, err
	}
	written := spec.Index{MediaType: string(types.OCIImageIndex), Annotations: manifest.Annotations}
	written.SchemaVersion = int(manifest.SchemaVersion)
	for _, m := range manifest.Manifests {
		written.Manifests = append(written.Manifests, spec.Descriptor{
			MediaType: string(m.MediaType), Digest: digest.Digest(m.Digest.String()), Size: m.Size,
			Platform: &spec.Platform{OS: m.Platform.OS, Architecture: m.Platform.Architecture},
		})
	}
	raw, err := json.Marshal(written)
	return index{i, raw}, err
}

func (i index) RawManifest() ([]byte, error) { return i.raw, nil }
func (i index) Size() (int64, error)         { return int64(len(i.raw)), nil }

func (i index) Digest() (v1.Hash, error) {
	hash, _, err := v1.SHA256(bytes.NewReader(i.raw))
	return hash, err
}

func (i index) IndexManifest() (*v1.IndexManifest, error) {
	return v1.ParseIndexManifest(bytes.NewReader(i.raw))
}
