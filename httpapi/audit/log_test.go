package audit

import (
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	testingclock "k8s.io/utils/clock/testing"
)

// world is a log in a file, and what it says of itself.
type world struct {
	*testing.T
	*Log
	path  string
	clock *testingclock.FakePassiveClock
	said  strings.Builder
}

func newWorld(t *testing.T, path string) *world {
	w := &world{T: t, path: path, clock: testingclock.NewFakePassiveClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))}
	w.open()
	t.Cleanup(func() { w.Log.Close() })
	return w
}

func (w *world) open() {
	w.Helper()
	var err error
	w.Log, err = Open(Config{File: w.path, Clock: w.clock, Log: slog.New(slog.NewTextHandler(&w.said, nil))})
	if err != nil {
		w.Fatal(err)
	}
}

// lines returns what a file holds: of each line its kind and its subject.
func lines(t *testing.T, path string) (told []string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		var e Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			told = append(told, "torn")
			continue
		}
		told = append(told, strings.TrimSpace(string(e.Kind)+" "+e.Subject))
	}
	return told
}

func (w *world) holds(path string, want ...string) {
	w.Helper()
	if diff := cmp.Diff(want, lines(w.T, path)); diff != "" {
		w.Errorf("%s (-want +got):\n%s", filepath.Base(path), diff)
	}
}

func key(id string) Event { return Event{Kind: KeyMade, Subject: id} }

func TestAFileIsAppendedToAndReadByNobodyElse(t *testing.T) {
	w := newWorld(t, filepath.Join(t.TempDir(), "audit.log"))
	w.Record(key("ak-1"))
	w.Log.Close()
	w.open()
	w.Record(key("ak-2"))
	w.holds(w.path, "key-made ak-1", "key-made ak-2")
	info, err := os.Stat(w.path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestAFileThatIsMovedIsLeftAlone(t *testing.T) {
	for name, next := range map[string]func(*world){
		"by the next line": func(*world) {},
		"by a signal":      func(w *world) { w.Reopen() },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, filepath.Join(t.TempDir(), "audit.log"))
			w.Record(key("ak-1"))
			if err := os.Rename(w.path, w.path+".1"); err != nil {
				t.Fatal(err)
			}
			next(w)
			w.Record(key("ak-2"))
			w.holds(w.path+".1", "key-made ak-1")
			w.holds(w.path, "key-made ak-2")
		})
	}
	t.Run("and another one that has its name is taken", func(t *testing.T) {
		w := newWorld(t, filepath.Join(t.TempDir(), "audit.log"))
		w.Record(key("ak-1"))
		if err := os.Rename(w.path, w.path+".1"); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(w.path, nil, 0o640); err != nil {
			t.Fatal(err)
		}
		w.Record(key("ak-2"))
		w.holds(w.path, "key-made ak-2")
	})
}

// A full disk is /dev/full, behind a link that can be led elsewhere.
func TestWhatCanNotBeWrittenIsCountedAndToldOnce(t *testing.T) {
	dir := t.TempDir()
	path, real := filepath.Join(dir, "audit.log"), filepath.Join(dir, "real.log")
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, path)
	for range 3 {
		w.Record(key("ak-lost"))
		w.clock.SetTime(w.clock.Now().Add(time.Minute))
	}
	if n := strings.Count(w.said.String(), "\n"); n != 1 || !strings.Contains(w.said.String(), "no space left") {
		t.Errorf("it was told %d times:\n%s", n, w.said.String())
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, path); err != nil {
		t.Fatal(err)
	}
	w.Record(key("ak-2"))
	w.Record(key("ak-3"))
	w.holds(real, "lost", "key-made ak-2", "key-made ak-3")
	content, _ := os.ReadFile(real)
	if !strings.Contains(string(content), `"count":3,"since":"2026-01-02T03:04:05Z"`) {
		t.Errorf("%s", content)
	}
	if !strings.Contains(w.said.String(), "written again") {
		t.Errorf("%s", w.said.String())
	}
}

func TestALineThatWasCutOffSpoilsNoOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, []byte(`{"time":"2026-01-`), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, path)
	w.Record(key("ak-1"))
	w.holds(path, "torn", "key-made ak-1")

	t.Run("nor does one that this process could write but in part", func(t *testing.T) {
		var b strings.Builder
		l, err := Open(Config{Stream: &tearing{Writer: &b, room: 20}})
		if err != nil {
			t.Fatal(err)
		}
		l.Record(key("ak-1"))
		l.Record(key("ak-2"))
		told := slices.Collect(strings.Lines(b.String()))
		if len(told) != 3 || !strings.Contains(told[1], `"lost"`) || !strings.Contains(told[2], "ak-2") {
			t.Errorf("%q", told)
		}
	})
}

// tearing has room for a few bytes once, as a disk that is nearly full.
type tearing struct {
	io.Writer
	room int
}

func (w *tearing) Write(p []byte) (int, error) {
	if w.room > 0 {
		n, _ := w.Writer.Write(p[:w.room])
		w.room = 0
		return n, io.ErrShortWrite
	}
	return w.Writer.Write(p)
}

func TestAFileThatCanNotBeOpenedIsAnErrorAtOnce(t *testing.T) {
	if _, err := Open(Config{File: filepath.Join(t.TempDir(), "none", "audit.log")}); err == nil {
		t.Error("no error")
	}
}

// Anybody can be refused as often as he likes; that must not fill a disk.
func TestAFloodOfRefusalsIsToldOnceASecond(t *testing.T) {
	w := newWorld(t, filepath.Join(t.TempDir(), "audit.log"))
	for range 1000 {
		w.Record(Event{Kind: Denied, Reason: Limited})
	}
	w.Record(Event{Kind: Denied, Reason: WrongKey})           // a guess is always told
	w.Record(Event{Kind: Denied, Reason: Limited, Key: "ak"}) // and what somebody with a right key does
	w.clock.SetTime(w.clock.Now().Add(time.Second))
	w.Record(Event{Kind: Denied, Reason: Limited})
	content, _ := os.ReadFile(w.path)
	if n := strings.Count(string(content), "\n"); n != 4 || !strings.Contains(string(content), `"repeated":999`) {
		t.Errorf("%d lines:\n%s", n, content)
	}
}

const page = "../../examples/audit/README.md"

// What is documented is what there is.
func TestThePageNamesEveryKindReasonAndField(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_-]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, row[1])
	}
	var there []string
	for _, k := range Kinds() {
		there = append(there, string(k))
	}
	for _, r := range Reasons() {
		there = append(there, string(r))
	}
	for field := range reflect.TypeFor[Event]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		there = append(there, name)
	}
	slices.Sort(documented)
	slices.Sort(there)
	if diff := cmp.Diff(there, documented); diff != "" {
		t.Errorf("code and %s differ (-code +page):\n%s", page, diff)
	}
}

// A line of each kind, as the page shows it, is what a reader of JSON takes for one.
func TestTheLinesOfThePageAreLinesOfTheLog(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, `{"time"`) {
			continue
		}
		n++
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		var e Event
		if err := d.Decode(&e); err != nil || !slices.Contains(Kinds(), e.Kind) {
			t.Errorf("%v in %s", err, line)
		}
	}
	if n < 3 {
		t.Errorf("%d lines", n)
	}
}
