package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func releaseName() string { return "secretsync_" + version + "_linux_" + runtime.GOARCH }

// unpackedRelease returns the folder that the archive holds.
func unpackedRelease(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	archive := filepath.Join(theMade(t), "bin", "release", releaseName()+".tar.gz")
	if out, err := exec.Command("tar", "--extract", "--file", archive, "--directory", folder).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(folder, releaseName())
}

func TestAReleaseHasWhatGoesWithTheProgram(t *testing.T) {
	folder := unpackedRelease(t)
	for name, has := range map[string]string{
		"LICENSE":                     "Apache License",
		"README.md":                   "# secretsync",
		"third-party-licenses.txt":    "=== k8s.io/client-go v",
		"completions/secretsync.bash": "__start_secretsync",
		"completions/_secretsync":     "#compdef secretsync",
		"completions/secretsync.fish": "complete -c secretsync",
		"man1/secretsync-get.1":       `.TH "SECRETSYNC-GET" "1" "Mar 2026" "secretsync ` + version,
	} {
		content, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Error(err)
		} else if !strings.Contains(strings.ReplaceAll(string(content), `\-`, "-"), has) {
			t.Errorf("%s does not have %q", name, has)
		}
	}
	out, err := exec.Command(filepath.Join(folder, "secretsync"), "version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "secretsync "+version+" ") {
		t.Errorf("%v: %s", err, out)
	}
	check := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	check.Dir = filepath.Join(theMade(t), "bin", "release")
	if out, err := check.CombinedOutput(); err != nil || strings.Count(string(out), ": OK") != 2 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestACommandLineSaysWhatIsToBeMade(t *testing.T) {
	right := []string{"-version", "v1.2.3+exp", "-commit", "c", "-date", "2026-03-29T01:59:59+01:00", "program"}
	for name, c := range map[string]struct {
		args []string
		want string // in the error; "" for none
	}{
		"an image":                    {append([]string{"image", "-push", "r/n:t"}, right...), ""},
		"a release":                   {append([]string{"release", "-docs", "d"}, right...), ""},
		"nothing":                     {nil, "image or release"},
		"something else":              {append([]string{"disk"}, right...), "image or release"},
		"a release to be pushed":      {append([]string{"release", "-push", "r/n:t"}, right...), "not defined: -push"},
		"no program":                  {append([]string{"image"}, right[:6]...), "name the programs"},
		"no version":                  {append([]string{"image"}, right[2:]...), "VERSION="},
		"a version that leaves":       {append([]string{"image", "-version", "../v1"}, right[2:]...), "can't be part"},
		"no date, outside a checkout": {append([]string{"image"}, append(right[:4:4], "p")...), "DATE="},
		"a date that is none":         {append([]string{"image", "-version", "v1", "-date", "today"}, "p"), "parsing time"},
	} {
		o, err := parse(c.args, new(strings.Builder))
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", name, err, c.want)
			}
			continue
		}
		if err != nil || !o.Date.Equal(commitDate) || o.Date.Location() != time.UTC || o.tag() != "v1.2.3_exp" {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
	}
}
