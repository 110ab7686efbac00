package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"
)

// Config says where lines go. Exactly one of File and Stream is set.
type Config struct {
	File   string    // appended to
	Stream io.Writer // such as standard output; who reads it must keep up
	Clock  clock.PassiveClock
	Log    *slog.Logger          // of what can't be written; nil: nowhere
	Meter  prometheus.Registerer // nil: nothing is counted
}

// Log writes lines. It is safe for concurrent use.
type Log struct {
	clock   clock.PassiveClock
	log     *slog.Logger
	lines   *prometheus.CounterVec
	lostAll prometheus.Counter

	mu    sync.Mutex
	to    output
	line  bytes.Buffer
	lost  int       // since the last line that was written
	since time.Time // the first of them
	torn  bool      // the last line was cut off
	quiet map[Reason]*repeated
}

// output is where lines end.
type output interface {
	io.Writer
	reopen() error
	Close() error
}

// repeated is what is not told one by one: refusals of who showed no right key can be had
// by anybody as often as he likes.
type repeated struct {
	told time.Time
	more int
}

// tellEvery is how often such a refusal is told at most, for each reason.
const tellEvery = time.Second

// Open makes a log. Of a file that can't be opened it fails: who asks for a record is not
// to learn later that there is none.
func Open(cfg Config) (*Log, error) {
	l := &Log{clock: cfg.Clock, log: cfg.Log, quiet: make(map[Reason]*repeated)}
	if l.clock == nil {
		l.clock = clock.RealClock{}
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.lines = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "secretsync_audit_events_total", Help: "Lines of the audit stream by what they tell of.",
	}, []string{"event"})
	l.lostAll = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "secretsync_audit_lost_total", Help: "Lines of the audit stream that could not be written.",
	})
	if cfg.Meter != nil {
		for _, c := range []prometheus.Collector{l.lines, l.lostAll} {
			if err := cfg.Meter.Register(c); err != nil {
				return nil, fmt.Errorf("audit: %w", err)
			}
		}
	}
	if cfg.Stream != nil {
		l.to = stream{cfg.Stream}
		return l, nil
	}
	f, torn, err := openFile(cfg.File)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	l.to, l.torn = f, torn
	return l, nil
}

// Record writes a line. It returns when the operating system has it, or it is lost. A
// nil Log records nothing.
func (l *Log) Record(e Event) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now().UTC()
	if e.Time.IsZero() {
		e.Time = now
	}
	if l.hushed(&e, now) {
		return
	}
	l.line.Reset()
	if l.torn {
		l.line.WriteByte('\n')
	}
	if l.lost > 0 {
		since := l.since
		l.append(&Event{Time: now, Kind: Lost, Count: l.lost, Since: &since})
	}
	l.append(&e)
	n, err := l.to.Write(l.line.Bytes())
	if err != nil {
		if l.torn = n > 0 || l.torn; l.lost == 0 {
			l.since = now
			l.log.Error("the audit stream can't be written; work goes on, and lines are lost until it can", "error", err)
		}
		l.lost++
		l.lostAll.Inc()
		return
	}
	if l.torn = false; l.lost > 0 {
		l.log.Warn("the audit stream is written again", "lost", l.lost, "since", l.since)
		l.lost = 0
	}
	l.lines.WithLabelValues(string(e.Kind)).Inc()
}

// hushed reports whether an event is counted and not told.
func (l *Log) hushed(e *Event, now time.Time) bool {
	if e.Kind != Denied || e.Key != "" || e.Reason != NoKey && e.Reason != Limited {
		return false
	}
	r := l.quiet[e.Reason]
	if r == nil {
		r = new(repeated)
		l.quiet[e.Reason] = r
	}
	if now.Sub(r.told) < tellEvery {
		r.more++
		return true
	}
	e.Repeated, r.more, r.told = r.more, 0, now
	return false
}

// append adds a line to what is written next.
func (l *Log) append(e *Event) {
	// An Event holds nothing that can't be encoded.
	_ = json.NewEncoder(&l.line).Encode(e)
}

// Reopen has the file opened by its name anew.
func (l *Log) Reopen() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.to.reopen(); err != nil {
		l.log.Error("the audit stream can't be opened anew", "error", err)
	}
}

// Close ends the log. Nothing is recorded after it.
func (l *Log) Close() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Close()
}
