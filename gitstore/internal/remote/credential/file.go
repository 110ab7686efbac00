package credential

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"unicode"
	"unicode/utf8"
)

// File is the name of a file. "" is none.
type File string

// maxFile is how much a file may hold. Of those read here a bundle of
// certificates is the largest: that of Debian has 220 KB.
const maxFile = 4 << 20

func (f File) read() (content []byte, info fs.FileInfo, err error) {
	file, err := os.Open(string(f))
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	// Of the open file: the name may be given to another at any moment.
	if info, err = file.Stat(); err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is not a file", f)
	}
	if content, err = io.ReadAll(io.LimitReader(file, maxFile+1)); err != nil {
		return nil, nil, err
	}
	if len(content) > maxFile {
		return nil, nil, fmt.Errorf("%s is larger than %d bytes", f, maxFile)
	}
	return content, info, nil
}

// followed is what files say, read again when one of them is another.
type followed[T any] struct {
	files []File // "" is left out: its content is nil
	parse func(contents [][]byte) (T, error)

	mu    sync.Mutex
	known bool
	seen  []fs.FileInfo // nil for no file
	value T
}

// get returns what the files say; again has them read even if they look the same.
func (f *followed[T]) get(again bool) (T, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known && !again && f.unchanged() {
		return f.value, nil
	}
	f.known = false
	seen, contents := make([]fs.FileInfo, len(f.files)), make([][]byte, len(f.files))
	var none T
	for i, file := range f.files {
		if file == "" {
			continue
		}
		var err error
		if contents[i], seen[i], err = file.read(); err != nil {
			return none, err
		}
	}
	value, err := f.parse(contents)
	if err != nil {
		return none, err
	}
	f.known, f.seen, f.value = true, seen, value
	return value, nil
}

func (f *followed[T]) unchanged() bool {
	for i, file := range f.files {
		if file == "" {
			continue
		}
		info, err := os.Stat(string(file))
		if err != nil || !os.SameFile(info, f.seen[i]) || info.Size() != f.seen[i].Size() || !info.ModTime().Equal(f.seen[i].ModTime()) {
			return false
		}
	}
	return true
}

// Fingerprint tells contents of files apart.
type Fingerprint [sha256.Size]byte

func fingerprint(contents [][]byte) (sum Fingerprint) {
	d := sha256.New()
	for _, content := range contents {
		fmt.Fprintf(d, "%d %t\n", len(content), content == nil)
		d.Write(content)
	}
	d.Sum(sum[:0])
	return sum
}

// parseLine returns the one line that a file of a password holds.
func parseLine(file File, content []byte) (string, error) {
	line := bytes.TrimRight(content, "\r\n")
	switch {
	case len(line) == 0:
		return "", fmt.Errorf("%s is empty", file)
	case len(line) > 16<<10 || !utf8.Valid(line) || bytes.ContainsFunc(line, unicode.IsControl):
		return "", fmt.Errorf("%s must hold one line with a password or token and nothing else", file)
	}
	return string(line), nil
}
