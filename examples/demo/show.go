package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"secretsync/httpapi/client"

	"golang.org/x/term"
)

var chapter int

func heading(title string) {
	chapter++
	text := fmt.Sprintf("%d. %s", chapter, title)
	if term.IsTerminal(int(os.Stdout.Fd())) {
		text = "\033[1m" + text + "\033[0m"
	}
	fmt.Printf("\n%s\n", text)
}

// A screen shows what is written to it, and keeps back what is written while it holds.
type screen struct {
	mu      sync.Mutex
	holding bool
	held    bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holding {
		return s.held.Write(p)
	}
	return os.Stdout.Write(p)
}

func (s *screen) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holding = true
}

func (s *screen) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holding = false
	s.held.WriteTo(os.Stdout)
}

// answer is what came back from the API.
type answer struct {
	status int
	header http.Header
	body   []byte
	secret secret
	list   struct{ Items []secret }
}

// call makes a request below the tenant's path and shows it with its answer. Header names and values alternate.
func (d *demo) call(ctx context.Context, method, path, body string, header ...string) (answer, error) {
	fmt.Printf("\n> %s /api/v1/tenants/%s%s\n", method, tenant, path)
	for i := 0; i < len(header); i += 2 {
		fmt.Printf("> %s: %s\n", header[i], header[i+1])
	}
	if body != "" {
		fmt.Printf("> %s\n", body)
	}
	a, err := d.send(ctx, method, path, body, header...)
	if err != nil {
		return a, err
	}
	fmt.Printf("< %d %s\n", a.status, http.StatusText(a.status))
	for _, name := range []string{"ETag", "Location", "Warning"} {
		if value := a.header.Get(name); value != "" {
			fmt.Printf("< %s: %s\n", name, value)
		}
	}
	for line := range strings.Lines(pretty(a.body)) {
		fmt.Printf("< %s\n", strings.TrimRight(line, "\n"))
	}
	return a, nil
}

// An innermost object that fits on a line stands on one.
var (
	innermost = regexp.MustCompile(`\{[^{}\[\]]*\}`)
	lineBreak = regexp.MustCompile(`\s*\n\s*`)
)

func pretty(body []byte) string {
	var indented bytes.Buffer
	if json.Indent(&indented, body, "", "  ") != nil {
		return string(body)
	}
	return innermost.ReplaceAllStringFunc(indented.String(), func(object string) string {
		if line := lineBreak.ReplaceAllString(object, " "); len(line) < 130 {
			return line
		}
		return object
	})
}

// client asks what isn't shown.
func (d *demo) client() *client.Client {
	return &client.Client{URL: d.url, Tenant: tenant, Key: d.key}
}

// send makes a request as curl does, since it is shown as one.
func (d *demo) send(ctx context.Context, method, path, body string, header ...string) (a answer, err error) {
	request, err := http.NewRequestWithContext(ctx, method, d.url+"/api/v1/tenants/"+tenant+path, strings.NewReader(body))
	if err != nil {
		return a, err
	}
	request.Header.Set("Authorization", "Bearer "+d.key)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	a.status, a.header = response.StatusCode, response.Header
	if a.body, err = io.ReadAll(response.Body); err != nil || len(a.body) == 0 {
		return a, err
	}
	if err := json.Unmarshal(a.body, &a.secret); err != nil {
		return a, fmt.Errorf("the answer to %s %s: %w", method, path, err)
	}
	return a, json.Unmarshal(a.body, &a.list)
}

// patience is how long anything may take that must come: most takes no second, but on a machine that is busy.
const patience = 2 * time.Minute

// awaitActive waits until every target of the definition is synced.
func (d *demo) awaitActive(ctx context.Context) error {
	stands, err := d.client().GetSecret(ctx, definition, client.WaitOptions{For: "Active", Timeout: patience})
	if err == nil && stands.Status.Phase != "Active" {
		err = fmt.Errorf("the phase is %q after %s; want Active", stands.Status.Phase, patience)
	}
	return err
}

// await asks again and again, while there is patience.
func await(ctx context.Context, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("it did not come within %s", patience))
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if ok, err := done(ctx); ok || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// git runs stock git, as Dana, and shows it.
func (d *demo) git(ctx context.Context, dir string, args ...string) error {
	return d.show(ctx, dir, "git", args...)
}

func (d *demo) show(ctx context.Context, dir, program string, args ...string) error {
	fmt.Printf("\n$ %s\n", quoted(append([]string{filepath.Base(program)}, args...)))
	command := exec.CommandContext(ctx, program, args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_PAGER=cat",
		"GIT_AUTHOR_NAME=Dana", "GIT_AUTHOR_EMAIL=dana@example.com",
		"GIT_COMMITTER_NAME=Dana", "GIT_COMMITTER_EMAIL=dana@example.com")
	output, err := command.CombinedOutput()
	if len(output) > 0 {
		fmt.Println(strings.TrimRight(string(output), "\n"))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	return nil
}

func quoted(words []string) string {
	for i, word := range words {
		if strings.ContainsAny(word, " %<>$") {
			words[i] = "'" + word + "'"
		}
	}
	return strings.Join(words, " ")
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") + "\n"
}

// printMeanwhile prints what to do while the other parts are built. Nothing, if they are there.
func (d *demo) printMeanwhile() {
	unbuilt := d.stack.Unbuilt()
	if unbuilt == "" {
		return
	}
	fmt.Printf(`
That is what there is without a vault and clusters. They are being built, once: %s.
The first Secret is there when they are. Look around meanwhile, in another terminal, and change nothing yet: the story goes on
from here.

%s
  xdg-open "$SECRETSYNC"                   # the console: sign in with the key
  secretsync get                           # and create, edit, status, history: secretsync --help
  curl -sS -H "Authorization: Bearer $KEY" "$SECRETSYNC/api/v1/tenants/acme/secrets"
  git clone "$REPOSITORY" acme-secrets     # definitions are the files under secrets

To read: README.md from "How it works" on, and the definitions and roles in examples.

`, unbuilt, d.environment())
}

// environment is what to type first in another terminal.
func (d *demo) environment() string {
	return fmt.Sprintf(`  export SECRETSYNC=%s
  export KEY=%s
  export SECRETSYNC_URL=$SECRETSYNC SECRETSYNC_TENANT=acme SECRETSYNC_KEY=$KEY
  export REPOSITORY=%s
  export PATH=%s:$PATH
`, d.url, d.key, d.repository, filepath.Dir(d.binary))
}

// printInvitation prints what to try while everything runs.
func (d *demo) printInvitation() {
	production := d.stack.Cluster("production").AdminKubeconfig
	fmt.Printf(`
Everything stays up until Ctrl-C. In another terminal:

%s
  git clone "$REPOSITORY" acme-secrets     # edit a file under secrets, commit, push
  curl -sS -H "Authorization: Bearer $KEY" "$SECRETSYNC/api/v1/tenants/acme/secrets"
  kubectl --kubeconfig %s get secrets -A

Vault: %s, token %s
The server's log: %s

In a browser, with the key as it stands above:

  %s

And three commands to try:

  secretsync status                        # what is wrong first; add a name for what to do about it
  secretsync edit db-password              # a mistake is told with its line, a lost race with both sides
  kubectl --kubeconfig %s get secrets -A -l app.kubernetes.io/managed-by=secretsync -w
`, d.environment(), d.stack.Cluster("staging").AdminKubeconfig,
		d.stack.Vault.Address, d.stack.Vault.RootToken, d.server.Log(), d.url, production)
}
