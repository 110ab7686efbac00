package main

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"io"
	"path"
	"slices"
	"strings"
	"time"
)

// entry is a file in an archive, or a folder if its name ends with a slash.
type entry struct {
	Name    string
	Mode    int64
	Owner   int // user and group
	Content []byte
}

// writeTar writes entries, and the folders that they lie in, in one order and with one date.
func writeTar(w io.Writer, date time.Time, entries []entry) error {
	there := make(map[string]entry)
	for _, e := range entries {
		there[e.Name] = e
		for folder := path.Dir(strings.TrimSuffix(e.Name, "/")); folder != "."; folder = path.Dir(folder) {
			if _, ok := there[folder+"/"]; !ok {
				there[folder+"/"] = entry{Name: folder + "/", Mode: 0o755}
			}
		}
	}
	names := make([]string, 0, len(there))
	for name := range there {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(a, b) }) // a folder comes before what is in it
	t := tar.NewWriter(w)
	for _, name := range names {
		e := there[name]
		header := &tar.Header{
			Name: e.Name, Mode: e.Mode, Uid: e.Owner, Gid: e.Owner, Size: int64(len(e.Content)), ModTime: date,
			Typeflag: tar.TypeReg, Format: tar.FormatUSTAR,
		}
		if strings.HasSuffix(name, "/") {
			header.Typeflag = tar.TypeDir
		}
		if err := t.WriteHeader(header); err != nil {
			return err
		}
		if _, err := t.Write(e.Content); err != nil {
			return err
		}
	}
	return t.Close()
}

// writeTarGz does the same, compressed.
func writeTarGz(w io.Writer, date time.Time, entries []entry) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	if err := writeTar(z, date, entries); err != nil {
		return err
	}
	return z.Close()
}
