package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// fleetTenants names the variable that says how many tenants share three replicas in
// [TestReplicasLoseNothingWhateverBefallsThem]. Set, it is the proof at full size (make proof):
// the lease time is that of a default configuration, and how long tenants are without an answer
// is bounded.
const fleetTenants = "SECRETSYNC_REPLICAS_TENANTS"

// The bounds of the proof at full size.
const (
	killBound     = 20 * time.Second // from a kill, or from when a replica can't go on, till each tenant is served again
	handOverBound = 2 * time.Second  // without an answer while a tenant changes hands in order
)

// Three replicas share the tenants. One is killed, one stopped and woken when its time is over,
// one cut off from the API server of their Leases, and all are replaced one by one, while each
// is written to and read from, and values change. No write that was answered is lost or made twice, no copy is
// ever wrong, and none is written for nothing.
func TestReplicasLoseNothingWhateverBefallsThem(t *testing.T) {
	tenants, lease, full := 60, 4*time.Second, os.Getenv(fleetTenants) != ""
	if full {
		var err error
		if tenants, err = strconv.Atoi(os.Getenv(fleetTenants)); err != nil || tenants < 10 {
			t.Fatalf("%s is to be a number, at least 10", fleetTenants)
		}
		lease = 15 * time.Second
	}
	f := makeFleet(t, 3, tenants, lease)
	endWatch := f.watchCopies()
	a, b, c := f.replicas[0], f.replicas[1], f.replicas[2]
	all := f.replicas
	began := time.Now()
	f.start()
	f.answers(all...)
	t.Logf("%d tenants with %d copies: all replicas answer for all %v after an empty start", tenants, tenants*seeds*2, time.Since(began).Round(time.Millisecond))
	f.await("all seeds are copied", func() bool {
		f.ledger.mu.Lock()
		defer f.ledger.mu.Unlock()
		return len(f.ledger.copies) == tenants*seeds*2
	})
	t.Logf("all copies stand after %v", time.Since(began).Round(time.Millisecond))

	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for i, r := range all {
		load.Go(func() { f.load(ctx, r, mathrand.New(mathrand.NewPCG(1, uint64(i)))) })
	}
	endLoad := sync.OnceFunc(func() { cancel(); load.Wait() })
	defer endLoad()
	// befall has something befall the tenants of a replica, and tells how long they were without an answer.
	befall := func(what string, bound time.Duration, r *process, through []*process, event func()) {
		t.Helper()
		f.renew(max(1, tenants/50))
		o := f.during(event, f.tenantsOf(r), through...)
		t.Logf("%s: without an answer, %v", what, o)
		if full && o.longest() > bound {
			t.Errorf("%s: %v without an answer, %v are allowed", what, o.longest(), bound)
		}
		f.answers(through...)
		t.Logf("%s", f.usage())
	}
	shared := func(replicas ...*process) {
		t.Helper()
		f.await("the shards are where they belong", func() bool { return f.settled(replicas...) })
	}

	befall("one is killed", killBound, a, []*process{b, c}, func() { f.must(a.stop(syscall.SIGKILL)) })
	befall("it is back", handOverBound, a, []*process{b, c}, func() { f.must(a.serve()); shared(all...) })

	befall("one is stopped", killBound, b, []*process{a, c}, func() {
		f.must(b.server.Process.Signal(syscall.SIGSTOP))
		shared(a, c)
	})
	befall("it is woken", handOverBound, b, []*process{a, c}, func() { f.must(b.server.Process.Signal(syscall.SIGCONT)); shared(all...) })
	f.answers(b)

	befall("one is cut off", killBound, c, []*process{a, b}, func() {
		c.proxy.Freeze()
		f.await("who is cut off says why it answers for nobody", func() bool {
			status, answer, err := f.call(c, &f.tenants[0], "GET", "", "", "look")
			return err == nil && status == http.StatusServiceUnavailable && strings.Contains(answer, "can't be reached from this replica")
		})
	})
	befall("it is back", handOverBound, c, []*process{a, b}, func() { c.proxy.Thaw(); shared(all...) })
	f.answers(c)

	for i, r := range all {
		others := slices.Delete(slices.Clone(all), i, i+1)
		befall(r.name+" ends in order", handOverBound, r, others, func() { f.must(r.stop(syscall.SIGTERM)) })
		befall(r.name+" is replaced", handOverBound, r, others, func() { f.must(r.serve()); shared(all...) })
	}
	endLoad()
	f.answers(all...)
	f.check()
	endWatch()
	for _, r := range all {
		if err := r.stop(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
	}
}

// usage tells what the replicas have used so far.
func (f *fleet) usage() string {
	var told []string
	for _, r := range f.replicas {
		if r.server == nil {
			continue
		}
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.server.Process.Pid))
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.server.Process.Pid))
		resident := "unknown"
		for line := range strings.Lines(string(status)) {
			if size, is := strings.CutPrefix(line, "VmRSS:"); is {
				resident = strings.TrimSpace(size)
			}
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		var ticks int
		if fields := strings.Fields(rest); len(fields) > 12 {
			user, _ := strconv.Atoi(fields[11])
			system, _ := strconv.Atoi(fields[12])
			ticks = user + system
		}
		told = append(told, fmt.Sprintf("%s %s resident, %d.%02d s of CPU", r.name, resident, ticks/100, ticks%100))
	}
	return cmp.Or(strings.Join(told, "; "), "no replica runs")
}
