package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"secretsync/gitstore/internal/gitdir/object"
)

// Update moves one reference: from Old to New. A zero Old makes the reference,
// a zero New removes it. The server refuses it if the reference isn't at Old.
type Update struct {
	Ref      string
	Old, New object.Hash
}

// PushError: the server can't do what a push needs.
type PushError struct{ Lacks string }

func (e *PushError) Error() string { return "the server does not offer " + e.Lacks }

// PushRequest asks for updates. Unless all of them remove references a pack is
// to follow. Several happen together or not at all.
func PushRequest(c Capabilities, updates []Update) ([]byte, error) {
	needed := map[string]bool{"report-status": true}
	for _, u := range updates {
		if u.New.IsZero() {
			needed["delete-refs"] = true
		}
	}
	if len(updates) > 1 {
		needed["atomic"] = true
	}
	var asked strings.Builder
	for _, name := range []string{"report-status", "delete-refs", "atomic"} {
		if needed[name] && !c.Has(name) {
			return nil, &PushError{name}
		}
		if needed[name] {
			asked.WriteString(" " + name)
		}
	}
	for _, name := range []string{"side-band-64k", "quiet"} {
		if c.Has(name) {
			asked.WriteString(" " + name)
		}
	}
	if c.Has("object-format") {
		asked.WriteString(" object-format=sha1")
	}
	if c.Has("agent") {
		asked.WriteString(" agent=" + agent)
	}
	var b []byte
	for i, u := range updates {
		list := ""
		if i == 0 {
			list = "\x00" + asked.String()
		}
		b = appendLine(b, "%s %s %s%s", u.Old, u.New, u.Ref, list)
	}
	return append(b, flush...), nil
}

// Report is what a server says of a push.
type Report struct {
	// Unpack is "ok", or why the pack was not taken.
	Unpack string
	// Refused holds why, by reference. Those not in it were moved.
	Refused map[string]string
	// Words is what the server and its hooks said besides, in part.
	Words string
}

// ReadReport reads the answer to [PushRequest]. The words that came are in the
// report also if it fails. An answer that does not tell of every update fails.
func (r *Reader) ReadReport(c Capabilities, updates []Update) (Report, error) {
	if !c.Has("side-band-64k") {
		return r.readReport(updates)
	}
	band := &sideBand{from: r}
	report, err := NewReader(band).readReport(updates)
	if err == nil {
		// To the end: a connection is used again only then.
		_, err = io.Copy(io.Discard, io.LimitReader(band, maxPayload))
	}
	// A server may say all it has to say and no report at all.
	if err != nil && band.err != nil && !errors.Is(band.err, io.EOF) {
		err = band.err
	}
	report.Words = string(band.words)
	return report, err
}

func (r *Reader) readReport(updates []Update) (Report, error) {
	report := Report{Refused: make(map[string]string)}
	p, err := r.next()
	if err != nil {
		return report, err
	}
	unpack, ok := bytes.CutPrefix(p.line(), []byte("unpack "))
	if !ok {
		return report, fmt.Errorf("the answer is no report of a push: %w", ErrMalformed)
	}
	report.Unpack = keep(unpack)
	told := make(map[string]bool)
	for {
		p, err := r.next()
		if err != nil {
			return report, err
		}
		if p.kind == kindFlush {
			break
		}
		status, rest, _ := bytes.Cut(p.line(), []byte(" "))
		name, why, _ := bytes.Cut(rest, []byte(" "))
		switch string(status) {
		case "ok":
		case "ng":
			if len(report.Refused) < len(updates) {
				report.Refused[keep(name)] = keep(why)
			}
		default:
			return report, fmt.Errorf("a line is none of a report of a push: %w", ErrMalformed)
		}
		if len(told) < len(updates) {
			told[keep(name)] = true
		}
	}
	for _, u := range updates {
		if !told[u.Ref] {
			return report, fmt.Errorf("the report of the push says nothing of %s: %w", u.Ref, ErrMalformed)
		}
	}
	return report, nil
}
