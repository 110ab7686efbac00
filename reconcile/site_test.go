package reconcile

import (
	"reflect"
	"testing"
	"time"

	"secretsync/reconcile/decide"
)

// A claim that goes and comes again while a write is tried takes the record
// along; the answer then panicked with the place locked, for good.
func TestWhatWasTriedIsNotedThoughTheClaimWasMadeAnewMeanwhile(t *testing.T) {
	t.Parallel()
	now := time.Now()
	w := new(work)
	w.in.Owner.Name = "db"
	var altered, none decide.Record
	altered.Altered(&w.in, w.Want, now)
	p := &place{claims: []*target{{}}}
	if p.foundOut(w, false, now); !reflect.DeepEqual(p.record.Record, altered) {
		t.Errorf("%+v", p.record.Record)
	}
	if p.foundOut(w, true, now); !reflect.DeepEqual(p.record.Record, none) {
		t.Errorf("%+v", p.record.Record)
	}
	p.claims = nil
	if p.foundOut(w, false, now); !reflect.DeepEqual(p.record.Record, none) {
		t.Errorf("of a place that nobody claims: %+v", p.record.Record)
	}
}
