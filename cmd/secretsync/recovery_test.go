package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/examples/devstack"
)

// What stands in examples/recovery/README.md is so.

// recoveryPage are its commands: a backup, and the way back from it.
func recoveryPage(t *testing.T) (backup, restore string) {
	t.Helper()
	blocks := commandsOf(t, "../../examples/recovery/README.md")
	if len(blocks) != 2 {
		t.Fatalf("found %d blocks of commands", len(blocks))
	}
	const where = "DATA=$PWD/data BACKUP=$PWD/backup\n"
	return where + blocks[0], where + blocks[1]
}

// mark is how many requests each cluster had answered at a moment.
type mark map[string]int

func (w *world) mark(t *testing.T) mark {
	t.Helper()
	at := make(mark)
	for _, c := range w.stack.Clusters() {
		events, err := c.Audited()
		if err != nil {
			t.Fatal(err)
		}
		at[c.Name] = len(events)
	}
	return at
}

// written counts, for each copy in a namespace of either cluster, what the server
// did to it since a moment: each create, patch and deletion that was made.
func (w *world) written(t *testing.T, since mark, namespace string) map[string]int {
	t.Helper()
	count := make(map[string]int)
	for _, c := range w.stack.Clusters() {
		events, err := c.Audited()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events[since[c.Name]:] {
			if e.User == devstack.User && e.Namespace == namespace && e.Code < 300 && slices.Contains([]string{"create", "update", "patch", "delete"}, e.Verb) {
				count[c.Name+"/"+e.Name]++
			}
		}
	}
	return count
}

// awaitActive waits until so many definitions of acme are there and all are Active.
// Nothing tells of that, so it is asked for.
func (w *world) awaitActive(t *testing.T, count int) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		answer, err := w.call("admin", "GET", "/tenants/acme/secrets", "", "")
		if err != nil {
			t.Fatal(err)
		}
		var list struct {
			Items []struct {
				Name   string
				Status struct{ Phase string }
			}
		}
		_ = json.Unmarshal([]byte(answer.body), &list) // 503 while the repository is being opened
		waits := 0
		for _, item := range list.Items {
			if item.Status.Phase != "Active" {
				waits, last = waits+1, answer.body
			}
		}
		if len(list.Items) == count && waits == 0 {
			return
		}
	}
	log, _ := os.ReadFile(filepath.Join(w.dir, "server.log"))
	t.Fatalf("not all of %d definitions are Active after %v: %.4000s\n%s", count, patience, last, log[max(0, len(log)-4000):])
}

// verified has the program look for itself whether the server tells the truth.
func (w *world) verified(t *testing.T) {
	t.Helper()
	w.shell(t, `printf %s "$KEY" > acme.key
secretsync verify --config secretsync.yaml --url "$SECRETSYNC" --tenant acme --key-file acme=acme.key`)
}

// recoveryWorld is a world that has not begun yet, with a namespace of its own.
func recoveryWorld(t *testing.T) (w *world, namespace string) {
	w, err := newWorld(t.TempDir(), devstack.Shared(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.end)
	namespace = "recovery-" + w.prefix[:8]
	for _, c := range w.stack.Clusters() {
		if err := c.CreateNamespace(t.Context(), namespace); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.DeleteNamespace(context.Background(), namespace) })
	}
	return w, namespace
}

// variety is a definition with a copy in each cluster, of one kind or another.
func (w *world) variety(t *testing.T, i int, namespace string) (name, file string) {
	t.Helper()
	name = fmt.Sprintf("kept-%02d", i)
	if err := w.put("acme/"+name, map[string]any{"username": name, "password": fmt.Sprintf("canary %d", i)}); err != nil {
		t.Fatal(err)
	}
	kind := []string{
		"",
		"deletionPolicy: Delete\nlabels: {team: payments}\nannotations: {example.com/note: kept}\n",
		"type: kubernetes.io/basic-auth\n",
		"data:\n  url: {template: 'postgres://{{ .username | urlquery }}@db'}\n  shared: {path: kept-00, key: password}\n",
	}[i%4]
	restart := ""
	if i == 0 {
		restart = "\n  restart: [deployment/web]"
	}
	return name, fmt.Sprintf("name: %s\nsecretPath: %s\n%ssync:\n- cluster: production\n  namespace: %s%s\n- cluster: staging\n  namespace: %s\n", name, name, kind, namespace, restart, namespace)
}

func (w *world) deploy(t *testing.T, namespace string) {
	t.Helper()
	labels := map[string]string{"app": "web"}
	_, err := w.client("production").AppsV1().Deployments(namespace).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "example.com/web"}}},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// restarts waits until the deployment bears the mark of its copy, and sees whether its
// pods were started anew for that.
func (w *world) restarts(t *testing.T, namespace string, anew bool) {
	t.Helper()
	const name = "restart.secretsync.dev/kept-00"
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		d, err := w.client("production").AppsV1().Deployments(namespace).Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, restarted := d.Spec.Template.Annotations[name]; d.Annotations[name] != "" && restarted == anew {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the deployment bears %v, its pods %v", d.Annotations, d.Spec.Template.Annotations)
		}
	}
}

// begin starts the server on what is left of the data folder, waits until all is
// right and returns what it wrote for that.
func (w *world) begin(t *testing.T, count int, namespace string) map[string]int {
	t.Helper()
	since := w.mark(t)
	if err := w.serve(); err != nil {
		t.Fatal(err)
	}
	w.awaitActive(t, count)
	w.verified(t)
	return w.written(t, since, namespace)
}

func (w *world) terminate(t *testing.T) {
	t.Helper()
	if err := w.stop(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// loses deletes the data folder but for the files of it that are named.
func (w *world) loses(t *testing.T, but ...string) {
	t.Helper()
	data := filepath.Join(w.dir, "data")
	kept := make(map[string][]byte)
	for _, name := range but {
		content, err := os.ReadFile(filepath.Join(data, name))
		if err != nil {
			t.Fatal(err)
		}
		kept[name] = content
	}
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	if len(kept) > 0 {
		if err := os.Mkdir(data, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range kept {
		if err := os.WriteFile(filepath.Join(data, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestANewServerWithAnEmptyDataFolderWritesNothingNeedlessly(t *testing.T) {
	const definitions = 24
	w, namespace := recoveryWorld(t)
	repository, _, stop, err := w.serveRemote()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	work := filepath.Join(w.dir, "work", "secrets")
	if err := os.MkdirAll(work, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range definitions {
		name, file := w.variety(t, i, namespace)
		if err := os.WriteFile(filepath.Join(work, name+".yaml"), []byte(file), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w.shell(t, `cd work && git init -q -b main && git add -A && git commit -qm "All there is" && git push -q "`+repository+`" HEAD:main`)
	w.deploy(t, namespace)
	if wrote := w.begin(t, definitions, namespace); len(wrote) != 2*definitions {
		t.Fatalf("at first it wrote %v", wrote)
	}
	w.restarts(t, namespace, false)
	w.terminate(t)

	w.loses(t, "hash.key")
	if wrote := w.begin(t, definitions, namespace); len(wrote) != 0 {
		t.Errorf("with the key of the hashes and nothing else it wrote %v", wrote)
	}
	w.restarts(t, namespace, false)
	w.terminate(t)

	w.loses(t)
	wrote := w.begin(t, definitions, namespace)
	for place, n := range wrote {
		if n != 1 {
			t.Errorf("without the key it wrote %s %d times", place, n)
		}
	}
	if len(wrote) != 2*definitions {
		t.Errorf("without the key it wrote %d copies, not %d", len(wrote), 2*definitions)
	}
	w.restarts(t, namespace, true)
	w.terminate(t)
	if wrote := w.begin(t, definitions, namespace); len(wrote) != 0 {
		t.Errorf("with the new key of the hashes it wrote %v", wrote)
	}
}

// A backup is taken in the midst of writes, so that it lacks what was written after
// it, and the data folder is lost.
func TestABackupThatWasTakenUnderWritesIsRestored(t *testing.T) {
	const definitions = 12
	w, namespace := recoveryWorld(t)
	backup, restore := recoveryPage(t)
	w.deploy(t, namespace)
	if err := w.serve(); err != nil {
		t.Fatal(err)
	}
	for i := range definitions {
		name, file := w.variety(t, i, namespace)
		if err := os.WriteFile(filepath.Join(w.dir, name+".yaml"), []byte(file), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w.shell(t, `printf %s "$KEY" | secretsync login "$SECRETSYNC" --tenant acme`)
	w.shell(t, `for file in kept-*.yaml; do secretsync create -f "$file"; done`)
	w.awaitActive(t, definitions)
	made := struct{ Key string }{}
	if err := json.Unmarshal([]byte(w.must(t, 201, "POST", "/tenants/acme/apikeys", `{"displayName":"Made before the backup","role":"readonly"}`)), &made); err != nil {
		t.Fatal(err)
	}

	var mu sync.Mutex
	var answered []string
	written := func() int { mu.Lock(); defer mu.Unlock(); return len(answered) }
	enough := make(chan struct{})
	var writers sync.WaitGroup
	for writer := range 3 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-enough:
					return
				default:
				}
				name := fmt.Sprintf("late-%d-%03d", writer, i)
				if err := w.put("acme/"+name, map[string]any{"password": name}); err != nil {
					t.Error(err)
					return
				}
				answer, err := w.call("admin", "POST", "/tenants/acme/secrets", fmt.Sprintf(
					`{"name":%q,"secretPath":%q,"deletionPolicy":"Delete","sync":[{"cluster":"production","namespace":%q}]}`, name, name, namespace), "")
				if err != nil || answer.status != 201 {
					t.Errorf("%s: %+v, %v", name, answer, err)
					return
				}
				mu.Lock()
				answered = append(answered, name)
				mu.Unlock()
			}
		})
	}
	until := func(n int) {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(patience); written() < n && !t.Failed(); <-tick.C {
			if time.Now().After(deadline) {
				t.Fatalf("%d of %d writes were answered", written(), n)
			}
		}
	}
	until(10)
	w.shell(t, backup)
	until(written() + 10)
	close(enough)
	writers.Wait()
	w.awaitActive(t, definitions+len(answered))
	w.shell(t, `git -C backup/repositories/acme.git fsck --full --strict`)
	w.terminate(t)

	w.loses(t)
	w.shell(t, restore)
	kept := strings.Fields(w.shell(t, `git -C backup/repositories/acme.git ls-tree --name-only HEAD secrets/ | sed 's|secrets/||; s|.yaml$||'`))
	lost := slices.DeleteFunc(slices.Clone(answered), func(name string) bool { return slices.Contains(kept, name) })
	if len(lost) == 0 || len(kept) < definitions+10 {
		t.Fatalf("the backup has %d definitions, and lacks %d", len(kept), len(lost))
	}
	if wrote := w.begin(t, len(kept), namespace); len(wrote) != 0 {
		t.Errorf("it wrote %v", wrote)
	}
	w.restarts(t, namespace, false)
	w.keys["before"] = made.Key
	if answer, err := w.call("before", "GET", "/tenants/acme/secrets", "", ""); err != nil || answer.status != 200 {
		t.Errorf("a key that was made before the backup: %+v, %v", answer, err)
	}

	// The copies of lost definitions stand, in doubt; whoever makes one anew finds its copy right.
	orphans := w.shell(t, `secretsync orphans`)
	for _, name := range lost {
		if !strings.Contains(orphans, name) {
			t.Errorf("%s is not listed:\n%s", name, orphans)
		}
	}
	if !strings.Contains(orphans, "not in the history of the branch") {
		t.Errorf("the doubt is not told:\n%s", orphans)
	}
	since := w.mark(t)
	w.must(t, 201, "POST", "/tenants/acme/secrets", fmt.Sprintf(`{"name":%q,"secretPath":%q,"deletionPolicy":"Delete","sync":[{"cluster":"production","namespace":%q}]}`, lost[0], lost[0], namespace))
	w.awaitActive(t, len(kept)+1)
	if wrote := w.written(t, since, namespace); len(wrote) != 0 {
		t.Errorf("for a definition that was made anew it wrote %v", wrote)
	}
	secrets, err := w.client("production").CoreV1().Secrets(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "secretsync.dev/tenant=acme"})
	if err != nil || len(secrets.Items) != definitions+len(answered) {
		t.Errorf("%d copies stand, %v; %d were written", len(secrets.Items), err, definitions+len(answered))
	}
}

// Of a repository that was nowhere else nothing is left to say what the copies are
// for. They stay, till somebody pushes the definitions again.
func TestALostRepositoryTakesNoCopyAway(t *testing.T) {
	w, namespace := recoveryWorld(t)
	if err := w.serve(); err != nil {
		t.Fatal(err)
	}
	name, file := w.variety(t, 1, namespace) // one whose copies go with their definition
	if err := os.WriteFile(filepath.Join(w.dir, name+".yaml"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	w.shell(t, `printf %s "$KEY" | secretsync login "$SECRETSYNC" --tenant acme && secretsync create -f `+name+`.yaml`)
	w.awaitActive(t, 1)
	w.shell(t, `git clone -q "$REPOSITORY" clone`)
	w.terminate(t)
	w.loses(t, "hash.key")
	if wrote := w.begin(t, 0, namespace); len(wrote) != 0 {
		t.Errorf("it did %v", wrote)
	}
	// Till it has listed both clusters it says that it can't.
	await(t, "it says that there are copies and no commit", func() bool {
		answer, err := w.call("admin", "GET", "/tenants/acme/orphans", "", "")
		if err != nil || answer.status != 503 {
			t.Fatalf("of orphans it says %+v, %v", answer, err)
		}
		return strings.Contains(answer.body, "has no commit")
	})
	since := w.mark(t)
	w.shell(t, `git -C clone push -q "$REPOSITORY" HEAD:main`)
	w.awaitActive(t, 1)
	if wrote := w.written(t, since, namespace); len(wrote) != 0 {
		t.Errorf("after the push it wrote %v", wrote)
	}
}
