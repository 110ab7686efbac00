package shard

import (
	"testing"
	"time"

	coordination "k8s.io/api/coordination/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Who takes a shard over is told where the branches of its tenants were left by the one that had it just
// before, if that one let go of it in order.
func TestWhoTakesAShardOverIsToldWhereItsBranchesWereLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.start("a")
	w.shared(a)
	told := func(r *tested, by string) (n int) {
		h := r.Holding()
		for _, tenant := range w.tenants() {
			if h.LeftAt(tenant, "left by "+by) {
				n++
			}
		}
		return n
	}
	if n := told(a, "a") + told(a, "b"); n > 0 {
		t.Errorf("of %d shards that nobody had it was told", n)
	}

	b := w.start("b", proxied)
	w.shared(a, b)
	if n := told(b, "a"); n != w.shards/2 {
		t.Errorf("b was told of %d shards; want %d", n, w.shards/2)
	}
	if n := told(b, "b") + told(a, "a") + told(a, "b"); n > 0 {
		t.Errorf("of %d shards it is told what nobody left", n)
	}

	b.proxy.Freeze()
	w.shared(a)
	if n := told(a, "a") + told(a, "b"); n > 0 {
		t.Errorf("of %d shards whose holder fell silent it was told; what b found is of before its time", n)
	}
	b.proxy.Thaw()
	w.shared(a, b)
	<-a.leaves()
	w.shared(b)
	if n := told(b, "a"); n != w.shards {
		t.Errorf("of one that ended b was told of %d shards; want all %d", n, w.shards)
	}
}

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
