package reconcile

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/examples/devstack/testlog"
	"secretsync/gitstore"
	"secretsync/gitstore/gitstoretest"

	"secretsync/reconcile/decide"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
)

// opposes has somebody do something to a Secret of production a while after it
// holds what it should; it ends with the test, or when stop is called.
func (w *world) opposes(name string, reaction time.Duration, right func(*corev1.Secret) bool, do func(*corev1.Secret) error) (stop func()) {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			s, err := w.stack.Cluster("production").Admin.CoreV1().Secrets(w.namespace).Get(w.ctx, name, metav1.GetOptions{})
			pause := 10 * time.Millisecond
			if err == nil && right(s) {
				pause = 10*time.Millisecond + reaction
			}
			select {
			case <-quit:
				return
			case <-time.After(pause):
			}
			if err != nil || !right(s) {
				continue
			}
			if err := do(s); err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
				w.t.Error(err)
				return
			}
		}
	}()
	return func() { close(quit); <-ended }
}

func TestAFightOverACopyIsDampedAndSaid(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	w := newWorld(t, func(w *world) { w.config.PollInterval, w.config.Metrics = 2*time.Second, registry })
	w.put("db", map[string]any{"a": "1"})
	w.define("db", "production/.")
	w.synced("db")
	secrets := w.stack.Cluster("production").Admin.CoreV1().Secrets(w.namespace)
	events, err := secrets.Watch(w.ctx, metav1.ListOptions{})
	w.must(err)
	defer events.Stop()
	repairs := 0
	var told time.Time
	began, tick := time.Now(), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	// It goes on for a while after there is a word about it, over several polls.
	for told.IsZero() || time.Since(told) < 5*time.Second {
		if time.Since(began) > deadline {
			t.Fatalf("no word about the fight after %d repairs", repairs)
		}
		e, _ := w.repo.Snapshot().Get(w.parse("db"))
		switch s := w.r.Status(w.tenant(), e).Targets[0]; {
		case s.Reason == fault.ReasonContended && told.IsZero():
			told = time.Now()
			if s.State != fault.Error || !strings.Contains(s.Message, "the-opponent") {
				t.Errorf("%+v", s)
			}
		case s.State == fault.Synced && !told.IsZero():
			t.Fatalf("Synced between two blows: %+v", s)
		}
		select {
		case <-tick.C:
		case e := <-events.ResultChan():
			s, ok := e.Object.(*corev1.Secret)
			if ok && string(s.Data["a"]) == "1" {
				repairs++
				s.Data["a"] = []byte("theirs")
				if _, err := secrets.Update(w.ctx, s, metav1.UpdateOptions{FieldManager: "the-opponent"}); err != nil && !apierrors.IsConflict(err) {
					w.must(err)
				}
			}
		}
	}
	// The first ones at once, and then after 1, 2 and 4 s; each is one write.
	if repairs < decide.FreeRepairs || repairs > decide.FreeRepairs+5 {
		t.Errorf("%d repairs in %s", repairs, time.Since(began))
	}
	if said := strings.Count(w.logs.String(), "reason=Contended"); said != 1 {
		t.Errorf("it is logged %d times", said)
	}
	if contended := labelValues(w.gathered(registry, func([]*dto.MetricFamily) bool { return true }), "reason")["Contended"]; !contended {
		t.Error("no metric tells of it")
	}
	w.synced("db")
	w.holds("production/./db", map[string]string{"a": "1"})
}

func TestEveryKindOfFightIsContended(t *testing.T) {
	t.Parallel()
	right := func(s *corev1.Secret) bool { return len(s.Data) == 1 && string(s.Data["a"]) == "1" }
	for name, test := range map[string]struct {
		reaction time.Duration
		do       func(w *world, s *corev1.Secret) error
		says     string
	}{
		"a key is added, a second and a half later": {1500 * time.Millisecond, func(w *world, s *corev1.Secret) error {
			s.Data["theirs"] = []byte("x")
			_, err := w.stack.Cluster("production").Admin.CoreV1().Secrets(s.Namespace).Update(w.ctx, s, metav1.UpdateOptions{FieldManager: "the-replicator"})
			return err
		}, "the-replicator"},
		"our labels are taken away": {0, func(w *world, s *corev1.Secret) error {
			s.Labels = nil
			_, err := w.stack.Cluster("production").Admin.CoreV1().Secrets(s.Namespace).Update(w.ctx, s, metav1.UpdateOptions{FieldManager: "the-cleaner"})
			return err
		}, "again and again"},
		"it is deleted": {0, func(w *world, s *corev1.Secret) error {
			return w.stack.Cluster("production").Admin.CoreV1().Secrets(s.Namespace).Delete(w.ctx, s.Name, metav1.DeleteOptions{})
		}, "again and again"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			registry := prometheus.NewRegistry()
			w := newWorld(t, func(w *world) { w.config.PollInterval, w.config.Metrics = 2*time.Second, registry })
			w.put("db", map[string]any{"a": "1"})
			w.define("db", "production/.")
			w.synced("db")
			stop := w.opposes("db", test.reaction, right, func(s *corev1.Secret) error { return test.do(w, s) })
			if s := w.status("db", fault.ReasonContended); s.State != fault.Error || !strings.Contains(s.Message, test.says) {
				t.Errorf("%+v", s)
			}
			before := w.written(registry)
			synced := w.never("db", "Synced between two blows", isSynced)
			time.Sleep(5 * time.Second)
			synced()
			stop()
			if n := w.written(registry) - before; n > 4 { // after 1, 2 and 4 s
				t.Errorf("%d writes in 5 s", n)
			}
			w.holds("production/./db", map[string]string{"a": "1"})
			w.synced("db")
		})
	}
}

func TestASecondServerIsTold(t *testing.T) {
	t.Parallel()
	a := newWorld(t)
	b := *a
	b.t, b.logs, b.ends = t, &testlog.Log{}, nil
	b.config.Tenants = []Tenant{a.config.Tenants[0]}
	b.repo = gitstoretest.MustOpen(t, gitstore.Config{Dir: t.TempDir()}).MustRepository(a.name)
	b.config.Tenants[0].Repository = b.repo.Repository
	a.put("one", map[string]any{"a": "1"})
	a.put("two", map[string]any{"a": "2"})
	a.defineAt("db", "one", "production/.")
	a.synced("db")
	b.defineAt("db", "two", "production/.")
	b.start()
	t.Cleanup(b.stop)
	for name, w := range map[string]*world{"the first": a, "the second": &b} {
		if s := w.status("db", fault.ReasonContended); !strings.Contains(s.Message, "another server of secretsync") {
			t.Errorf("%s: %s", name, s.Message)
		}
	}
}

func TestAQuotaOfTheVaultMakesNoErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) {
		mount := "quota-" + w.name
		w.must(w.stack.Vault.Mount(w.ctx, mount))
		w.config.Tenants[0].Vault.Mount, w.config.Tenants[0].Vault.Prefix = mount, ""
	})
	mount := w.config.Tenants[0].Vault.Mount
	var names []string
	for i := range 20 {
		name := fmt.Sprintf("db-%d", i)
		names = append(names, name)
		_, err := w.stack.Vault.PutSecret(w.ctx, mount, name, map[string]any{"a": "1"})
		w.must(err)
	}
	_, err := w.stack.Vault.Client.Logical().WriteWithContext(w.ctx, "sys/quotas/rate-limit/"+mount, map[string]any{"rate": 4, "path": mount + "/"})
	w.must(err)
	t.Cleanup(func() { w.stack.Vault.Client.Logical().Delete("sys/quotas/rate-limit/" + mount) })
	var stops []func()
	for _, name := range names {
		stops = append(stops, w.never(name, "an error for the quota", func(s status.Target) bool { return s.State == fault.Error }))
		w.define(name, "production/.")
	}
	w.synced(names...)
	for _, name := range names {
		stops = append(stops, w.never(name, "not Synced for the quota", func(s status.Target) bool { return s.State != fault.Synced }))
	}
	time.Sleep(4 * time.Second) // four intervals of 20 polls, of which 16 a second are too many
	for _, stop := range stops {
		stop()
	}
	if log := w.logs.String(); strings.Contains(log, "unusable") {
		t.Error("the vault is called unusable")
	}
}
