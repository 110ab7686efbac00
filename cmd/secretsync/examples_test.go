package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Every command of the pages in examples works as it stands there, in the order
// in which a reader comes to it.
func TestTheCommandsOfTheExamples(t *testing.T) {
	for use, prepare := range map[string]func(*testing.T, *world){
		"cli":          nil,
		"pull-request": nil,
		"terraform":    nil,
		"argocd":       nil,
		"migrate":      seedNeighbours,
	} {
		t.Run(use, func(t *testing.T) {
			folder := filepath.Join("../../examples", use)
			blocks := commandsOf(t, filepath.Join(folder, "README.md"))
			if len(blocks) < 3 {
				t.Fatalf("found %d blocks of commands", len(blocks))
			}
			for _, program := range []string{"kubectl", "terraform"} {
				uses := regexp.MustCompile(`(?m)^` + program + ` `).MatchString(strings.Join(blocks, "\n"))
				if _, err := exec.LookPath(program); uses && err != nil {
					t.Skipf("the commands need %s", program)
				}
			}
			w := readmeWorld(t)
			if err := os.CopyFS(filepath.Join(w.dir, "examples", use), os.DirFS(folder)); err != nil {
				t.Fatal(err)
			}
			if prepare != nil {
				prepare(t, w)
			}
			for _, script := range blocks {
				output := w.shell(t, script)
				if strings.Contains(script, "wait=Active") && !strings.Contains(output, `"phase":"Active"`) {
					t.Errorf("waiting ended without the phase: %s", output)
				}
				if t.Failed() {
					return // what follows builds on it
				}
			}
		})
	}
}

// seedNeighbours makes what the page on migration finds in a cluster: the
// resources of its folder, and the Secrets that their controllers made.
func seedNeighbours(t *testing.T, w *world) {
	if err := w.stack.Cluster("production").CreateNamespace(t.Context(), "migrate-eso", "migrate-vso"); err != nil {
		t.Fatal(err)
	}
	w.shell(t, `. "$NEIGHBOURS/seed.sh"
kinds
for file in eso vso; do
  sed "s,acme/,$PREFIX/," examples/migrate/$file.yaml | kubectl apply -f -
done
own migrate-eso database-credentials ExternalSecret external-secrets.io/v1 database password=one
own migrate-vso smtp VaultStaticSecret secrets.hashicorp.com/v1beta1 smtp password=one`)
}

// The workflow files are what forges read, and every command line of ours in
// them, and in the blocks of the pages, is one that the program takes.
func TestTheWorkflowsCallTheProgramAsItIs(t *testing.T) {
	paths, err := filepath.Glob("../../examples/pull-request/*.yaml")
	if err != nil || len(paths) != 3 {
		t.Fatalf("found %d workflows: %v", len(paths), err)
	}
	for _, path := range paths {
		scripts := scriptsOf(t, path)
		if len(scripts) == 0 {
			t.Errorf("%s calls nothing", path)
		}
		for _, script := range scripts {
			if checkCommandLines(t, path, script) == 0 {
				continue
			}
			for folder, good := range map[string]bool{"good": true, "bad": false} {
				if err := runIn(t, checkoutOf(t, good), script); (err == nil) != good {
					t.Errorf("%s: in a %s checkout: %v", path, folder, err)
				}
			}
		}
	}
	pages, err := filepath.Glob("../../examples/*/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(pages, "../../README.md") {
		for _, script := range commandsOf(t, path) {
			checkCommandLines(t, path, script)
		}
	}
}

// scriptsOf returns what a workflow has shells run, of any of the three forges.
func scriptsOf(t *testing.T, path string) []string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	type step struct {
		Run string `yaml:"run"`
	}
	var workflow struct {
		On   yaml.Node `yaml:"on"`
		Jobs map[string]struct {
			RunsOn yaml.Node `yaml:"runs-on"`
			Steps  []step    `yaml:"steps"`
		} `yaml:"jobs"`
	}
	if err := yaml.Unmarshal(content, &workflow); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var scripts []string
	var pipeline map[string]yaml.Node // GitLab's: a job has a script
	if err := yaml.Unmarshal(content, &pipeline); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for _, node := range pipeline {
		var job struct {
			Script []string `yaml:"script"`
		}
		if node.Kind == yaml.MappingNode && node.Decode(&job) == nil && len(job.Script) > 0 {
			scripts = append(scripts, strings.Join(job.Script, "\n"))
		}
	}
	for name, job := range workflow.Jobs {
		if workflow.On.IsZero() || job.RunsOn.IsZero() {
			t.Errorf("%s: job %s runs never or nowhere", path, name)
		}
		for _, s := range job.Steps {
			if s.Run != "" {
				scripts = append(scripts, s.Run)
			}
		}
	}
	return scripts
}

var ourCommand = regexp.MustCompile(`(?m)(?:^|[|;&] *)(?:bin/)?secretsync ((?:\\\n|[^\n|;&#<>])*)`)

// checkCommandLines parses every call of the program in a script, and counts them.
func checkCommandLines(t *testing.T, path, script string) int {
	t.Helper()
	calls := ourCommand.FindAllStringSubmatch(script, -1)
	for _, call := range calls {
		words := strings.Fields(strings.NewReplacer("\\\n", " ", `"`, "").Replace(call[1]))
		root := newRoot()
		root.SetOut(io.Discard)
		cmd, rest, err := root.Find(words)
		if err == nil && cmd == root {
			err = errors.New("names no command")
		}
		if slices.Contains(rest, "--help") {
			continue
		}
		if err == nil {
			err = cmd.ParseFlags(rest)
		}
		if err == nil {
			// A name in quotes that has blanks is several words here.
			if cmd.Args != nil && !strings.Contains(call[1], `"`) {
				err = cmd.ValidateArgs(cmd.Flags().Args())
			}
			err = errors.Join(err, cmd.ValidateRequiredFlags())
		}
		if err != nil {
			t.Errorf("%s: secretsync %s: %v", path, call[1], err)
		}
	}
	return len(calls)
}

// checkoutOf makes a clone whose last commit brings a definition that is valid, or
// not.
func checkoutOf(t *testing.T, good bool) string {
	t.Helper()
	folder := t.TempDir()
	content := "name: db\nsecretPath: production/db\nsync:\n  - {cluster: production, namespace: default}\n"
	if !good {
		content += "owner: payments\n"
	}
	if err := errors.Join(os.Mkdir(filepath.Join(folder, "secrets"), 0o755),
		os.WriteFile(filepath.Join(folder, "secrets/db.yaml"), []byte(content), 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := runIn(t, folder, `
git init -q --initial-branch main
git -c user.name=P -c user.email=p@example.org commit -q --allow-empty -m Begin
git update-ref refs/remotes/origin/main HEAD
git add .
git -c user.name=P -c user.email=p@example.org commit -q -m Propose`); err != nil {
		t.Fatal(err)
	}
	return folder
}

// runIn runs a script as forges do.
func runIn(t *testing.T, folder, script string) error {
	cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script)
	cmd.Dir = folder
	summary := filepath.Join(t.TempDir(), "summary.md")
	cmd.Env = append(os.Environ(), "GITHUB_STEP_SUMMARY="+summary, "GITHUB_BASE_REF=main", "CI_MERGE_REQUEST_DIFF_BASE_SHA=HEAD^1", "SECRETSYNC_KEY=")
	out, err := cmd.CombinedOutput()
	told, _ := os.ReadFile(summary)
	out = append(out, told...)
	t.Logf("%s\n%s", script, out)
	switch {
	case err != nil && strings.Contains(script, "output github") && !strings.Contains(string(out), "::error file=secrets/db.yaml,line=5,col=1::unknown key"):
		t.Errorf("the mistake is not told as the forge wants it: %s", out)
	case strings.Contains(script, "secretsync plan") && err == nil && !strings.Contains(string(out), "1 to create"),
		strings.Contains(script, "secretsync plan") && err != nil && !strings.Contains(string(out), "unknown key"):
		t.Errorf("the plan is not told: %s", out)
	}
	return err
}

// The other files of the examples are what their programs read.
func TestTheFilesOfTheExamplesAreWellFormed(t *testing.T) {
	for _, pattern := range []string{"argocd/*.yaml", "migrate/*.yaml"} {
		paths, err := filepath.Glob(filepath.Join("../../examples", pattern))
		if err != nil || len(paths) < 3 {
			t.Fatalf("%s: found %d files: %v", pattern, len(paths), err)
		}
		if _, err := readResources(paths, nil); err != nil {
			t.Error(err)
		}
	}
	if _, err := exec.LookPath("terraform"); err != nil {
		t.Skip("the rest needs terraform")
	}
	if out, err := exec.Command("terraform", "fmt", "-check", "-diff", "-recursive", "../../examples/terraform").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
