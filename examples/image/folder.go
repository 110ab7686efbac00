package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// folder is where files go, and which have gone there.
type folder struct {
	path    string
	written []file
}

type file struct {
	Name string
	Sum  [sha256.Size]byte
	Size int
}

// newFolder makes the folder and removes what an earlier version left there, for who uploads all that it holds.
func newFolder(path string) (*folder, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Type().IsRegular() && (strings.HasPrefix(e.Name(), "secretsync") || e.Name() == "SHA256SUMS") {
			if err := os.Remove(filepath.Join(path, e.Name())); err != nil {
				return nil, err
			}
		}
	}
	return &folder{path: path}, nil
}

func (f *folder) write(name string, content []byte) error {
	f.written = append(f.written, file{Name: name, Sum: sha256.Sum256(content), Size: len(content)})
	return os.WriteFile(filepath.Join(f.path, name), content, 0o644)
}

// writeSums writes SHA256SUMS, which sha256sum --check reads.
func (f *folder) writeSums() error {
	slices.SortFunc(f.written, func(a, b file) int { return strings.Compare(a.Name, b.Name) })
	var sums bytes.Buffer
	for _, w := range f.written {
		fmt.Fprintf(&sums, "%x  %s\n", w.Sum, w.Name)
	}
	return f.write("SHA256SUMS", sums.Bytes())
}

// report says what was written.
func (f *folder) report(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "in %s:\n", f.path); err != nil {
		return err
	}
	for _, file := range f.written {
		if _, err := fmt.Fprintf(w, "%x  %s, %.1f MB\n", file.Sum, file.Name, float64(file.Size)/1e6); err != nil {
			return err
		}
	}
	return nil
}
