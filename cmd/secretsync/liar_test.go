package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// liar is a server that goes on giving the answers that were recorded, changed
// as a script says, whatever happens to what they are about.
type liar struct {
	mu   sync.Mutex
	list map[string]any
}

// liars are by their world.
var liars sync.Map

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !strings.HasSuffix(r.URL.Path, "/tenants/acme/secrets") {
		http.NotFound(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(l.list) // a client that went away notices
}

// recordAnswers keeps the list of definitions as the server gives it, and
// starts a liar that repeats it at $LIAR.
func recordAnswers(ts *testscript.TestScript, _ bool, _ []string) {
	answer, err := worldOf(ts).call("reader", "GET", "/tenants/acme/secrets", "", "")
	ts.Check(err)
	l := &liar{}
	ts.Check(json.Unmarshal([]byte(answer.body), &l.list))
	liars.Store(worldOf(ts), l)
	server := httptest.NewServer(l)
	ts.Defer(server.Close)
	ts.Setenv("LIAR", server.URL)
}

// tellLie changes what the liar says of a definition: its phase, or a field of
// its first target.
func tellLie(ts *testscript.TestScript, _ bool, args []string) {
	kept, ok := liars.Load(worldOf(ts))
	if !ok {
		ts.Fatalf("record first")
	}
	l := kept.(*liar)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, item := range l.list["items"].([]any) {
		definition := item.(map[string]any)
		if definition["name"] != args[0] {
			continue
		}
		status := definition["status"].(map[string]any)
		for field, value := range pairs(ts, args[1:]) {
			if field == "phase" {
				status[field] = value
				continue
			}
			target := status["syncStatuses"].([]any)[0].(map[string]any)
			if number, err := strconv.Atoi(value); err == nil {
				target[field] = number
			} else {
				target[field] = value
			}
		}
		return
	}
	ts.Fatalf("the server spoke of no definition %s", args[0])
}

func defineSynced(ts *testscript.TestScript, _ bool, args []string) {
	w := worldOf(ts)
	for _, name := range args[1:] {
		ts.Check(w.put("acme/"+name, map[string]any{"password": "canary of " + name}))
		body := fmt.Sprintf(`{"name":%q,"secretPath":%q,"sync":[{"cluster":"production","namespace":%q}]}`, name, name, args[0])
		for _, request := range [][3]string{{"POST", "/tenants/acme/secrets", body}, {"GET", "/tenants/acme/secrets/" + name + "?wait=Active&timeout=30s", ""}} {
			answer, err := w.call("admin", request[0], request[1], request[2], "")
			ts.Check(err)
			if answer.status >= 300 || request[0] == "GET" && !strings.Contains(answer.body, `"phase":"Active"`) {
				ts.Fatalf("%s %s: %d %s", request[0], request[1], answer.status, answer.body)
			}
		}
	}
}

func keepRevision(ts *testscript.TestScript, neg bool, args []string) {
	keepETag(ts, neg, args)
	ts.Setenv(args[1], strings.Trim(ts.Getenv(args[1]), `"`))
}

// keepKey writes an actor's key into a file.
func keepKey(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(worldOf(ts).keys[args[0]]+"\n"), 0o600))
}

func forgetValue(ts *testscript.TestScript, _ bool, args []string) {
	w := worldOf(ts)
	ts.Check(w.stack.Vault.Client.KVv2("secret").Delete(context.Background(), w.prefix+"/"+args[0]))
}

func labelSecret(ts *testscript.TestScript, _ bool, args []string) {
	_, err := worldOf(ts).client(args[0]).CoreV1().Secrets(args[1]).Patch(context.Background(), args[2],
		types.MergePatchType, []byte(`{"metadata":{"labels":{"secretsync.dev/name":"another"}}}`), metav1.PatchOptions{})
	ts.Check(err)
}

func retypeSecret(ts *testscript.TestScript, _ bool, args []string) {
	secrets := worldOf(ts).client(args[0]).CoreV1().Secrets(args[1])
	s, err := secrets.Get(context.Background(), args[2], metav1.GetOptions{})
	ts.Check(err)
	ts.Check(secrets.Delete(context.Background(), args[2], metav1.DeleteOptions{}))
	_, err = secrets.Create(context.Background(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: s.Name, Labels: s.Labels, Annotations: s.Annotations}, Type: "example.org/other", Data: s.Data,
	}, metav1.CreateOptions{})
	ts.Check(err)
}

func checkExit(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("%s exits with %d, not %s", strings.Join(args[1:], " "), code, args[0])
	}
}
