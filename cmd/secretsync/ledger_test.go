package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"secretsync/examples/devstack"
)

// ledger is what the replicas of a fleet promised, and what was seen of their work.
type ledger struct {
	mu       sync.Mutex
	answered map[string]string // definitions that were answered with 201, and their tenants
	editions map[string]int    // of the tenants' values, where it is not the first
	copies   map[string]int    // by cluster and name, the edition that it held last
	writes   int               // of copies
	least    int               // how many of them one replica would have made: those after which a copy held another edition
	trouble  []string
}

func (l *ledger) begin() {
	l.answered, l.editions, l.copies = make(map[string]string), make(map[string]int), make(map[string]int)
}

func (l *ledger) wrong(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trouble = append(l.trouble, fmt.Sprintf(format, args...))
}

func (l *ledger) answer(name, tenant string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered[name] = tenant
}

// seen notes a copy as it is: it must never hold what is another tenant's, nor what was
// replaced already.
func (l *ledger) seen(cluster string, s *core.Secret) {
	tenant, _, _ := strings.Cut(s.Name, "-")
	edition, err := strconv.Atoi(string(s.Data["edition"]))
	if string(s.Data["of"]) != tenant || err != nil || len(s.Data) != 2 {
		l.wrong("copy %s in %s holds what is not its own", s.Name, cluster)
		return
	}
	l.mu.Lock()
	before := l.copies[cluster+"/"+s.Name]
	l.copies[cluster+"/"+s.Name] = edition
	l.writes++
	if edition != before {
		l.least++
	}
	l.mu.Unlock()
	if edition < before {
		l.wrong("copy %s in %s went back from edition %d to %d", s.Name, cluster, before, edition)
	}
}

var ofFleet = meta.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=secretsync,secretsync.dev/tenant"}

// watchCopies looks at each copy at each moment, till it is ended.
func (f *fleet) watchCopies() (end func()) {
	f.Helper()
	ctx, cancel := context.WithCancel(f.Context())
	var watching sync.WaitGroup
	for _, cluster := range f.stack.Clusters() {
		secrets := cluster.Admin.CoreV1().Secrets(f.namespace)
		none, err := secrets.List(ctx, ofFleet)
		f.must(err)
		// The API server ends a watch that is read too slowly; it goes on from where it was.
		watch, err := watchtools.NewRetryWatcherWithContext(ctx, none.ResourceVersion, &cache.ListWatch{
			WatchFuncWithContext: func(ctx context.Context, options meta.ListOptions) (apiwatch.Interface, error) {
				options.LabelSelector = ofFleet.LabelSelector
				return secrets.Watch(ctx, options)
			},
		})
		f.must(err)
		watching.Go(func() {
			for e := range watch.ResultChan() {
				s, ok := e.Object.(*core.Secret)
				switch {
				case !ok:
					f.ledger.wrong("the watch of the copies in %s: %v", cluster.Name, e.Object)
				case e.Type == apiwatch.Deleted:
					f.ledger.wrong("copy %s in %s was deleted", s.Name, cluster.Name)
				default:
					f.ledger.seen(cluster.Name, s)
				}
			}
			if ctx.Err() == nil {
				f.ledger.wrong("the watch of the copies in %s ended early", cluster.Name)
			}
		})
	}
	return func() { cancel(); watching.Wait() }
}

// renew gives some tenants, each of them once, another edition of their value.
func (f *fleet) renew(tenants int) {
	f.Helper()
	l := &f.ledger
	for _, t := range f.tenants {
		l.mu.Lock()
		old := l.editions[t.Name] == 0 && tenants > 0
		if old {
			l.editions[t.Name] = 2
			tenants--
		}
		l.mu.Unlock()
		if old {
			f.must(f.putValue(t.Name, 2))
		}
	}
}

// check compares what was answered with what there is, in the repositories and in the clusters.
func (f *fleet) check() {
	f.Helper()
	l := &f.ledger
	committed := make(map[string]string)
	for _, t := range f.tenants {
		log := f.command("git", "--git-dir", filepath.Join(f.git, t.Name+".git"), "log", "--format=%H%n%B", "--all", "--name-only")
		for line := range strings.Lines(log) {
			name, is := strings.CutPrefix(strings.TrimSpace(line), "secrets/")
			if !is {
				continue
			}
			name = strings.TrimSuffix(name, ".yaml")
			if committed[name] != "" {
				l.wrong("%s was committed twice", name)
			}
			committed[name] = t.Name
		}
	}
	for name, tenant := range l.answered {
		if committed[name] != tenant {
			l.wrong("%s of %s was answered, and is not there", name, tenant)
		}
	}
	want := make(map[string]int)
	for _, tenant := range committed {
		want[tenant] = max(1, l.editions[tenant])
	}
	for _, cluster := range f.stack.Clusters() {
		f.await("each definition has its copy in "+cluster.Name, func() bool {
			left := maps.Clone(committed)
			f.eachCopy(cluster, func(s *core.Secret) {
				tenant, _, _ := strings.Cut(s.Name, "-")
				if name := definitionOf(s); string(s.Data["edition"]) == strconv.Itoa(want[tenant]) && left[name] == tenant {
					delete(left, name)
				}
			})
			return len(left) == 0
		})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f.Logf("%d writes answered, %d definitions of %d tenants; %d copies in two clusters, written %d times, %.3f times what one replica makes",
		len(l.answered), len(committed), len(f.tenants), len(l.copies), l.writes, float64(l.writes)/float64(l.least))
	if l.writes*10 > l.least*11 {
		f.Errorf("copies were written %d times; one replica makes %d writes", l.writes, l.least)
	}
	if len(l.trouble) > 0 {
		f.Errorf("%d things are wrong", len(l.trouble))
	}
}

// tellTrouble tells what is wrong, the first of it.
func (f *fleet) tellTrouble() {
	f.Helper()
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	f.Logf("%d copies were seen, %d writes of them", len(f.ledger.copies), f.ledger.writes)
	for _, trouble := range f.ledger.trouble[:min(len(f.ledger.trouble), 20)] {
		f.Log(trouble)
	}
}

// definitionOf is the definition that a copy is of: one that was posted has copies that bear the
// tenant's name before its own, so that no two tenants ask for one place.
func definitionOf(s *core.Secret) string {
	if strings.Contains(s.Name, "-seed-") {
		return s.Name
	}
	_, name, _ := strings.Cut(s.Name, "-")
	return name
}

func (f *fleet) eachCopy(cluster *devstack.Cluster, do func(*core.Secret)) {
	f.Helper()
	list, err := cluster.Admin.CoreV1().Secrets(f.namespace).List(f.Context(), ofFleet)
	f.must(err)
	for i := range list.Items {
		do(&list.Items[i])
	}
}

// await waits for what must come, the longer the more tenants there are.
func (f *fleet) await(what string, is func() bool) {
	f.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(f.patience()); !is(); <-tick.C {
		if time.Now().After(deadline) {
			f.Fatalf("after %v it is not so: %s", f.patience(), what)
		}
	}
}
