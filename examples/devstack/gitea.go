package devstack

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"text/template"
	"time"
)

const (
	giteaModule = "examples/devstack/gitea"
	giteaPath   = "code.gitea.io/gitea"
)

// A Gitea is a real forge: people, organisations, protected branches, pull requests, webhooks. It takes deliveries of
// webhooks to loopback addresses only.
type Gitea struct {
	URL   string // without a slash at its end
	Admin *Person

	folder  string
	program string
	process *Process
}

// A Person has an account at a Gitea.
type Person struct {
	Name, Password, Token string

	forge *Gitea
}

var giteaConfig = template.Must(template.New("").Parse(`APP_NAME = devstack
RUN_MODE = prod
RUN_USER = {{.User}}
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
PROTOCOL = http
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {{.Port}}
ROOT_URL = {{.URL}}/
STATIC_ROOT_PATH = {{.Static}}
DISABLE_SSH = true
OFFLINE_MODE = true
[database]
DB_TYPE = sqlite3
[repository]
DEFAULT_BRANCH = main
[security]
INSTALL_LOCK = true
SECRET_KEY = {{.Secret}}
[service]
DISABLE_REGISTRATION = true
[webhook]
ALLOWED_HOST_LIST = loopback
[cron]
ENABLED = false
[actions]
ENABLED = false
[packages]
ENABLED = false
[indexer]
ISSUE_INDEXER_TYPE = db
[log]
MODE = console
LEVEL = Warn
`))

// StartGitea builds a Gitea if that is not there yet, starts it and returns when it answers. It ends with the stack. A stack
// may have several.
func (s *Stack) StartGitea(ctx context.Context) (*Gitea, error) {
	folder, err := os.MkdirTemp(s.Dir, "gitea-")
	if err != nil {
		return nil, fmt.Errorf("devstack: gitea: %w", err)
	}
	g := &Gitea{folder: folder}
	if err := g.start(ctx, s); err != nil {
		return nil, fmt.Errorf("devstack: gitea: %w", err)
	}
	return g, nil
}

func (g *Gitea) start(ctx context.Context, s *Stack) error {
	if err := s.builder.provide(ctx, s.supply.gitea); err != nil {
		return err
	}
	g.program = s.Binaries.gitea
	static, err := s.builder.moduleFolder(ctx, s.supply.gitea, giteaPath)
	if err != nil {
		return err
	}
	who, err := user.Current()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(g.folder, "conf"), 0o700); err != nil {
		return err
	}
	err = withPorts(freePorts(1), func(ports []int) error {
		g.URL = fmt.Sprintf("http://127.0.0.1:%d", ports[0])
		var config bytes.Buffer
		err := giteaConfig.Execute(&config, map[string]any{"User": who.Username, "Port": ports[0], "URL": g.URL, "Static": static, "Secret": rand.Text()})
		if err != nil {
			return err
		}
		if err := os.WriteFile(g.config(), config.Bytes(), 0o600); err != nil {
			return err
		}
		g.process = s.Program(filepath.Base(g.folder), append([]string{g.program}, g.arguments("web")...), func(ctx context.Context) error {
			return answers(ctx, http.DefaultClient, g.URL+"/api/healthz")
		})
		g.process.env = g.environment()
		return g.process.Start(ctx)
	})
	if err != nil {
		return err
	}
	g.Admin = &Person{Name: "overseer", Password: rand.Text(), forge: g}
	if _, err := g.command(ctx, "admin", "user", "create", "--admin", "--must-change-password=false",
		"--username", g.Admin.Name, "--password", g.Admin.Password, "--email", g.Admin.Name+"@example.org"); err != nil {
		return err
	}
	said, err := g.command(ctx, "admin", "user", "generate-access-token", "--username", g.Admin.Name, "--token-name", "devstack", "--scopes", "all", "--raw")
	if g.Admin.Token = tokenLine.FindString(said); err == nil && g.Admin.Token == "" {
		err = fmt.Errorf("no token is made, but\n%s", said)
	}
	return err
}

// tokenLine is a token among what Gitea writes: before and after it there may be warnings.
var tokenLine = regexp.MustCompile(`(?m)^[0-9a-f]{40}$`)

func (g *Gitea) config() string { return filepath.Join(g.folder, "conf", "app.ini") }

func (g *Gitea) arguments(command ...string) []string {
	return append([]string{"--work-path", g.folder, "--config", g.config()}, command...)
}

// environment is ours without what steers git: Gitea writes a global configuration of its own below its folder, and where
// GIT_CONFIG_GLOBAL names /dev/null, as in tests it does, root would put a file in the place of that.
func (g *Gitea) environment() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool { return strings.HasPrefix(variable, "GIT_") })
}

// command runs one of Gitea's own commands and returns what it writes.
func (g *Gitea) command(ctx context.Context, command ...string) (string, error) {
	run := exec.CommandContext(ctx, g.program, g.arguments(command...)...)
	run.Dir, run.Env = g.folder, g.environment()
	var stderr bytes.Buffer
	run.Stderr = &stderr
	output, err := run.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(command[:3], " "), err, output, stderr.String())
	}
	return string(output), nil
}

// Log is the path of the file with all that the forge ever printed.
func (g *Gitea) Log() string { return g.process.Log() }

// Stop stops the forge; Start has it go on with what it holds.
func (g *Gitea) Stop() { g.process.Stop() }

// Start starts the forge again after Stop.
func (g *Gitea) Start(ctx context.Context) error { return g.process.Start(ctx) }

// NewPerson gives somebody an account, and a token of all scopes.
func (g *Gitea) NewPerson(ctx context.Context, name string) (*Person, error) {
	p := &Person{Name: name, Password: rand.Text(), forge: g}
	err := g.Admin.Call(ctx, http.MethodPost, "/admin/users", map[string]any{
		"username": name, "password": p.Password, "email": name + "@example.org", "must_change_password": false,
	}, nil)
	if err != nil {
		return nil, err
	}
	var made struct {
		Token string `json:"sha1"`
	}
	err = p.Call(ctx, http.MethodPost, "/users/"+name+"/tokens", map[string]any{"name": "devstack", "scopes": []string{"all"}}, &made)
	p.Token = made.Token
	return p, err
}

// CloneURL is the address of a repository, such as acme/secrets, as that person clones it.
func (p *Person) CloneURL(repository string) string {
	return strings.Replace(p.forge.URL, "://", "://"+p.Name+":"+p.Password+"@", 1) + "/" + repository + ".git"
}

// APIError is an answer of 400 or above.
type APIError struct {
	Call   string
	Status int
	Body   string
}

func (e *APIError) Error() string { return fmt.Sprintf("%s: %d %s", e.Call, e.Status, e.Body) }

// Call makes one request of the forge's API, of a path below /api/v1, and decodes the answer into out unless that is nil.
func (p *Person) Call(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, p.forge.URL+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if p.Token != "" {
		request.Header.Set("Authorization", "token "+p.Token)
	} else {
		request.SetBasicAuth(p.Name, p.Password)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 400 {
		return &APIError{method + " " + path, response.StatusCode, string(content)}
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(content, out)
}

var sharedGitea = sync.OnceValues(func() (*Gitea, error) {
	stack, err := shared()
	if err != nil {
		return nil, err
	}
	return stack.StartGitea(context.Background())
})

// SharedGitea returns the forge that all tests of the process share, and starts it for the first of them. Use people and
// organisations of your own and don't stop it. It ends with the process.
func SharedGitea(t TB) *Gitea {
	t.Helper()
	g, err := sharedGitea()
	if err != nil {
		t.Fatalf("%v", err)
	}
	return g
}

// moduleFolder returns where the sources of a module lie that a part is built from.
func (b *builder) moduleFolder(ctx context.Context, p part, module string) (string, error) {
	output, err := b.goCommand(ctx, p, "mod", "download", "-json", module).Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w\n%s%s", err, output, exit.Stderr)
		}
		return "", fmt.Errorf("where the sources of %s lie: %w", module, err)
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(output, &found); err != nil || found.Dir == "" {
		return "", fmt.Errorf("where the sources of %s lie: go mod download says %s", module, output)
	}
	return found.Dir, nil
}
