package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"secretsync/examples/devstack"
)

// A replica may be told to end before it has taken part in anything. What it waits for at that moment it waits for no more, and
// it ends as in order.
func TestAReplicaThatIsToldToEndWhileItStarts(t *testing.T) {
	for name, c := range map[string]struct {
		fault devstack.Fault // of the API server of its home
		says  string         // to probes
	}{
		"its keys can't be read": {devstack.Fault{Status: http.StatusServiceUnavailable}, "can't begin yet"},
		"it can't join the others": {devstack.Fault{Status: http.StatusServiceUnavailable, Match: func(r *http.Request) bool {
			return strings.Contains(r.URL.Path, "/leases")
		}}, "can't be reached from this replica"},
		"the API server does not answer": {devstack.Fault{Drop: true, Match: func(r *http.Request) bool {
			return strings.Contains(r.URL.Path, "/leases")
		}}, "this replica has not joined the others yet"},
	} {
		t.Run(name, func(t *testing.T) {
			f := makeFleet(t, 1, 1, 4*time.Second)
			r := f.replicas[0]
			r.proxy.Inject(c.fault)
			f.must(r.launch())
			await(t, "its probe says what it waits for", func() bool {
				response, err := http.Get(r.metrics + "/readyz") // which tells also what it waits for before there is an API
				if err != nil {
					return false
				}
				defer response.Body.Close()
				content, _ := io.ReadAll(response.Body)
				return response.StatusCode == http.StatusServiceUnavailable && strings.Contains(string(content), c.says)
			})
			if err := r.stop(syscall.SIGTERM); err != nil {
				t.Error(err)
			}
			r.proxy.Clear()
			f.must(r.serve()) // nothing that it left behind is in the way of the next one
			f.answers(r)
		})
	}
}

// Who is told to end serves on for a while; who is told so twice ends at once. What was answered stands all the same.
func TestASecondSignalEndsAServerAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		first, second syscall.Signal
		inside        bool // it is the first process of its container, which the kernel spares the signals that nobody handles
	}{
		"interrupted twice":                   {syscall.SIGINT, syscall.SIGINT, false},
		"by who stops services":               {syscall.SIGTERM, syscall.SIGTERM, false},
		"one of each":                         {syscall.SIGTERM, syscall.SIGINT, false},
		"as the first process of a container": {syscall.SIGTERM, syscall.SIGTERM, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorldOf(t)
			w.configure(t, "drain: 10m")
			if c.inside {
				w.contain(t)
			}
			if err := w.serve(); err != nil {
				t.Fatal(err)
			}
			pid := w.server.Process.Pid
			if c.inside {
				children := strings.Fields(readFile(t, fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)))
				if len(children) != 1 {
					t.Fatalf("its processes are %q", children)
				}
				pid, _ = strconv.Atoi(children[0])
			}
			write := func(name string) {
				t.Helper()
				w.must(t, 201, "POST", "/tenants/acme/secrets", `{"name":"`+name+`","secretPath":"value"}`)
			}
			write("before")
			if err := syscall.Kill(pid, c.first); err != nil {
				t.Fatal(err)
			}
			await(t, "it is not ready", func() bool {
				response, err := http.Get(w.url + "/readyz")
				if err != nil {
					return false
				}
				response.Body.Close()
				return response.StatusCode == http.StatusServiceUnavailable
			})
			write("meanwhile")
			if err := syscall.Kill(pid, c.second); err != nil {
				t.Fatal(err)
			}
			err := <-w.exited
			w.server = nil
			w.log.Close()
			ended, ok := errors.AsType[*exec.ExitError](err)
			if !ok {
				t.Fatalf("it ends with %v; want what tells that it did not end in order", err)
			}
			if status := ended.Sys().(syscall.WaitStatus); !c.inside && (!status.Signaled() || status.Signal() != c.second) || c.inside && status.ExitStatus() != 2 {
				t.Errorf("it ends with %v", err)
			}
			if strings.Contains(readFile(t, filepath.Join(w.dir, "server.log")), "msg=stopped") {
				t.Error("it says that it ended in order")
			}
			if out, err := exec.Command("git", "-C", w.repository("acme"), "fsck", "--full", "--strict").CombinedOutput(); err != nil {
				t.Errorf("git fsck: %v\n%s", err, out)
			}
			w.program = ""
			if err := w.serve(); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"before", "meanwhile"} {
				w.must(t, 200, "GET", "/tenants/acme/secrets/"+name, "")
			}
		})
	}
}

// contain has the server run as the first process of a namespace of its own.
func (w *world) contain(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("unshare", "--pid", "--fork", "true").CombinedOutput(); err != nil {
		t.Skipf("unshare --pid: %v\n%s", err, out) // who is not the administrator of the machine may not
	}
	w.program = filepath.Join(w.dir, "contained")
	if err := os.WriteFile(w.program, []byte("#!/bin/sh\nexec unshare --pid --fork --kill-child secretsync \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}
