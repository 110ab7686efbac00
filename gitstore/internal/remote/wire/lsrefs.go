package wire

import (
	"bytes"
	"fmt"
	"strings"
)

// RefsRequest is the request of version 2 for references. A server takes the
// prefixes for a hint, so that what comes is filtered again.
func RefsRequest(c Capabilities, wanted Wanted) []byte {
	b := appendCommand(nil, "ls-refs", c)
	b = appendLine(b, "symrefs\n")
	if strings.Contains(c["ls-refs"], "unborn") {
		b = appendLine(b, "unborn\n")
	}
	if len(wanted.Prefixes) > 0 {
		b = appendLine(b, "ref-prefix HEAD\n")
		for _, prefix := range wanted.Prefixes {
			b = appendLine(b, "ref-prefix %s\n", prefix)
		}
	}
	return append(b, flush...)
}

func appendCommand(b []byte, command string, c Capabilities) []byte {
	b = appendLine(b, "command=%s", command)
	if c.Has("agent") {
		b = appendLine(b, "agent=%s", agent)
	}
	if c.Has("object-format") {
		b = appendLine(b, "object-format=sha1")
	}
	return append(b, delimiter...)
}

// agent is how this program calls itself.
const agent = "git/secretsync"

// ReadRefs reads the answer to [RefsRequest].
func (r *Reader) ReadRefs(wanted Wanted) (Refs, error) {
	refs := Refs{Empty: true}
	for {
		p, err := r.next()
		if err != nil {
			return refs, err
		}
		switch p.kind {
		case kindFlush:
			return refs, nil
		case kindData:
		default:
			return refs, fmt.Errorf("the list of references has %s: %w", p.kind, ErrMalformed)
		}
		if err := refs.addLine(p.line(), wanted); err != nil {
			return refs, err
		}
	}
}

// addLine adds what a line of the answer to ls-refs says: the name of an object
// or "unborn", the reference, and attributes.
func (r *Refs) addLine(line []byte, wanted Wanted) error {
	id, name, err := parseRef(line)
	if rest, ok := bytes.CutPrefix(line, []byte("unborn ")); ok {
		name, err = rest, nil
	}
	if err != nil {
		return err
	}
	name, attributes, _ := bytes.Cut(name, []byte(" "))
	if string(name) == "HEAD" {
		for attribute := range bytes.FieldsSeq(attributes) {
			if target, ok := bytes.CutPrefix(attribute, []byte("symref-target:")); ok {
				r.Head = string(target)
			}
		}
	}
	if id.IsZero() {
		return nil
	}
	r.Empty = false
	return r.keep(wanted, name, id)
}
