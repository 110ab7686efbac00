package cli

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"secretsync/cmd/secretsync/internal/cli/place"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/spf13/cobra"
)

// run executes one command line and returns what it printed, and its exit code.
func run(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	root := &cobra.Command{Use: "secretsync", SilenceUsage: true, SilenceErrors: true}
	AddTo(root)
	var out, errOut bytes.Buffer
	root.SetArgs(args)
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errOut)
	err := root.ExecuteContext(t.Context())
	if exit, ok := errors.AsType[*Exit](err); ok {
		code = exit.Code
	} else if err != nil {
		code = 1
	}
	if err != nil && !errors.Is(err, ErrReported) {
		fmt.Fprintf(&errOut, "secretsync: %v\n", err)
	}
	return out.String(), errOut.String(), code
}

// nobody makes sure that no variable and no context of who runs the tests counts.
func nobody(t *testing.T) {
	t.Helper()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	for _, variable := range []string{place.URLVariable, place.TenantVariable, place.KeyVariable} {
		t.Setenv(variable, "")
	}
}

var ago = regexp.MustCompile(`@([0-9a-z]+)@`) // such as @3h@, a time so long ago

// Each file is a story: the server's answers by method and path, and for each command
// line what is printed. What is printed follows the line that begins with $, and after
// it, if it is not 0, the exit code. The answers are canned because the times and
// versions in them are.
func TestOutput(t *testing.T) {
	paths, err := filepath.Glob("testdata/golden/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("there are no stories: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			answers := map[string]string{}
			for _, f := range archive.Files {
				answers[f.Name] = string(f.Data)
			}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked := r.Method + " " + strings.TrimPrefix(r.URL.RequestURI(), "/api/v1/tenants/acme")
				answer, ok := answers[strings.TrimSpace(asked)]
				if !ok {
					w.WriteHeader(http.StatusNotFound)
					fmt.Fprintf(w, `{"error":"there is no %s in this story"}`, asked)
					return
				}
				answer = ago.ReplaceAllStringFunc(answer, func(s string) string {
					d, err := time.ParseDuration(strings.Trim(s, "@"))
					if err != nil {
						t.Error(err)
					}
					return time.Now().Add(-d - 500*time.Millisecond).UTC().Format(time.RFC3339Nano)
				})
				fmt.Fprint(w, answer)
			}))
			defer server.Close()
			nobody(t)
			t.Setenv(place.URLVariable, server.URL)
			t.Setenv(place.TenantVariable, "acme")
			t.Setenv(place.KeyVariable, "kupe_ak-1_canary")

			var told strings.Builder
			for line := range strings.Lines(string(archive.Comment)) {
				if !strings.HasPrefix(line, "$ ") {
					if strings.HasPrefix(line, "# ") {
						told.WriteString(line)
					}
					continue
				}
				told.WriteString(line)
				stdout, stderr, code := run(t, "", strings.Fields(line)[2:]...)
				told.WriteString(stdout)
				for line := range strings.Lines(stderr) {
					told.WriteString("! " + line)
				}
				if code != 0 {
					fmt.Fprintf(&told, "exit code %d\n", code)
				}
			}
			got := told.String()
			if strings.Contains(got, "canary") {
				t.Error("the key is told")
			}
			if got == string(archive.Comment) {
				return
			}
			if os.Getenv("UPDATE") == "" {
				t.Fatalf("got\n%s\nwant\n%s\nUPDATE=1 writes it", got, archive.Comment)
			}
			archive.Comment = []byte(got)
			if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}
