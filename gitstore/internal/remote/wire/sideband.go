package wire

import (
	"fmt"
	"io"
)

// The channels of a side-band, see gitprotocol-pack(5).
const (
	channelData     = 1
	channelProgress = 2
	channelError    = 3
)

// sideBand reads the first channel. The words of the second are kept, bounded,
// as they may be the ones that tell why something was refused; the third is a
// [ServerError].
type sideBand struct {
	from  *Reader
	data  []byte // of the pkt-line that was read last
	err   error
	words []byte
}

func (s *sideBand) Read(b []byte) (int, error) {
	for len(s.data) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		p, err := s.from.next()
		if err == nil {
			err = s.take(p)
		}
		s.err = err
	}
	n := copy(b, s.data)
	s.data = s.data[n:]
	return n, nil
}

func (s *sideBand) take(p packet) error {
	switch {
	case p.kind == kindFlush:
		return io.EOF
	case p.kind != kindData:
		return fmt.Errorf("the side-band has %s: %w", p.kind, ErrMalformed)
	case len(p.data) == 0:
		return nil
	}
	switch channel, data := p.data[0], p.data[1:]; channel {
	case channelData:
		s.data = data
	case channelProgress:
		s.words = append(s.words, data[:min(len(data), maxWords-len(s.words))]...)
	case channelError:
		return &ServerError{Words: keep(data)}
	default:
		return fmt.Errorf("the side-band has a channel %d: %w", channel, ErrMalformed)
	}
	return nil
}
