package live

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/gitstore/gitstoretest"
	"secretsync/reconcile"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
)

func file(name string, namespaces ...string) string {
	text := fmt.Sprintf("name: %s\nsecretPath: production/%s\nsync:", name, name)
	if len(namespaces) == 0 {
		return text + " []\n"
	}
	for _, n := range namespaces {
		text += "\n- {cluster: production, namespace: " + n + "}"
	}
	return text + "\n"
}

// push is one commit: files by name of the definition, or README; - removes one.
type push map[string]string

func (p push) files() map[string]*string {
	files := make(map[string]*string)
	for name, content := range p {
		path := "secrets/" + name + ".yaml"
		if name == "README" {
			path = name
		}
		if files[path] = nil; content != "-" {
			files[path] = &content
		}
	}
	return files
}

// standing is a source that says of targets what a test sets: Synced by what is
// at work, but for those in except, by namespace.
type standing struct {
	mu      sync.Mutex
	taken   *catalog.Snapshot
	except  map[string]status.Target
	changed chan struct{}
	asked   int               // for the status of an entry
	next    *catalog.Snapshot // is taken in when the status of an entry is asked for
	left    bool              // the tenant has
}

func newStanding(taken *catalog.Snapshot) *standing {
	return &standing{taken: taken, changed: make(chan struct{})}
}

func (s *standing) Taken(gitstore.TenantName) *catalog.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken
}

func (s *standing) Changed(gitstore.TenantName) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left {
		return nil
	}
	return s.changed
}

func (s *standing) Status(_ gitstore.TenantName, e *catalog.Entry) (told status.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.next != nil {
		s.taken, s.next = s.next, nil
	}
	if now, ok := s.taken.Get(e.Name); ok {
		e = now
	}
	for _, target := range e.Definition.Sync {
		t := status.Target{State: fault.Synced, Reason: fault.ReasonSynced, Observed: e.Source}
		if other, ok := s.except[target.Namespace.String()]; ok {
			t = other
		}
		t.Target, t.Secret = target, target.Secret(e.Name)
		told.Targets = append(told.Targets, t)
	}
	return told
}

func (s *standing) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

func failing(reason fault.Reason, message string) status.Target {
	return status.Target{State: fault.Error, Reason: reason, Message: message}
}

func repository(t *testing.T) *gitstoretest.Repository {
	return gitstoretest.MustOpen(t, gitstore.Config{}).MustRepository("acme")
}

func TestWhetherACommitIsLive(t *testing.T) {
	broken := "nonsense"
	stale := status.Target{State: fault.Synced, Reason: fault.ReasonSynced}
	for _, test := range []struct {
		name          string
		before        push
		commit        push
		after         []push
		except        map[string]status.Target
		missing       []string // nothing: it is live
		superseded    bool
		targetsJudged int
	}{
		{name: "every target is synced", commit: push{"alpha": file("alpha", "a", "b")}, targetsJudged: 2},
		{name: "a target fails", commit: push{"alpha": file("alpha", "a", "b")},
			except:  map[string]status.Target{"b": failing(fault.ReasonForbidden, "cluster says no")},
			missing: []string{"alpha to production/b/alpha: Forbidden: cluster says no"}, targetsJudged: 2},
		{name: "a target is synced by what stood before", commit: push{"alpha": file("alpha", "a")},
			except:  map[string]status.Target{"a": stale},
			missing: []string{"alpha to production/a/alpha: Queued: not tried yet"}, targetsJudged: 1},
		{name: "what the commit did not touch fails", before: push{"beta": file("beta", "b")}, commit: push{"alpha": file("alpha", "a")},
			except: map[string]status.Target{"b": failing(fault.ReasonForbidden, "")}, targetsJudged: 1},
		{name: "a definition is removed", before: push{"alpha": file("alpha", "a")}, commit: push{"alpha": "-"}},
		{name: "a target is removed, another stays", before: push{"alpha": file("alpha", "a", "b")}, commit: push{"alpha": file("alpha", "a")},
			except: map[string]status.Target{"b": failing(fault.ReasonForbidden, "")}, targetsJudged: 1},
		{name: "all targets are removed", before: push{"alpha": file("alpha", "a")}, commit: push{"alpha": file("alpha")}},
		{name: "a later commit changes it", commit: push{"alpha": file("alpha", "a")}, after: []push{{"alpha": file("alpha", "a", "b")}},
			superseded: true, targetsJudged: 1},
		{name: "a target that a later commit adds fails", commit: push{"alpha": file("alpha", "a")}, after: []push{{"alpha": file("alpha", "a", "b")}},
			except: map[string]status.Target{"b": failing(fault.ReasonForbidden, "")}, superseded: true, targetsJudged: 1},
		{name: "a later commit removes it", commit: push{"alpha": file("alpha", "a")}, after: []push{{"alpha": "-"}}, superseded: true},
		{name: "a later commit adds it again", before: push{"alpha": file("alpha", "a")}, commit: push{"alpha": "-"}, after: []push{{"alpha": file("alpha", "a")}},
			except: map[string]status.Target{"a": failing(fault.ReasonForbidden, "")}, superseded: true},
		{name: "the commit breaks a definition", before: push{"alpha": file("alpha", "a")}, commit: push{"alpha": broken},
			missing: []string{"alpha: InvalidDefinition: secrets/alpha.yaml:1"}},
		{name: "it is mended later", before: push{"alpha": file("alpha", "a")}, commit: push{"alpha": broken}, after: []push{{"alpha": file("alpha", "b")}},
			superseded: true, targetsJudged: 1},
		{name: "a later commit breaks it: this one's version is synced", commit: push{"alpha": file("alpha", "a")}, after: []push{{"alpha": broken}},
			superseded: true, targetsJudged: 1},
		{name: "a file that is no definition", commit: push{"Alpha_1": file("alpha", "a")},
			missing: []string{"secrets/Alpha_1.yaml"}},
		{name: "a file that is no definition, removed later", commit: push{"Alpha_1": file("alpha", "a")}, after: []push{{"Alpha_1": "-"}}},
		{name: "nothing under secrets/ is touched", commit: push{"README": "x"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := repository(t)
			if test.before != nil {
				r.MustPush(test.before.files())
			}
			id := r.MustPush(test.commit.files()).Head()
			for _, p := range test.after {
				r.MustPush(p.files())
			}
			source := newStanding(r.Snapshot())
			source.except = test.except
			w := &Watch{Tenant: r.Tenant(), Repository: r, Source: source, SHA: id.String()}
			v, err := w.Look(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			missing := v.Missing()
			if v.Live != (len(missing) == 0) || len(missing) != len(test.missing) {
				t.Fatalf("live %v, missing %v", v.Live, missing)
			}
			for i, want := range test.missing {
				if !strings.HasPrefix(missing[i].String(), want) {
					t.Errorf("missing %q, not %q", missing[i], want)
				}
			}
			judged, superseded := 0, false
			for _, d := range v.Definitions {
				judged += len(d.Targets)
				superseded = superseded || d.Superseded
			}
			if judged != test.targetsJudged || superseded != test.superseded {
				t.Errorf("%d targets judged, superseded %v", judged, superseded)
			}
		})
	}
}

func TestACommitThatIsNotAtWorkYetIsNotLive(t *testing.T) {
	r := repository(t)
	before := r.MustPush(push{"beta": file("beta", "b")}.files())
	id := r.MustPush(push{"alpha": file("alpha")}.files()).Head()
	w := &Watch{Tenant: r.Tenant(), Repository: r, Source: newStanding(before), SHA: id.String()}
	v, err := w.Look(t.Context())
	if err != nil || v.Live || v.Commit == nil || len(v.Missing()) != 1 {
		t.Errorf("got %+v, %v", v, err)
	}
}

func TestWhatIsTakenInWhileOneLooksIsLookedAtAgain(t *testing.T) {
	r := repository(t)
	first := r.MustPush(push{"alpha": file("alpha", "a")}.files())
	source := newStanding(first)
	source.next = r.MustPush(push{"alpha": file("alpha", "a", "b")}.files())
	w := &Watch{Tenant: r.Tenant(), Repository: r, Source: source, SHA: first.Head().String()}
	if v, err := w.Look(t.Context()); err != nil || !v.Live || !v.Definitions[0].Superseded {
		t.Errorf("got %+v, %v", v, err)
	}
}

func TestWhoWaitsIsToldAsSoonAsTheCommitIsLive(t *testing.T) {
	r := repository(t)
	before := r.MustPush(push{"beta": file("beta", "b")}.files())
	source := newStanding(before)
	source.except = map[string]status.Target{"a": failing(fault.ReasonForbidden, "")}
	// Made aside, so that it is known before it is on the branch.
	tree := r.MustGit("rev-parse", "HEAD^{tree}")
	commit := r.MustGit("-c", "user.name=P", "-c", "user.email=p@example.org", "commit-tree", "-p", "HEAD", "-m", "x", tree)
	id, err := catalog.ParseRevision(commit)
	if err != nil {
		t.Fatal(err)
	}
	w := &Watch{Tenant: r.Tenant(), Repository: r, Source: source, SHA: id.String()}

	short, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Wait(short); !errors.Is(err, gitstore.ErrNotFound) {
		t.Errorf("of one that is not on the branch: %v", err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	type outcome struct {
		Verdict
		err error
	}
	done := make(chan outcome)
	go func() {
		v, err := w.Wait(ctx)
		done <- outcome{v, err}
	}()
	r.MustGit("update-ref", "refs/heads/main", commit)
	snapshot := before
	for snapshot.Head() != id {
		if snapshot, err = r.Wait(ctx, snapshot); err != nil {
			t.Fatal(err)
		}
	}
	source.set(func() { source.taken = snapshot })
	if got := <-done; got.err != nil || !got.Live {
		t.Errorf("got %+v", got)
	}
}

func TestAWaitEndsWhenTheTenantLeaves(t *testing.T) {
	r := repository(t)
	snapshot := r.MustPush(push{"beta": file("beta", "b")}.files())
	source := newStanding(snapshot)
	source.except = map[string]status.Target{"b": failing(fault.ReasonForbidden, "")}
	w := &Watch{Tenant: r.Tenant(), Repository: r, Source: source, SHA: snapshot.Head().String()}
	ended := make(chan error)
	go func() {
		_, err := w.Wait(t.Context())
		ended <- err
	}()
	source.set(func() { source.left = true })
	if err := <-ended; !errors.Is(err, status.ErrLeft) || errors.Is(err, gitstore.ErrNotFound) {
		t.Errorf("it ends with %v", err)
	}
}

func TestWaitingLooksOnlyAtWhatIsMissing(t *testing.T) {
	r := repository(t)
	p := push{}
	for n := range 20 {
		name := fmt.Sprintf("secret-%02d", n)
		p[name] = file(name, fmt.Sprintf("n-%02d", n))
	}
	source := newStanding(r.MustPush(p.files()))
	source.except = map[string]status.Target{"n-07": failing(fault.ReasonForbidden, "")}
	w := &Watch{Tenant: r.Tenant(), Repository: r, Source: source, SHA: source.taken.Head().String()[:12]}
	v, err := w.Look(t.Context())
	if err != nil || v.Live {
		t.Fatalf("got %+v, %v", v, err)
	}
	source.asked = 0
	if !w.StillHeld(t.Context()) || source.asked != 1 {
		t.Errorf("%d statuses were asked for", source.asked)
	}
	source.except = nil
	if w.StillHeld(t.Context()) {
		t.Error("it is held by what is there by now")
	}
}

var (
	_ Source     = (*reconcile.Reconciler)(nil)
	_ Repository = (*gitstore.Repository)(nil)
)
