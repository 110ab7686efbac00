package vault

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"secretsync/examples/devstack"
	"secretsync/reconcile/vault/access"
	"secretsync/reconcile/vault/kv"
)

// costs is a world for benchmarks: paths with values and nothing else.
func costs(b *testing.B, n int) (*devstack.Vault, []string) {
	b.Helper()
	stack, err := shared()
	if err != nil {
		b.Fatal(err)
	}
	prefix := fmt.Sprintf("cost-%d", worlds.Add(1))
	names := make([]string, n)
	each(n, func(i int) {
		names[i] = fmt.Sprintf("db-%d", i)
		if _, err := stack.Vault.PutSecret(context.Background(), "secret", prefix+"/"+names[i], map[string]any{"user": "u", "password": fmt.Sprint(i)}); err != nil {
			b.Error(err)
		}
	})
	return stack.Vault, append(names, prefix)
}

// each does something n times, 32 at once.
func each(n int, do func(int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	wg.Wait()
}

func cpu() time.Duration {
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkColdReads is 2,000 values from nothing: by the library's client in a
// bare loop, and by a broker.
func BenchmarkColdReads(b *testing.B) {
	const n = 2000
	vault, names := costs(b, n)
	prefix, names := names[n], names[:n]
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			client, _ := vault.NewClient(vault.RootToken)
			kv := client.KVv2("secret")
			each(n, func(i int) {
				if _, err := kv.Get(context.Background(), prefix+"/"+names[i]); err != nil {
					b.Error(err)
				}
			})
		}
	})
	b.Run("broker", func(b *testing.B) {
		for b.Loop() {
			ctx, cancel := context.WithCancel(context.Background())
			broker := New(access.Config{Address: vault.Address, Mount: "secret", Prefix: prefix, Token: vault.RootToken}, Options{Interval: time.Hour})
			var wg, left sync.WaitGroup
			wg.Add(1)
			broker.Start(ctx, wg.Done)
			left.Add(n)
			for _, name := range names {
				var r atomic.Pointer[Request]
				once := sync.OnceFunc(left.Done)
				s := broker.Source(name, func() {
					if r := r.Load(); r != nil {
						if _, ok := r.Value(); ok {
							r.Release()
							once()
						}
					}
				})
				r.Store(s.Request())
			}
			left.Wait()
			cancel()
			wg.Wait()
		}
	})
}

// BenchmarkPolls is the CPU time of 10,000 polls: by the library's client in a
// bare loop, and by a broker that has 1,000 paths and an interval of a second.
func BenchmarkPolls(b *testing.B) {
	const n, rounds = 1000, 10
	vault, names := costs(b, n)
	prefix, names := names[n], names[:n]
	b.Run("bare", func(b *testing.B) {
		client, _ := vault.NewClient(vault.RootToken)
		kv := client.KVv2("secret")
		var used time.Duration
		for b.Loop() {
			before := cpu()
			for range rounds {
				each(n, func(i int) { kv.GetMetadata(context.Background(), prefix+"/"+names[i]) })
			}
			used += cpu() - before
		}
		b.ReportMetric(float64(used.Microseconds())/float64(b.N*n*rounds), "cpu-µs/poll")
	})
	b.Run("broker", func(b *testing.B) {
		var polls atomic.Int64
		done := make(chan struct{}, 1)
		ctx, cancel := context.WithCancel(context.Background())
		broker := New(access.Config{Address: vault.Address, Mount: "secret", Prefix: prefix, Token: vault.RootToken}, Options{
			Interval: time.Second,
			Requested: func(kind, _ string, _ time.Duration) {
				if kind == "metadata" && polls.Add(1)%(n*rounds) == 0 {
					done <- struct{}{}
				}
			},
		})
		var wg sync.WaitGroup
		wg.Add(1)
		broker.Start(ctx, wg.Done)
		for _, name := range names {
			broker.Source(name, nil).Look()
		}
		<-done
		var used time.Duration
		for b.Loop() {
			before := cpu()
			<-done
			used += cpu() - before
		}
		b.ReportMetric(float64(used.Microseconds())/float64(b.N*n*rounds), "cpu-µs/poll")
		cancel()
		wg.Wait()
	})
}

// BenchmarkFollowedPath is the memory of a path that is followed and known.
func BenchmarkFollowedPath(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		broker := New(access.Config{}, Options{})
		sources := make([]*Source, n)
		for i := range sources {
			sources[i] = broker.Source("production/db-password", nil)
			sources[i].known, sources[i].version = true, kv.Version{Number: 1, Created: string(append([]byte(nil), "2026-11-25T18:44:05.796123456Z"...))}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/path")
		runtime.KeepAlive(sources)
		runtime.KeepAlive(broker)
	}
}
