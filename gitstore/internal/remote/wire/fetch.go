package wire

import (
	"bytes"
	"fmt"
	"io"

	"secretsync/gitstore/internal/gitdir/object"
)

// FetchRequest asks for a pack with all that the wants need and the haves don't.
func FetchRequest(a Advertisement, wants, haves []object.Hash) []byte {
	if a.Version == V2 {
		return fetchRequestV2(a.Capabilities, wants, haves)
	}
	return fetchRequestV0(a.Capabilities, wants, haves)
}

func fetchRequestV2(c Capabilities, wants, haves []object.Hash) []byte {
	b := appendCommand(nil, "fetch", c)
	b = appendLine(b, "ofs-delta\n")
	b = appendLine(b, "no-progress\n")
	for _, id := range wants {
		b = appendLine(b, "want %s\n", id)
	}
	for _, id := range haves {
		b = appendLine(b, "have %s\n", id)
	}
	b = appendLine(b, "done\n")
	return append(b, flush...)
}

func fetchRequestV0(c Capabilities, wants, haves []object.Hash) []byte {
	var b []byte
	asked := capabilities(c, "multi_ack_detailed", "side-band-64k", "ofs-delta", "no-progress")
	if !c.Has("multi_ack_detailed") {
		asked += capabilities(c, "multi_ack")
	}
	if !c.Has("side-band-64k") {
		asked += capabilities(c, "side-band")
	}
	for _, id := range wants {
		b = appendLine(b, "want %s%s\n", id, asked)
		asked = ""
	}
	b = append(b, flush...)
	for _, id := range haves {
		b = appendLine(b, "have %s\n", id)
	}
	return appendLine(b, "done\n")
}

// capabilities lists what we use of what a server can do.
func capabilities(c Capabilities, names ...string) (list string) {
	for _, name := range names {
		if c.Has(name) {
			list += " " + name
		}
	}
	if list != "" && c.Has("agent") && names[0] != "multi_ack" && names[0] != "side-band" {
		list += " agent=" + agent
	}
	return list
}

// ReadPack reads the answer to [FetchRequest] up to where the pack begins. The
// pack that it returns ends where the server ends it; if that is before its
// time, or with the server's words, reading it fails.
func (r *Reader) ReadPack(a Advertisement) (io.Reader, error) {
	if a.Version == V2 {
		return r.readPackV2()
	}
	return r.readPackV0(a.Capabilities)
}

func (r *Reader) readPackV2() (io.Reader, error) {
	for {
		p, err := r.next()
		if err != nil {
			return nil, err
		}
		switch {
		case p.kind == kindData && string(p.line()) == "packfile":
			return &sideBand{from: r}, nil
		// Sections before that one are of no use here: none was asked for.
		case p.kind == kindData || p.kind == kindDelimiter:
		default:
			return nil, fmt.Errorf("the answer has no pack: %w", ErrMalformed)
		}
	}
}

// readPackV0 skips what the server knows of the haves. It ends with an ACK or
// NAK after which the pack begins, but which one that is depends on the
// capabilities and the server; so the beginning of the pack is looked for.
func (r *Reader) readPackV0(c Capabilities) (io.Reader, error) {
	banded := c.Has("side-band-64k") || c.Has("side-band")
	for {
		if !banded {
			if magic, err := r.from.Peek(4); err != nil {
				return nil, cutShort(err)
			} else if string(magic) == "PACK" {
				return r.from, nil
			}
		}
		p, err := r.next()
		if err != nil {
			return nil, err
		}
		switch {
		case p.kind != kindData:
			return nil, fmt.Errorf("the answer has %s before the pack: %w", p.kind, ErrMalformed)
		case bytes.HasPrefix(p.data, []byte("ACK ")), bytes.HasPrefix(p.data, []byte("NAK")):
		case banded && len(p.data) > 0 && p.data[0] <= 3:
			s := &sideBand{from: r}
			return s, s.take(p)
		default:
			return nil, fmt.Errorf("the answer has another line before the pack: %w", ErrMalformed)
		}
	}
}
