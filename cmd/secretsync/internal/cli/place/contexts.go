package place

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A file of contexts holds keys, so nobody but its owner may read it: it is written with
// mode 0600, as a whole or not at all, and one that others can read is refused until its
// owner has put that right.

// Context is one way to a server: a name, its URL, the tenant and the key.
type Context struct {
	Name   string `yaml:"name"`
	URL    string `yaml:"url"`
	Tenant string `yaml:"tenant"`
	Key    string `yaml:"key"`
}

// File is what the file holds.
type File struct {
	Current  string    `yaml:"current,omitempty"` // the name of the one in use
	Contexts []Context `yaml:"contexts"`

	path string
}

// mostOfFile bounds what is read of it.
const mostOfFile = 1 << 20

// Path returns where the file is: secretsync/contexts.yaml in XDG_CONFIG_HOME or what
// stands in for that.
func Path() (string, error) {
	dir := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) { // a relative one is to be ignored, says its specification
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("where contexts are kept is not known: %w; set XDG_CONFIG_HOME", err)
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "secretsync", "contexts.yaml"), nil
}

// Load reads the file; one that is not there holds nothing.
func Load() (*File, error) {
	path, err := Path()
	if err != nil {
		return nil, err
	}
	f := &File{path: path}
	opened, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("contexts: %w", err)
	}
	defer opened.Close()
	info, err := opened.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("contexts: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("contexts: %s is no ordinary file; remove it, and log in again", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("contexts: %s holds keys, and others than you may read it (mode %04o); run: chmod 600 %[1]s. If they could have, revoke the keys: secretsync keys revoke", path, info.Mode().Perm())
	}
	content, err := io.ReadAll(io.LimitReader(opened, mostOfFile+1))
	if err != nil {
		return nil, fmt.Errorf("contexts: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	// Not the parser's words: they may repeat a key.
	if err := decoder.Decode(f); err != nil && !errors.Is(err, io.EOF) || len(content) > mostOfFile {
		return nil, fmt.Errorf("contexts: %s can't be understood; mend it, or remove it and log in again", path)
	}
	return f, nil
}

// Save writes the file. At any instant there is the old one or the new one.
func (f *File) Save() (err error) {
	content, err := yaml.Marshal(f)
	if err != nil {
		return err
	}
	dir := filepath.Dir(f.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("contexts: %w", err)
	}
	made, err := os.CreateTemp(dir, ".contexts-*") // with mode 0600
	if err != nil {
		return fmt.Errorf("contexts: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(made.Name())
			err = fmt.Errorf("contexts: %w", err)
		}
	}()
	if _, err := made.Write(content); err != nil {
		made.Close()
		return err
	}
	if err := errors.Join(made.Sync(), made.Close()); err != nil {
		return err
	}
	return os.Rename(made.Name(), f.path)
}

// Find returns the context of a name; the current one if that is empty.
func (f *File) Find(name string) (Context, bool) {
	if name == "" {
		name = f.Current
	}
	i := slices.IndexFunc(f.Contexts, func(c Context) bool { return c.Name == name })
	if i < 0 || name == "" {
		return Context{}, false
	}
	return f.Contexts[i], true
}

// Names returns the names of all.
func (f *File) Names() []string {
	names := make([]string, len(f.Contexts))
	for i, c := range f.Contexts {
		names[i] = c.Name
	}
	return names
}

// List names all contexts in a sentence.
func (f *File) List() string {
	if len(f.Contexts) == 0 {
		return "none; log in with: secretsync login"
	}
	return strings.Join(f.Names(), ", ")
}

// Put adds a context, in place of one of its name, and makes it the current one.
func (f *File) Put(c Context) {
	f.Remove(c.Name)
	f.Contexts = append(f.Contexts, c)
	slices.SortFunc(f.Contexts, func(a, b Context) int { return strings.Compare(a.Name, b.Name) })
	f.Current = c.Name
}

// Remove takes a context out, and reports whether it was there. If it was the current
// one there is none afterwards.
func (f *File) Remove(name string) bool {
	before := len(f.Contexts)
	f.Contexts = slices.DeleteFunc(f.Contexts, func(c Context) bool { return c.Name == name })
	if f.Current == name {
		f.Current = ""
	}
	return len(f.Contexts) < before
}
