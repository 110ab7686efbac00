package forward

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"secretsync/gitstore"
)

// elsewhere is where a tenant is held by now: at an address, or here, where it may be answered for.
type elsewhere struct {
	address    string
	mine, here bool
}

func (e elsewhere) Holder(gitstore.TenantName) (string, bool) { return e.address, e.mine }
func (elsewhere) Err() error                                  { return nil }

// While the one that is asked takes the tenant over, the former holder has all the time that it had before
// to answer what it is still working on.
func TestHowLongAHolderThatLostTheTenantMayBeSilent(t *testing.T) {
	patience := Patience{Answer: time.Hour}.withDefaults()
	for name, c := range map[string]struct {
		now   elsewhere
		reads bool
		lasts time.Duration
	}{
		"a read that the next holder can be asked for":        {elsewhere{address: "next"}, true, patience.Lost / lostPart},
		"a read that can be answered here":                    {elsewhere{mine: true, here: true}, true, patience.Lost / lostPart},
		"a read where nobody else can be asked yet":           {elsewhere{mine: true}, true, patience.Lost},
		"a write that the next holder could be asked for":     {elsewhere{address: "next"}, false, patience.Lost},
		"a write where nobody else can be asked":              {elsewhere{mine: true, here: true}, false, patience.Lost},
		"a read of which nobody knows who else has it by now": {elsewhere{}, true, patience.Answer},
		"a read of what is held as before":                    {elsewhere{address: "holder"}, true, patience.Answer},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &Forwarder{Holders: c.now, patience: patience, here: func(gitstore.TenantName) bool { return c.now.here }}
				ctx, cancel := context.WithCancelCause(t.Context())
				asked := "holder"
				trip := trip{forwarder: f, cancel: cancel, silence: patience.Answer, again: c.reads}
				trip.to.Store(&asked)
				began := time.Now()
				var w watch
				w.begin(&trip)
				<-ctx.Done()
				// It is looked at now and then, and first after a while.
				if lasted := time.Since(began); lasted < c.lasts || lasted > c.lasts+2*lookEvery {
					t.Errorf("it is given up after %s; want %s", lasted, c.lasts)
				}
				want := errLost
				if c.lasts == patience.Answer {
					want = errSilent
				}
				if cause := context.Cause(ctx); cause != want {
					t.Errorf("it ends with %v; want %v", cause, want)
				}
			})
		})
	}
}
