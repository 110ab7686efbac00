package wire

import (
	"bytes"
	"fmt"
	"strings"

	"secretsync/gitstore/internal/gitdir/object"
)

// Version is a version of the protocol.
type Version int

// The versions whose messages differ. Version 1 is version 0 with a line before it.
const (
	V0 Version = 0
	V2 Version = 2
)

// Refs is what a server says of its references.
type Refs struct {
	// Hashes holds the references, by their whole names, and HEAD if it points to a commit.
	Hashes map[string]object.Hash
	// Head is the reference HEAD points to, also where that isn't there yet.
	// It is empty if the server doesn't tell or if HEAD is detached.
	Head string
	// Empty: no reference came, not even one that nobody asked for. Version 2
	// sends only those asked for, so that it says this of them alone.
	Empty bool
}

// Wanted says which references are kept.
type Wanted struct {
	Prefixes []string // of the whole names; HEAD is always kept. None: all
	MaxRefs  int      // more than that are a TooManyError
}

func (w Wanted) match(name []byte) bool {
	if len(w.Prefixes) == 0 || string(name) == "HEAD" {
		return true
	}
	for _, prefix := range w.Prefixes {
		if len(name) >= len(prefix) && string(name[:len(prefix)]) == prefix {
			return true
		}
	}
	return false
}

// TooManyError: a server has more references than are wanted.
type TooManyError struct{ Limit int }

func (e *TooManyError) Error() string {
	return fmt.Sprintf("the server has more than %d references of those asked for", e.Limit)
}

// keep adds a reference if it is wanted.
func (r *Refs) keep(w Wanted, name []byte, id object.Hash) error {
	if !w.match(name) {
		return nil
	}
	if len(r.Hashes) >= w.MaxRefs {
		return &TooManyError{w.MaxRefs}
	}
	if r.Hashes == nil {
		r.Hashes = make(map[string]object.Hash)
	}
	r.Hashes[string(name)] = id
	return nil
}

// Capabilities is what a server can do, by name. What it says of one is the value.
type Capabilities map[string]string

// Has reports whether a server can do something.
func (c Capabilities) Has(name string) bool { _, ok := c[name]; return ok }

// maxCapabilities is how many of them are kept. Stock Git has some 15.
const maxCapabilities = 200

func (c Capabilities) add(capability []byte) {
	if name, value, _ := strings.Cut(string(capability), "="); name != "" && len(c) < maxCapabilities {
		c[name] = value
	}
}

// Advertisement is what a server says first.
type Advertisement struct {
	Version      Version
	Capabilities Capabilities
	Refs         Refs // not in version 2, which is asked for them
}

// ReadAdvertisement reads what a server says first. With HTTP a line that names
// the service may come before it, and its version 0 has one.
func (r *Reader) ReadAdvertisement(wanted Wanted) (Advertisement, error) {
	a := Advertisement{Capabilities: make(Capabilities)}
	p, err := r.next()
	if err == nil && p.kind == kindData && bytes.HasPrefix(p.data, []byte("# service=")) {
		if p, err = r.next(); err == nil && p.kind == kindFlush {
			p, err = r.next()
		}
	}
	if err == nil && p.kind == kindData {
		switch string(p.line()) {
		case "version 2":
			a.Version = V2
			return a, r.readCapabilities(a.Capabilities)
		case "version 1":
			p, err = r.next()
		}
	}
	first := true
	a.Refs.Empty = true
	for ; err == nil && p.kind == kindData; p, err = r.next() {
		line := p.line()
		if first {
			first = false
			var capabilities []byte
			line, capabilities, _ = bytes.Cut(line, []byte{0})
			for c := range bytes.FieldsSeq(capabilities) {
				if target, ok := bytes.CutPrefix(c, []byte("symref=HEAD:")); ok && len(target) < maxWords {
					a.Refs.Head = string(target)
				}
				a.Capabilities.add(c)
			}
		}
		if err = a.addRef(line, wanted); err != nil {
			break
		}
	}
	if err != nil {
		return a, err
	}
	if p.kind != kindFlush {
		return a, fmt.Errorf("the list of references ends with %s: %w", p.kind, ErrMalformed)
	}
	return a, checkFormat(a.Capabilities)
}

func (a *Advertisement) addRef(line []byte, wanted Wanted) error {
	if bytes.HasPrefix(line, []byte("shallow ")) {
		return nil
	}
	id, name, err := parseRef(line)
	if err != nil {
		return err
	}
	switch {
	case string(name) == "capabilities^{}", bytes.HasSuffix(name, []byte("^{}")), string(name) == ".have":
		return nil
	}
	a.Refs.Empty = false
	return a.Refs.keep(wanted, name, id)
}

func parseRef(line []byte) (id object.Hash, name []byte, err error) {
	digits, name, ok := bytes.Cut(line, []byte(" "))
	if ok {
		id, ok = object.ParseHash(digits)
	}
	if !ok || len(name) == 0 {
		return id, nil, fmt.Errorf("a line is no reference: %w", ErrMalformed)
	}
	return id, name, nil
}

func (r *Reader) readCapabilities(into Capabilities) error {
	for {
		p, err := r.next()
		if err != nil {
			return err
		}
		if p.kind == kindFlush {
			return checkFormat(into)
		}
		if p.kind != kindData {
			return fmt.Errorf("the list of capabilities has %s: %w", p.kind, ErrMalformed)
		}
		into.add(p.line())
	}
}

// FormatError: a repository whose objects are not named by SHA-1.
type FormatError struct{ Format string }

func (e *FormatError) Error() string {
	return "objects there are named by " + Clean(e.Format) + "; only sha1 is supported"
}

func checkFormat(c Capabilities) error {
	if format, ok := c["object-format"]; ok && format != "sha1" {
		return &FormatError{format}
	}
	return nil
}
