package devstack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// say writes a line for people who wait.
func (b *builder) say(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.progress != nil {
		fmt.Fprintf(b.progress, "devstack: "+format+"\n", args...)
	}
}

// list names the parts that are worth telling, each with the time it takes.
func (b *builder) list(parts []part) string {
	var words []string
	for _, p := range parts {
		if p.takes != "" {
			words = append(words, fmt.Sprintf("%s (%s)", p, b.takes(p)))
		}
	}
	return strings.Join(words, ", ")
}

// takes says how long the build of a part takes: what it took last time, or else what it usually takes.
func (b *builder) takes(p part) string {
	if took := b.lastTime(p); took > 0 {
		return took.String() + " last time"
	}
	return p.takes
}

// building says that the build of a part has begun and goes on. The caller calls done when it has ended, with whether it is
// built; calls after the first do nothing.
func (b *builder) building(ctx context.Context, p part, left []part) (done func(built bool)) {
	if p.takes == "" {
		return func(bool) {}
	}
	began := time.Now()
	b.say("building %s from source, once, %s", p, b.takes(p))
	ctx, stop := context.WithCancel(ctx)
	var ticking sync.WaitGroup
	ticking.Go(func() { b.tick(ctx, p, left, began) })
	var once sync.Once
	return func(built bool) {
		once.Do(func() {
			stop()
			ticking.Wait()
			if !built {
				return
			}
			took := time.Since(began).Round(time.Second)
			b.keepTime(p, took)
			if list := b.list(left); list != "" {
				b.say("built %s in %s; left: %s", p, took, list)
			} else {
				b.say("built %s in %s; that was the last one", p, took)
			}
		})
	}
}

func (b *builder) tick(ctx context.Context, p part, left []part, began time.Time) {
	then := ""
	if list := b.list(left); list != "" {
		then = "; then " + list
	}
	ticker := time.NewTicker(15 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			b.say("  %s: %s so far (%s)%s", p, time.Since(began).Round(time.Second), b.takes(p), then)
		case <-ctx.Done():
			return
		}
	}
}

// lastTime returns how long the part's last build took, zero if nobody knows. keepTime notes it. Both are for the eyes only,
// so a file that can't be read or written is no error.
func (b *builder) lastTime(p part) time.Duration {
	content, err := os.ReadFile(b.timeFile(p))
	if err != nil {
		return 0
	}
	took, err := time.ParseDuration(strings.TrimSpace(string(content)))
	if err != nil {
		return 0
	}
	return took
}

func (b *builder) keepTime(p part, took time.Duration) {
	os.WriteFile(b.timeFile(p), []byte(took.String()+"\n"), 0o644)
}

func (b *builder) timeFile(p part) string { return filepath.Join(b.cache, p.name+".took") }
