package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// layoutArchive returns an OCI image layout as one tar file, with the image under the version as its name.
func layoutArchive(r release, all v1.ImageIndex) ([]byte, error) {
	names := map[string]string{
		annotation + "ref.name":    r.tag(),
		"io.containerd.image.name": "docker.io/library/secretsync:" + r.tag(), // what containerd and Docker call it after loading
	}
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex),
		mutate.IndexAddendum{Add: all, Descriptor: v1.Descriptor{Annotations: names}})
	folder, err := os.MkdirTemp("", "image-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	if _, err := layout.Write(folder, index); err != nil {
		return nil, err
	}
	var entries []entry
	err = filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		entries = append(entries, entry{Name: filepath.ToSlash(name), Mode: 0o644, Content: content})
		return err
	})
	if err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	err = writeTar(&archive, r.Date, entries)
	return archive.Bytes(), err
}
