package main

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
)

// makeArchives makes an archive for each program, with a list of what is in the program beside it, and SHA256SUMS.
func makeArchives(folder *folder, o order, programs []*program, licence []byte) error {
	readme, err := os.ReadFile(filepath.Join(o.root, "README.md"))
	if err != nil {
		return err
	}
	common := []entry{
		{Name: "LICENSE", Mode: 0o644, Content: licence},
		{Name: "README.md", Mode: 0o644, Content: readme},
	}
	if o.docs != "" {
		err := fs.WalkDir(os.DirFS(o.docs), ".", func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			content, err := os.ReadFile(filepath.Join(o.docs, name))
			common = append(common, entry{Name: name, Mode: 0o644, Content: content})
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, p := range programs {
		entries := append(slices.Clone(common),
			entry{Name: "secretsync", Mode: 0o755, Content: p.Content},
			entry{Name: "third-party-licenses.txt", Mode: 0o644, Content: thirdParty(p)})
		for i := range entries {
			entries[i].Name = path.Join(o.file("", p, ""), entries[i].Name) // one folder, which unpacks beside others
		}
		var archive bytes.Buffer
		if err := writeTarGz(&archive, o.Date, entries); err != nil {
			return err
		}
		if err := folder.write(o.file("", p, ".tar.gz"), archive.Bytes()); err != nil {
			return err
		}
		content, err := sbom(o.release, p)
		if err != nil {
			return err
		}
		if err := folder.write(o.file("", p, ".cdx.json"), content); err != nil {
			return err
		}
	}
	return folder.writeSums()
}
