package githttp

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Update is what a push asks of one reference, and what came of it.
type Update struct {
	Ref      string // as the client wrote it
	Old, New string // object names; all zeros where there is or was none
	Done     bool
}

// mostCommands bounds what a push may say before its pack.
const mostCommands = 1 << 20

// packets takes a stream in Git's form apart as it passes: lines that begin with
// their length (https://git-scm.com/docs/gitprotocol-common#_pkt_line_format). It
// holds no more than one line.
type packets struct {
	each func(line []byte, flush bool) (more bool)
	held []byte
	over bool // nothing more is looked at
}

func (p *packets) take(b []byte) {
	for len(b) > 0 && !p.over {
		if len(p.held) < 4 {
			n := min(4-len(p.held), len(b))
			p.held, b = append(p.held, b[:n]...), b[n:]
			if len(p.held) < 4 {
				return
			}
		}
		length, err := strconv.ParseUint(string(p.held[:4]), 16, 16)
		if err != nil || length == 3 {
			p.over = true
			return
		}
		if length < 4 { // flush, delimiter, end
			p.held = p.held[:0]
			p.over = !p.each(nil, true)
			continue
		}
		n := min(int(length)-len(p.held), len(b))
		p.held, b = append(p.held, b[:n]...), b[n:]
		if len(p.held) == int(length) {
			p.over = !p.each(p.held[4:], false)
			p.held = p.held[:0]
		}
	}
}

// push reads along with a push: what it asks for, and what it is answered, which
// go on at the same time.
type push struct {
	mu       sync.Mutex
	commands packets
	size     int // of the commands
	ended    bool
	sideband bool
	updates  []Update
	byRef    map[string]int // index of the last one

	answer packets // as it is sent
	report packets // that the answer holds
}

func newPush() *push {
	p := &push{byRef: make(map[string]int)}
	p.commands.each = p.command
	p.answer.each = p.answered
	p.report.each = p.reported
	return p
}

// sent is shown what the client sends, in order. It fails if the commands are
// too many.
func (p *push) sent(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return nil
	}
	if p.size > mostCommands {
		return fmt.Errorf("%w: it names too many references", ErrRequest)
	}
	p.size += len(b)
	p.commands.take(b)
	p.ended = p.commands.over
	return nil
}

// command reads "old new ref", with capabilities behind a zero byte in the first
// (https://git-scm.com/docs/gitprotocol-pack#_reference_update_request_and_packfile_transfer).
func (p *push) command(line []byte, flush bool) (more bool) {
	if flush {
		return false
	}
	words, capabilities, first := bytes.Cut(line, []byte{0})
	if first {
		p.sideband = slices.Contains(strings.Fields(string(capabilities)), "side-band-64k")
	}
	fields := strings.SplitN(strings.TrimSuffix(string(words), "\n"), " ", 3)
	if len(fields) == 3 {
		p.byRef[fields[2]] = len(p.updates)
		p.updates = append(p.updates, Update{Old: fields[0], New: fields[1], Ref: fields[2]})
	}
	return true
}

// got is shown what git answers, in order.
func (p *push) got(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sideband {
		p.answer.take(b)
		return
	}
	p.report.take(b)
}

// asked returns what the push asked for and what came of it.
func (p *push) asked() []Update {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.updates
}

// answered finds the report in the first of the side-bands.
func (p *push) answered(line []byte, flush bool) (more bool) {
	if flush {
		return false
	}
	if len(line) > 0 && line[0] == 1 {
		p.report.take(line[1:])
	}
	return true
}

func (p *push) reported(line []byte, flush bool) (more bool) {
	if flush {
		return false
	}
	if ref, ok := strings.CutPrefix(strings.TrimSuffix(string(line), "\n"), "ok "); ok {
		if i, asked := p.byRef[ref]; asked {
			p.updates[i].Done = true
		}
	}
	return true
}
