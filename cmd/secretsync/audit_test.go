package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"secretsync/httpapi/audit"
)

// audited returns what an audit file holds, without a line that is being written.
func audited(t *testing.T, path string) (events []audit.Event) {
	t.Helper()
	for line := range strings.Lines(readFile(t, path)) {
		if !strings.HasSuffix(line, "\n") {
			break
		}
		var e audit.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		events = append(events, e)
	}
	return events
}

// awaitAudited waits for an event in a file that may not be there yet.
func awaitAudited(t *testing.T, path string, is func(audit.Event) bool) audit.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		if _, err := os.Stat(path); err == nil {
			if events := audited(t, path); slices.ContainsFunc(events, is) {
				return events[slices.IndexFunc(events, is)]
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not in %s: %+v", path, audited(t, path))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// The stream tells a change from the key that made it to the value that it had read, over
// a rotation, and what was done to the server itself.
func TestTheAuditStreamTellsWhoDidWhat(t *testing.T) {
	w := startWorld(t, "audit: {file: audit.log}")
	path := filepath.Join(w.dir, "audit.log")
	if err := w.put("acme/audited", map[string]any{"password": "one"}); err != nil {
		t.Fatal(err)
	}
	w.must(t, 201, "POST", "/tenants/acme/secrets", `{"name":"audited","secretPath":"audited","sync":[{"cluster":"production","namespace":"default"}]}`)
	// Before it was answered.
	written := audited(t, path)
	made := written[slices.IndexFunc(written, func(e audit.Event) bool { return e.Kind == audit.DefinitionsWritten })]
	if made.Name != "audited" || made.Tenant != "acme" || made.Role != "admin" || made.Commit == "" || made.Status != 201 {
		t.Errorf("%+v", made)
	}
	changed := awaitAudited(t, path, func(e audit.Event) bool { return e.Kind == audit.DefinitionsChanged && e.Commit == made.Commit })
	if !slices.Equal(changed.Changed, []string{"audited"}) || changed.Tenant != "acme" {
		t.Errorf("%+v", changed)
	}
	read := awaitAudited(t, path, func(e audit.Event) bool { return e.Kind == audit.ValueRead })
	if read.Path != "secret/"+w.prefix+"/acme/audited" || read.Version != 1 || read.Tenant != "acme" {
		t.Errorf("%+v", read)
	}

	// logrotate moves it and sends a signal.
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	w.configure(t, "minRefreshInterval: 2s")
	if err := w.server.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	again := awaitAudited(t, path, func(e audit.Event) bool { return e.Kind == audit.ConfigurationChanged })
	if !slices.Equal(again.Changed, []string{"minRefreshInterval"}) {
		t.Errorf("%+v", again)
	}
	w.configure(t, "nonsense: true")
	awaitAudited(t, path, func(e audit.Event) bool { return e.Kind == audit.ConfigurationRefused })
	if err := w.stop(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	first, last := audited(t, path+".1")[0], audited(t, path)
	if first.Kind != audit.Started || last[len(last)-1].Kind != audit.Stopped {
		t.Errorf("first %+v, last %+v", first, last[len(last)-1])
	}
}
