package reconcile

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/cleanup"
	"secretsync/reconcile/plan"
	"secretsync/reconcile/verify"
)

var properties atomic.Uint64

// TestEveryCopyIsWhatItsDefinitionSays commits definitions with any of their fields
// at random, changes them by hand and field by field as a PATCH does, writes values,
// labels namespaces, meddles with copies, suspends the tenant and restarts the server.
// After each step the clusters and the statuses must come to what a model says that
// shares no code with what it judges (model_test.go); the plan must have foretold just
// the Secrets that were written; and a file is as it was, byte for byte, but for the
// fields that were named.
//
// Secrets that are shared (mode: Merge) have tests of their own.
//
// SECRETSYNC_PROPERTY is how many steps it takes, SECRETSYNC_SEED which sequence it
// plays first; with -count it is another one each time.
func TestEveryCopyIsWhatItsDefinitionSays(t *testing.T) {
	steps, err := strconv.Atoi(cmpOr(os.Getenv("SECRETSYNC_PROPERTY"), "150"))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := strconv.ParseUint(cmpOr(os.Getenv("SECRETSYNC_SEED"), "1"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	seed += properties.Add(1) - 1
	t.Parallel()
	p := newProperty(t, seed)
	for range steps {
		p.step()
	}
	lies, err := verify.Check(t.Context(), p.verifiable(200*time.Millisecond))
	p.must(err)
	for _, l := range lies {
		t.Errorf("a lie: %v", l)
	}
	if strings.Contains(p.logs.String(), "panicked") || strings.Contains(p.logs.String(), canary) {
		t.Error("the log tells of a panic, or a value")
	}
	t.Logf("seed %d: %d steps, of which %d commits changed %d Secrets that a plan had foretold", seed, p.steps, p.commits, p.foretold)
}

// canary begins every text of a value that is to be found nowhere but in Secrets.
const canary = "hunter2"

// property is a world, with a model of what should be.
type property struct {
	*world
	should                   *model
	rand                     *rand.Rand
	seed                     uint64
	steps, commits, foretold int
	files                    map[string]string // the text of each definition
	want                     map[string]map[spot][]Reason
	meddled                  map[spot]int // the step
	did                      string       // in words
}

func newProperty(t *testing.T, seed uint64) *property {
	p := &property{rand: rand.New(rand.NewPCG(seed, 4)), seed: seed, files: make(map[string]string), meddled: make(map[spot]int)}
	p.world = newWorld(t, func(w *world) {
		w.config.Brake = &cleanup.Brake{Copies: 1 << 30, Share: 100}
		for alias, g := range w.config.Tenants[0].Clusters {
			g.Namespaces = []string{w.name, w.name + "-?"}
			w.config.Tenants[0].Clusters[alias] = g
		}
	})
	p.should = &model{
		tenant: p.name, values: make(map[string]*modelValue), definition: make(map[string]*spec), removed: make(map[string]*spec),
		stands: make(map[spot]*standingCopy), namespaces: make(map[string]map[string]string),
		granted: []string{p.name, p.name + "-a", p.name + "-b", p.name + "-c"},
	}
	for range 2 {
		certificate, key := pair(t, canary)
		p.should.pairs = append(p.should.pairs, [2]string{certificate, key})
	}
	for _, cluster := range []string{"production", "staging"} {
		p.should.namespaces[cluster+"/"+p.name] = map[string]string{}
		for _, namespace := range p.should.granted[1:3] { // the last one comes later, if at all
			p.label(cluster, namespace, `{"team":null}`)
			p.should.namespaces[cluster+"/"+namespace] = map[string]string{}
		}
		p.label(cluster, "foreign-"+p.name, `{"team":"x"}`)
		for name, noted := range map[string]map[string]string{"foreign": {}, "def-0": {"secretsync.dev/adopt": p.name + "/def-0"}} {
			s := p.create(cluster, &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"theirs": "stays"}, Annotations: noted},
				Data:       map[string][]byte{"theirs": []byte("x")},
			})
			p.should.stands[spot{cluster, p.namespace, name}] = &standingCopy{
				kind: "Opaque", data: map[string]string{"theirs": "x"}, theirs: map[string]string{"theirs": "stays"}, noted: noted, resource: s.ResourceVersion,
			}
		}
	}
	p.reachable()
	for i := range 3 {
		p.write(fmt.Sprintf("p%d", i))
	}
	p.want = p.should.settle()
	return p
}

func (p *property) some(of ...string) string { return of[p.rand.IntN(len(of))] }

// oneIn is true once in so many times.
func (p *property) oneIn(n int) bool { return p.rand.IntN(n) == 0 }

func (p *property) step() {
	p.t.Helper()
	p.steps++
	name := fmt.Sprintf("def-%d", p.rand.IntN(6))
	_, there := p.should.definition[name]
	switch n := p.rand.IntN(100); {
	case n < 50 && !there:
		p.commit(name, p.anySpec(name), nil)
	case n < 40:
		p.patched(name)
	case n < 47:
		s := p.anySpec(name)
		p.commit(name, s, nil)
	case n < 55 && there:
		p.commit(name, nil, nil)
	case n < 73:
		p.value()
	case n < 85:
		p.labelled()
	case n < 95:
		p.meddle()
	case n < 97:
		p.should.suspended = !p.should.suspended
		p.did = fmt.Sprintf("the tenant's suspension is %t", p.should.suspended)
		p.config.Tenants[0].Suspend = p.should.suspended
		p.must(p.r.Reconfigure(p.config))
	default:
		p.did = "a restart"
		p.restart(func() error { return nil })
	}
	if p.did != "" {
		p.want = p.should.settle()
		p.converge()
	}
	p.did = ""
}

// fail ends the test with all that is known.
func (p *property) fail(what string) {
	p.t.Helper()
	var files strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		fmt.Fprintf(&files, "--- %s\n%s", name, p.files[name])
	}
	p.t.Fatalf("seed %d, step %d, after %s: %s\nthe definitions:\n%s", p.seed, p.steps, p.did, what, files.String())
}

// converge waits until all is as the model says, and stays so once the clean-up has looked.
func (p *property) converge() {
	p.t.Helper()
	for end := time.Now().Add(deadline); ; time.Sleep(10 * time.Millisecond) {
		differs := p.differs()
		if differs == "" {
			break
		}
		if time.Now().After(end) {
			p.fail(differs)
		}
	}
	if !p.should.suspended {
		p.weighed()
		if differs := p.copiesDiffer(); differs != "" {
			p.fail("it was right, and is not any more: " + differs)
		}
	}
}

func (p *property) differs() string {
	if differs := p.copiesDiffer(); differs != "" {
		return differs
	}
	for _, name := range slices.Sorted(maps.Keys(p.want)) {
		e, found := p.repo.Snapshot().Get(p.parse(name))
		if !found {
			return name + " is not at HEAD"
		}
		s := p.r.Status(p.tenant(), e)
		if said := fmt.Sprintf("%+v", s); strings.Contains(said, canary) || strings.Contains(said, "BEGIN") {
			p.fail("a status tells a value: " + said)
		}
		if len(s.Targets) != len(p.want[name]) {
			return fmt.Sprintf("%s should have the targets %v; it stands at %+v", name, p.want[name], s)
		}
		for _, x := range s.Targets {
			at := spot{x.Target.Cluster.String(), x.Target.Namespace.String(), x.Secret.String()}
			want, ok := p.want[name][at]
			if !ok || !slices.Contains(want, x.Reason) {
				return fmt.Sprintf("%s should be %v at %v; it stands at %+v", name, want, at, x)
			}
			if x.Reason == ReasonSynced && (x.Observed != e.Revision || x.VaultVersion != p.should.stands[at].version) {
				return fmt.Sprintf("%s is Synced at %v, judged by %s and not %s, with version %d and not %d", name, at, x.Observed, e.Revision, x.VaultVersion, p.should.stands[at].version)
			}
		}
	}
	return ""
}

// secrets are all that stand in the tenant's namespaces.
func (p *property) secrets() map[spot]*corev1.Secret {
	all := make(map[spot]*corev1.Secret)
	for place := range p.should.namespaces {
		cluster, namespace, _ := strings.Cut(place, "/")
		list, err := p.stack.Cluster(cluster).Admin.CoreV1().Secrets(namespace).List(p.ctx, metav1.ListOptions{})
		p.must(err)
		for i := range list.Items {
			all[spot{cluster, namespace, list.Items[i].Name}] = &list.Items[i]
		}
	}
	return all
}

func (p *property) copiesDiffer() string {
	secrets := p.secrets()
	for at := range p.should.stands {
		if secrets[at] == nil {
			return fmt.Sprintf("nothing stands at %v, and a copy of %q should", at, p.should.stands[at].by)
		}
	}
	for at, s := range secrets {
		c := p.should.stands[at]
		if c == nil {
			return fmt.Sprintf("at %v stands %v, and nothing should", at, s.ObjectMeta)
		}
		if differs := p.differing(c, s); differs != "" {
			return fmt.Sprintf("at %v should stand a copy of %q: %s", at, c.by, differs)
		}
	}
	return ""
}

// differing says in what a Secret is not what it should be.
func (p *property) differing(c *standingCopy, s *corev1.Secret) string {
	labels, noted := maps.Clone(c.theirs), maps.Clone(c.noted)
	annotations := maps.Clone(s.Annotations)
	if c.by != "" {
		maps.Copy(labels, c.labels)
		maps.Copy(labels, map[string]string{"app.kubernetes.io/managed-by": "secretsync", "secretsync.dev/tenant": p.name, "secretsync.dev/name": c.by})
		maps.Copy(noted, c.annotations)
		if version := annotations["secretsync.dev/vault-version"]; version != strconv.Itoa(c.version) {
			return fmt.Sprintf("it bears version %q, not %d", version, c.version)
		}
		maps.DeleteFunc(annotations, func(name, _ string) bool {
			return strings.HasPrefix(name, "secretsync.dev/") && name != "secretsync.dev/adopt"
		})
	} else if s.ResourceVersion != c.resource {
		return "it is foreign, and was touched"
	}
	data, want := make(map[string]string), maps.Clone(c.data)
	for key, content := range s.Data {
		data[key] = string(content)
	}
	for _, d := range []map[string]string{data, want} { // whose blanks and order are free
		if text, ok := d[corev1.DockerConfigJsonKey]; ok {
			var v any
			if json.Unmarshal([]byte(text), &v) == nil {
				d[corev1.DockerConfigJsonKey] = textOf(v)
			}
		}
	}
	switch {
	case string(s.Type) != c.kind:
		return fmt.Sprintf("its type is %s, not %s", s.Type, c.kind)
	case !maps.Equal(data, want):
		return fmt.Sprintf("its data are %q, not %q", data, want)
	case !maps.Equal(s.Labels, labels):
		return fmt.Sprintf("its labels are %v, not %v", s.Labels, labels)
	case !maps.Equal(annotations, noted) && len(annotations)+len(noted) > 0:
		return fmt.Sprintf("its annotations are %v, not %v", annotations, noted)
	}
	return ""
}

// commit makes of a definition what s says, or removes it where s is nil: by hand, or
// as a change if that is given.
func (p *property) commit(name string, s *spec, change *definition.Change) {
	p.t.Helper()
	before, text := p.should.definition[name], ""
	path := "secrets/" + name + ".yaml"
	switch {
	case s == nil:
		p.did = "the removal of " + name
	case change != nil:
		edited, err := definition.Edit([]byte(p.files[name]), *change)
		if err != nil {
			p.fail(fmt.Sprintf("%s can't be edited to say %v: %v", name, change.Fields, err))
		}
		text = string(edited)
		p.did = fmt.Sprintf("a PATCH of %s that names %v", name, change.Fields)
		p.unchanged(p.files[name], text, change.Fields)
	default:
		text = p.written(s)
		p.did = "a push of " + name
	}
	if s != nil {
		if _, err := definition.Parse(path, []byte(text)); err != nil {
			if strings.Contains(err.Error(), "same target") {
				p.did = ""
				return // a list that names one place twice
			}
			p.fail(fmt.Sprintf("%v in\n%s", err, text))
		}
		if text == p.files[name] {
			p.did = ""
			return
		}
	}
	foretold := p.plan(name, text)
	stood, was := p.secrets(), p.want
	switch {
	case s == nil && p.oneIn(2):
		p.world.remove(name)
	case s == nil:
		p.push(map[string]*string{path: nil})
	case change != nil:
		_, err := p.repo.Apply(p.ctx, p.by(), gitstore.Lenient, gitstore.PatchOf(p.parse(name), gitstore.Unconditional(), *change))
		p.must(err)
		if f, err := p.repo.File(p.ctx, p.parse(name), p.repo.Snapshot().Head().String()); err != nil || string(f.Text) != text {
			p.fail(fmt.Sprintf("%v, the store made\n%s\nof %s, and the editor\n%s", err, f.Text, name, text))
		}
	default:
		p.push(map[string]*string{path: &text})
	}
	if s == nil {
		delete(p.should.definition, name)
		delete(p.files, name)
		p.should.removed[name] = before
	} else {
		p.should.definition[name], p.files[name] = s, text
	}
	p.commits++
	p.want = p.should.settle()
	p.converge()
	p.foresaw(foretold, stood, was)
}

// foresight is what a plan says of each place.
type foresight struct {
	steps map[spot]plan.Step
	whole bool // everything was looked at
}

func (p *property) plan(name, text string) foresight {
	p.t.Helper()
	files := maps.Clone(p.files)
	if files[name] = text; text == "" {
		delete(files, name)
	}
	var list []definition.File
	for name, text := range files {
		list = append(list, definition.File{Name: name + ".yaml", Mode: filemode.Regular, Read: func(int64) ([]byte, error) { return []byte(text), nil }})
	}
	to, err := definition.ReadSet(list, 0)
	p.must(err)
	made, err := p.r.Plan(p.ctx, p.tenant(), p.repo.Snapshot().Set(), to, true)
	p.must(err)
	if said, err := json.Marshal(made); err != nil || bytes.Contains(said, []byte(canary)) {
		p.fail("a plan tells a value: " + string(said))
	}
	f := foresight{steps: make(map[spot]plan.Step), whole: made.Unlooked == 0}
	for _, s := range made.Steps {
		at := spot{s.Cluster, s.Namespace, s.Secret}
		if held, ok := f.steps[at]; s.Held == nil || !ok || held.Held != nil {
			f.steps[at] = s
		}
	}
	return f
}

// foresaw compares what a plan said with what was written.
func (p *property) foresaw(f foresight, stood map[spot]*corev1.Secret, was map[string]map[spot][]Reason) {
	p.t.Helper()
	right := func(want map[string]map[spot][]Reason, at spot) bool {
		for _, places := range want {
			if slices.Equal(places[at], []Reason{ReasonSynced}) {
				return true
			}
		}
		return false
	}
	claimed := func(want map[string]map[spot][]Reason, at spot) bool {
		for _, places := range want {
			if places[at] != nil {
				return true
			}
		}
		return false
	}
	stand := p.secrets()
	for at, now := range stand {
		before := stood[at]
		written := before == nil || before.ResourceVersion != now.ResourceVersion
		s, listed := f.steps[at]
		if !written {
			continue
		}
		switch {
		case listed && s.Held == nil && (s.Action == plan.Create || s.Action == plan.Update || s.Action == plan.Move || s.Action == plan.Resume):
			p.foretold++
		case claimed(was, at) && !right(was, at): // what was held up before is done when it can be
		default:
			p.fail(fmt.Sprintf("%v was written, and the plan said %+v; it was %v and is %v of %v", at, s, was, p.want, now.ObjectMeta))
		}
	}
	for at := range stood {
		switch s := f.steps[at]; {
		case stand[at] != nil:
		case s.Action == plan.Delete && s.Held == nil:
			p.foretold++
		case claimed(was, at): // else it was one that nobody claimed already
			p.fail(fmt.Sprintf("%v was deleted, and the plan said %+v", at, s))
		}
	}
	for at, s := range f.steps {
		before, now := stood[at], stand[at]
		unwritten := before == nil && now == nil || before != nil && now != nil && before.ResourceVersion == now.ResourceVersion
		switch {
		case s.Held != nil, !unwritten, s.Selects, !f.whole && !right(p.want, at):
		case s.Action == plan.Resume, s.Action == plan.Stop, s.Action == plan.Unchanged:
		case s.Action == plan.Delete && before == nil:
		case claimed(was, at) && !right(was, at): // it may be right by what was written before that
		default:
			p.fail(fmt.Sprintf("%v was not written, and the plan said %+v", at, s))
		}
	}
}

// patched changes some fields of a definition.
func (p *property) patched(name string) {
	p.t.Helper()
	was, other := p.should.definition[name], p.anySpec(name)
	now := *was
	object := make(map[string]any)
	given := other.fields()
	for _, field := range definition.Fields {
		if field == "mode" || !p.oneIn(4) {
			continue
		}
		object[field] = given[field] // nil takes it away
		switch field {
		case "type":
			now.kind = other.kind
		case "data":
			now.data = other.data
		case "labels":
			now.labels = other.labels
		case "annotations":
			now.annotations = other.annotations
		case "deletionPolicy":
			now.policy = other.policy
		case "suspend":
			now.suspend = other.suspend
		case "refreshInterval":
			now.interval = other.interval
		case "sync":
			now.sync = other.sync
		}
	}
	text, err := json.Marshal(object)
	p.must(err)
	var body map[string]any
	p.must(json.Unmarshal(text, &body))
	change, err := definition.ParseObject(body)
	if err != nil && strings.Contains(err.Error(), "same target") {
		return
	}
	if err != nil {
		p.fail(fmt.Sprintf("%v in %s", err, text))
	}
	e, found := p.repo.Snapshot().Get(p.parse(name))
	if !found {
		p.fail(name + " is not at HEAD")
	}
	if _, err := change.Apply(e.Definition); err != nil || len(object) == 0 {
		return // a list that names one place twice
	}
	p.commit(name, &now, &change)
}

var topLevel = regexp.MustCompile(`(?m)^[A-Za-z]+:`)

// unchanged compares the fields that a change did not name, and the remarks above them.
func (p *property) unchanged(before, after string, fields []string) {
	p.t.Helper()
	parts := func(text string) map[string]string {
		m := make(map[string]string)
		begins := topLevel.FindAllStringIndex(text, -1)
		for i, at := range begins {
			end := len(text)
			if i+1 < len(begins) {
				end = begins[i+1][0]
			}
			lines := strings.SplitAfter(text[at[0]:end], "\n")
			for len(lines) > 1 && (lines[len(lines)-1] == "" || strings.HasPrefix(lines[len(lines)-1], "#")) {
				lines = lines[:len(lines)-1]
			}
			m[text[at[0]:at[1]-1]] = strings.Join(lines, "")
		}
		return m
	}
	was, is := parts(before), parts(after)
	for field, text := range was {
		if !slices.Contains(fields, field) && strings.TrimSuffix(is[field], "\n") != strings.TrimSuffix(text, "\n") {
			p.fail(fmt.Sprintf("a change of %v made of\n%s\nthis:\n%s", fields, before, after))
		}
	}
	for line := range strings.Lines(before) {
		if strings.HasPrefix(line, "# above ") && !slices.Contains(fields, strings.TrimSpace(strings.TrimPrefix(line, "# above "))) && !strings.Contains(after, strings.TrimSpace(line)) {
			p.fail(fmt.Sprintf("a change of %v lost %q of\n%s\nas\n%s", fields, line, before, after))
		}
	}
}

// value writes a value anew, or takes it away.
func (p *property) value() {
	path := fmt.Sprintf("p%d", p.rand.IntN(4))
	v := p.should.values[path]
	switch {
	case v != nil && !v.deleted && p.oneIn(8):
		p.must(p.stack.Vault.Client.KVv2("secret").Delete(p.ctx, p.name+"/"+path))
		v.deleted = true
		p.did = "the deletion of value " + path
	default:
		p.write(path)
		p.did = fmt.Sprintf("a new value at %s with %q", path, slices.Sorted(maps.Keys(p.should.values[path].data)))
	}
	for name, s := range p.should.definition {
		if slices.Contains(s.paths(), path) {
			p.r.SyncNow(p.tenant(), p.parse(name))
		}
	}
}

// write puts a new version of a value into the vault.
func (p *property) write(path string) {
	version := p.put(path, p.anyValue())
	read, err := p.stack.Vault.Client.KVv2("secret").Get(p.ctx, p.name+"/"+path) // the vault keeps no number of many digits as it was
	p.must(err)
	p.should.values[path] = &modelValue{data: read.Data, version: version}
}

// labelled has a namespace get, change or lose a label.
func (p *property) labelled() {
	cluster, namespace := p.some("production", "staging"), p.should.granted[1+p.rand.IntN(3)]
	team := p.some("x", "y", "")
	labels := map[string]string{"team": team}
	text := fmt.Sprintf(`{"team":%q}`, team)
	if team == "" {
		labels, text = map[string]string{}, `{"team":null}`
	}
	p.did = fmt.Sprintf("namespace %s of %s with labels %s", namespace, cluster, text)
	p.label(cluster, namespace, text)
	p.should.namespaces[cluster+"/"+namespace] = labels
}

// meddle has somebody edit or delete a copy that is right.
func (p *property) meddle() {
	var right []spot
	for at, name := range p.should.holders {
		if last, ok := p.meddled[at]; slices.Equal(p.want[name][at], []Reason{ReasonSynced}) && (!ok || p.steps-last > 60) {
			right = append(right, at)
		}
	}
	if len(right) == 0 {
		return
	}
	slices.SortFunc(right, func(a, b spot) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	at := right[p.rand.IntN(len(right))]
	place := at.cluster + "/" + at.namespace + "/" + at.secret
	c := p.should.stands[at]
	p.meddled[at] = p.steps
	kind := p.rand.IntN(4)
	p.did = fmt.Sprintf("meddling %d with %v", kind, at)
	if kind == 0 {
		p.world.delete(place)
		c.theirs, c.noted = map[string]string{}, map[string]string{}
		return
	}
	p.edit(place, func(s *corev1.Secret) {
		switch kind {
		case 1:
			s.Data["edited"] = []byte("by hand")
		case 2:
			s.Labels["hand"] = "x"
			c.theirs = maps.Clone(c.theirs)
			c.theirs["hand"] = "x"
		case 3:
			delete(s.Annotations, "reloader.example/match")
			delete(s.Labels, "team")
			s.Labels["secretsync.dev/name"] = "another"
		}
	})
}

// fields are those that are given, as in JSON.
func (s *spec) fields() map[string]any {
	f := make(map[string]any)
	if s.kind != "" {
		f["type"] = s.kind
	}
	if s.data != nil {
		data := make(map[string]any)
		for key, from := range s.data {
			m := make(map[string]any)
			for name, text := range map[string]string{"path": from.path, "key": from.key, "field": from.field, "decode": from.decode} {
				if text != "" {
					m[name] = text
				}
			}
			if from.template != nil {
				m["template"] = templateOf(from.template)
			}
			data[key] = m
		}
		f["data"] = data
	}
	if s.labels != nil {
		f["labels"] = s.labels
	}
	if s.annotations != nil {
		f["annotations"] = s.annotations
	}
	if s.policy != "" {
		f["deletionPolicy"] = s.policy
	}
	if s.suspend != nil {
		f["suspend"] = *s.suspend
	}
	if s.interval != "" {
		f["refreshInterval"] = s.interval
	}
	sync := []any{}
	for _, w := range s.sync {
		m := map[string]any{"cluster": w.cluster}
		switch w.operator {
		case "":
			m["namespace"] = w.namespace
		case "matchLabels":
			m["namespaceSelector"] = map[string]any{"matchLabels": map[string]any{"team": w.teams[0]}}
		default:
			e := map[string]any{"key": "team", "operator": w.operator}
			if w.teams != nil {
				e["values"] = w.teams
			}
			m["namespaceSelector"] = map[string]any{"matchExpressions": []any{e}}
		}
		if w.secret != "" {
			m["secretName"] = w.secret
		}
		if w.restart != nil {
			m["restart"] = w.restart
		}
		sync = append(sync, m)
	}
	f["sync"] = sync
	return f
}

func templateOf(pieces []piece) string {
	var b strings.Builder
	for _, p := range pieces {
		switch {
		case p.key == "":
			b.WriteString(p.text)
		case p.function == "get":
			fmt.Fprintf(&b, "{{ get . %q | default \"none\" }}", p.key)
		case p.function != "":
			fmt.Fprintf(&b, "{{ .%s | %s }}", p.key, p.function)
		default:
			fmt.Fprintf(&b, "{{ .%s }}", p.key)
		}
	}
	return b.String()
}

// written is a file as people write it.
func (p *property) written(s *spec) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Owned by somebody.\nname: %s\nsecretPath: %s # where it lies\n", s.name, s.path)
	fields := s.fields()
	names := slices.Sorted(maps.Keys(fields))
	p.rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, name := range names {
		if p.oneIn(3) {
			fmt.Fprintf(&b, "# above %s\n", name)
		}
		block, isMap := fields[name].(map[string]any)
		if marks, ok := fields[name].(map[string]string); ok {
			block, isMap = make(map[string]any), true
			for key, text := range marks {
				block[key] = text
			}
		}
		list, isList := fields[name].([]any)
		remark := p.some("", " # remark", "  # another: {remark}")
		switch {
		case isMap && len(block) > 0 && p.oneIn(2):
			fmt.Fprintf(&b, "%s:%s\n", name, remark)
			for _, key := range slices.Sorted(maps.Keys(block)) {
				fmt.Fprintf(&b, "  %q: %s%s\n", key, flow(block[key]), p.some("", " # of "+key))
			}
		case isList && len(list) > 0 && p.oneIn(2):
			fmt.Fprintf(&b, "%s:%s\n", name, remark)
			for _, item := range list {
				fmt.Fprintf(&b, "  - %s%s\n", flow(item), p.some("", " # here"))
			}
		default:
			fmt.Fprintf(&b, "%s: %s%s\n", name, flow(fields[name]), remark)
		}
	}
	if p.oneIn(4) {
		return strings.TrimSuffix(b.String(), "\n")
	}
	return b.String()
}

// flow is a value on one line.
func flow(v any) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSpace(out.String())
}

// anySpec makes a definition with any of the fields.
func (p *property) anySpec(name string) *spec {
	s := &spec{name: name, path: fmt.Sprintf("p%d", p.rand.IntN(3))}
	if was := p.should.definition[name]; was != nil && !p.oneIn(4) {
		s.path = was.path
	}
	if p.oneIn(2) {
		s.kind = p.some("Opaque", "kubernetes.io/tls", "kubernetes.io/basic-auth", "kubernetes.io/ssh-auth", "kubernetes.io/dockerconfigjson", "example.com/own")
	}
	if !p.oneIn(4) {
		s.data = make(map[string]source)
		for range 1 + p.rand.IntN(4) {
			s.data[p.some("a", "b.c", "url", "username", "server", "n_1")] = p.anySource()
		}
	}
	if s.kind != "" && !p.oneIn(4) { // data that are likely to fit
		s.data = map[string]source{"more": p.anySource()}
		switch s.kind {
		case "kubernetes.io/tls":
			s.data["tls.crt"], s.data["tls.key"] = source{key: "certificate"}, source{key: "private_key"}
		case "kubernetes.io/ssh-auth":
			s.data["ssh-privatekey"] = source{key: "password"}
		case "kubernetes.io/dockerconfigjson":
			s.data = nil
		default:
			s.data["username"] = source{key: "username"}
		}
	}
	marks := func(names ...string) map[string]string {
		m := make(map[string]string)
		for _, name := range names {
			if p.oneIn(2) {
				m[name] = p.some("x", "payments", "true", "1")
			}
		}
		return m
	}
	if p.oneIn(2) {
		s.labels = marks("team", "tier", "example.com/kind")
	}
	if p.oneIn(2) {
		s.annotations = marks("reloader.example/match", "note")
		if p.oneIn(3) {
			s.annotations["note"] = p.some("a: b # c", "two\nlines", "ü", " lead", "'\"")
		}
	}
	s.policy = p.some("", "Retain", "Delete", "Delete")
	if p.oneIn(4) {
		is := p.oneIn(2)
		s.suspend = &is
	}
	s.interval = p.some("", "", "1s", "30s", "5m")
	for range p.rand.IntN(4) {
		w := wish{cluster: p.some("production", "staging"), secret: p.some("", "", "shared", "foreign", "def-0")}
		switch {
		case p.oneIn(3):
			w.operator = p.some("matchLabels", "In", "NotIn", "Exists", "DoesNotExist")
			switch w.operator {
			case "matchLabels":
				w.teams = []string{p.some("x", "y")}
			case "In", "NotIn":
				w.teams = [][]string{{"x"}, {"x", "y"}}[p.rand.IntN(2)]
			}
		case p.oneIn(10):
			w.namespace = "foreign-" + p.name
		default:
			w.namespace = p.should.granted[p.rand.IntN(len(p.should.granted))]
			if p.oneIn(12) {
				w.cluster = "nowhere"
			}
		}
		if p.oneIn(4) {
			w.restart = [][]string{{"deployment/web"}, {"statefulset/db", "daemonset/x"}}[p.rand.IntN(2)]
		}
		s.sync = append(s.sync, w)
	}
	return s
}

func (p *property) anySource() source {
	from := source{}
	if p.oneIn(4) {
		from.path = fmt.Sprintf("p%d", p.rand.IntN(4))
	}
	switch p.rand.IntN(5) {
	case 0:
		from.key = p.some("json", "text")
		from.field = p.some("s", "n", "l.1", "o.x", "z", "b", "o", "nope", "l.7")
	case 1:
		from.key, from.decode = "base64", "base64"
		if p.oneIn(3) {
			from.key, from.decode = "hex", "hex"
		}
	case 2:
		from.template = []piece{{text: "postgres://"}}
		for range 1 + p.rand.IntN(3) {
			from.template = append(from.template, piece{key: p.some("username", "password", "number", "maybe"), function: p.some("", "urlquery", "b64enc", "upper")}, piece{text: p.some(":", "@db/app", "\n  ")})
		}
		from.template = append(from.template, piece{key: "maybe", function: "get"})
	default:
		from.key = p.some("username", "password", "number", "empty", "json", "maybe")
	}
	return from
}

// anyValue makes a value, with what definitions ask for more often than not.
func (p *property) anyValue() map[string]any {
	text := func() string {
		return fmt.Sprintf("%s-%d%s", canary, p.rand.Uint32(), p.some("", "@x/y z&", "\"'", "ü", "\nline"))
	}
	json1 := map[string]any{
		"s": canary + "s", "n": json.Number("12345678901234567890"), "l": []any{canary, json.Number("1.50")}, "o": map[string]any{"x": canary + "x"}, "z": nil, "b": true,
	}
	raw := make([]byte, 1+p.rand.IntN(40))
	for i := range raw {
		raw[i] = byte(p.rand.Uint32())
	}
	encoded := base64.StdEncoding.EncodeToString(raw)
	pair := p.should.pairs[p.rand.IntN(2)]
	v := map[string]any{
		"username": text(), "password": text(), "number": json.Number("1000000000000000000001"), "json": json1, "text": textOf(json1), "empty": nil,
		"base64":      p.some(encoded, strings.TrimRight(encoded, "="), encoded[:2]+"\n"+encoded[2:]+"\n"),
		"hex":         hex.EncodeToString(raw),
		"certificate": pair[0], "private_key": pair[1], "server": "registry.example.com",
	}
	if p.oneIn(2) {
		v["maybe"] = p.some(text(), "")
	}
	if p.oneIn(2) {
		v["email"] = canary + "@example.com"
	}
	switch p.rand.IntN(16) { // something is wrong with it
	case 0:
		v["private_key"] = p.should.pairs[p.rand.IntN(2)][1]
	case 1:
		v["base64"], v["hex"] = canary+"!!", canary
	case 2:
		delete(v, p.some("username", "password", "json", "server"))
	case 3:
		v["text"] = canary + " is no JSON"
	case 4:
		v["odd key!"] = canary
	}
	return v
}
