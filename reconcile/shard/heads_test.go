package shard

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	coordination "k8s.io/api/coordination/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// Who takes a shard over is told where the branches of its tenants were left by the one that had it just
// before, if that one let go of it in order.
func TestWhoTakesAShardOverIsToldWhereItsBranchesWereLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t).steady()
	a := w.start("a")
	w.shared(a)
	if n := a.told("a") + a.told("b"); n > 0 {
		t.Errorf("of %d shards that nobody had it was told", n)
	}

	b := w.start("b", proxied)
	w.shared(a, b)
	// What a busy machine made one of them lose was not handed over in order.
	lost := func() int { return int(a.lost() + b.lost()) }
	if n := b.told("a"); n > w.shards/2 || n+lost() < w.shards/2 {
		t.Errorf("b was told of %d shards; want %d, less the %d that were lost\n%s\n%s", n, w.shards/2, lost(), a.log, b.log)
	}
	if n := b.told("b") + a.told("a") + a.told("b"); n > 0 {
		t.Errorf("of %d shards it is told what nobody left", n)
	}

	b.proxy.Freeze()
	w.shared(a)
	if n := a.told("a") + a.told("b"); n > 0 {
		t.Errorf("of %d shards whose holder fell silent it was told; what b found is of before its time", n)
	}
	b.proxy.Thaw()
	w.shared(a, b)
	before := lost()
	<-a.leaves()
	w.shared(b)
	if n := b.told("a"); n+lost()-before < w.shards {
		t.Errorf("of one that ended b was told of %d shards; want all %d, less the %d that were lost\n%s\n%s", n, w.shards, lost()-before, a.log, b.log)
	}
}

// An election that acquires the Lease learns what was left with it, also where the watch tells just then that
// the Lease is free, for which one that waits is begun anew.
func TestWhatWasLeftIsNotLostWhereTheWatchIsSlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t).steady()
	a := w.start("a")
	w.shared(a)
	slow := &late{by: time.Second}
	slow.on.Store(true)
	b := w.start("b", slow.option, func(_ *tested, _ *Config, c *rest.Config) {
		c.Wrap(func(next http.RoundTripper) http.RoundTripper { return lateWatch{next, 1500 * time.Millisecond} })
	})
	w.shared(a, b)
	if n, lost := b.told("a"), int(a.lost()+b.lost()); n+lost < w.shards/2 {
		t.Errorf("b was told of %d shards; want %d, less the %d that were lost\n%s", n, w.shards/2, lost, b.log)
	}
}

// told is of how many shards a replica was told where another one left the branches of their tenants.
func (r *tested) told(by string) (n int) {
	h := r.Holding()
	for _, tenant := range r.w.tenants() {
		if h.LeftAt(tenant, "left by "+by) {
			n++
		}
	}
	return n
}

// lateWatch has what a watch tells come so much later.
type lateWatch struct {
	next http.RoundTripper
	by   time.Duration
}

func (l lateWatch) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := l.next.RoundTrip(r)
	if err != nil || r.URL.Query().Get("watch") == "" {
		return response, err
	}
	told, tell := io.Pipe()
	body := response.Body
	type piece struct {
		text []byte
		err  error
		due  time.Time
	}
	pieces := make(chan piece, 10_000)
	go func() {
		defer close(pieces)
		for {
			text := make([]byte, 4<<10)
			n, err := body.Read(text)
			pieces <- piece{text[:n], err, time.Now().Add(l.by)}
			if err != nil {
				return
			}
		}
	}()
	go func() {
		for p := range pieces {
			<-time.After(time.Until(p.due))
			_, _ = tell.Write(p.text) // nobody may read it any more
			if p.err != nil {
				tell.CloseWithError(p.err)
			}
		}
	}()
	response.Body = &lateBody{told, body}
	return response, nil
}

type lateBody struct {
	*io.PipeReader
	of io.Closer
}

func (b *lateBody) Close() error { return errors.Join(b.PipeReader.Close(), b.of.Close()) }

func TestWhatOfWhatWasLeftWithALeaseCounts(t *testing.T) {
	acme, globex := tenant(t, "acme"), tenant(t, "globex")
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.FixedZone("", 3600))
	left := heads{headOf(acme, "c0ffee"): true, headOf(globex, ""): true}.text(at)
	for name, c := range map[string]struct {
		text   string
		holder string
		at     time.Time
		counts bool
	}{
		"what was written with the release":                              {left, "", at, true},
		"not when somebody has had it since who knows nothing of it":     {left, "", at.Add(time.Microsecond), false},
		"not when somebody holds it":                                     {left, "b", at, false},
		"not without a time":                                             {left, "", time.Time{}, false},
		"nothing":                                                        {"", "", at, false},
		"not what is no text of ours":                                    {stamp(at) + " %", "", at, false},
		"not what ends in the middle":                                    {left[:len(left)-3], "", at, false},
		"not a text without heads, which is of one that had no tenants":  {heads{}.text(at), "", at, false},
		"not a stamp alone, whatever stands behind it in the annotation": {stamp(at), "", at, false},
	} {
		t.Run(name, func(t *testing.T) {
			lease := &coordination.Lease{ObjectMeta: meta.ObjectMeta{Annotations: map[string]string{annotationHeads: c.text}}}
			lease.Spec.HolderIdentity = &c.holder
			if !c.at.IsZero() {
				// As it comes back from the API server.
				lease.Spec.RenewTime = &meta.MicroTime{Time: c.at.Truncate(time.Microsecond).UTC()}
			}
			found := headsOf(lease)
			if counts := found[headOf(acme, "c0ffee")] && found[headOf(globex, "")]; counts != c.counts {
				t.Errorf("it counts: %v; want %v", counts, c.counts)
			}
			if found[headOf(acme, "")] || found[headOf(globex, "c0ffee")] {
				t.Error("another commit is taken for the one that was left")
			}
		})
	}
}

// An annotation has its bounds, however many tenants a shard has.
func TestOfMoreTenantsThanFitSomeAreLeftOut(t *testing.T) {
	h := make(heads)
	for i := range uint64(2 * mostHeads) {
		h[i<<40] = true
	}
	at := time.Now()
	text := h.text(at)
	if len(text) > 200<<10 {
		t.Errorf("%d bytes are written", len(text))
	}
	lease := &coordination.Lease{ObjectMeta: meta.ObjectMeta{Annotations: map[string]string{annotationHeads: text}}}
	lease.Spec.RenewTime = &meta.MicroTime{Time: at}
	if n := len(headsOf(lease)); n != mostHeads {
		t.Errorf("%d are read", n)
	}
}

func FuzzWhatIsLeftWithALease(f *testing.F) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f.Add(heads{1: true, 2: true}.text(at))
	f.Add(stamp(at) + " AAAAAAAAAAE")
	f.Fuzz(func(t *testing.T, text string) {
		lease := &coordination.Lease{ObjectMeta: meta.ObjectMeta{Annotations: map[string]string{annotationHeads: text}}}
		lease.Spec.RenewTime = &meta.MicroTime{Time: at}
		h := headsOf(lease)
		if len(h) == 0 {
			return
		}
		lease.Annotations[annotationHeads] = h.text(at)
		again := headsOf(lease)
		for head := range h {
			if !again[head] && len(h) <= mostHeads {
				t.Errorf("%x is lost", head)
			}
		}
	})
}
