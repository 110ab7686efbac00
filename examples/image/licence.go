package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/google/licensecheck"
	"golang.org/x/mod/module"
)

// licence is what the files of a module say of how it may be used.
type licence struct {
	IDs  []string // SPDX identifiers, sorted; none if the texts don't tell surely
	Text []byte   // the texts themselves, each under its file's name
}

// sources knows where the source of modules lies: what was just compiled is there.
type sources struct {
	Modules string // Go's module cache
	GoRoot  string
	Version string // of the Go in GoRoot
}

func findSources(ctx context.Context) (sources, error) {
	// GOTOOLCHAIN picks the Go of this folder's go.mod, as it picked that of the programs by the checkout's.
	out, err := exec.CommandContext(ctx, "go", "env", "-json", "GOMODCACHE", "GOROOT", "GOVERSION").Output()
	if err != nil {
		return sources{}, fmt.Errorf("go env: %w", err)
	}
	var env struct{ GOMODCACHE, GOROOT, GOVERSION string }
	if err := json.Unmarshal(out, &env); err != nil {
		return sources{}, fmt.Errorf("go env: %w", err)
	}
	return sources{Modules: env.GOMODCACHE, GoRoot: env.GOROOT, Version: env.GOVERSION}, nil
}

// licence reads what a module says in its uppermost folder. Licences of parts that lie deeper are not told.
func (s sources) licence(m module.Version) (licence, error) {
	path, err := module.EscapePath(m.Path)
	if err != nil {
		return licence{}, err
	}
	version, err := module.EscapeVersion(m.Version)
	if err != nil {
		return licence{}, err
	}
	l, err := readLicence(filepath.Join(s.Modules, filepath.FromSlash(path)+"@"+version))
	if err != nil {
		return licence{}, fmt.Errorf("the licence of %s: %w; go mod download brings the module's source", m, err)
	}
	return l, nil
}

func (s sources) libraryLicence(version string) (licence, error) {
	if version != s.Version {
		return licence{}, fmt.Errorf("it was built by %s, and the Go here is %s: build it again", version, s.Version)
	}
	return readLicence(s.GoRoot)
}

var licenceFile = regexp.MustCompile(`(?i)^(un)?(licen[cs]e|copying|notice|patents)([.-].*)?$`)

// enough is how much of a file has to be words of known licences, in percent, for it to be taken as one. It is the
// measure of pkg.go.dev.
const enough = 75

func readLicence(folder string) (licence, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return licence{}, err
	}
	var l licence
	var text bytes.Buffer
	sure := true
	for _, e := range entries { // sorted by name
		if !e.Type().IsRegular() || !licenceFile.MatchString(e.Name()) || filepath.Ext(e.Name()) == ".go" {
			continue
		}
		content, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			return licence{}, err
		}
		fmt.Fprintf(&text, "--- %s ---\n\n%s\n\n", e.Name(), bytes.TrimSpace(bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n"))))
		found := licensecheck.Scan(content)
		if grantless.MatchString(e.Name()) {
			continue // a notice that comes with a licence, in no known words
		}
		sure = sure && found.Percent >= enough && len(found.Match) > 0
		for _, m := range found.Match {
			l.IDs = append(l.IDs, m.ID)
		}
	}
	slices.Sort(l.IDs)
	l.IDs = slices.Compact(l.IDs)
	if !sure {
		l.IDs = nil
	}
	l.Text = text.Bytes()
	if len(l.Text) == 0 {
		return licence{}, fmt.Errorf("%w: no file in %s is named as one", fs.ErrNotExist, folder)
	}
	return l, nil
}

var grantless = regexp.MustCompile(`(?i)^(notice|patents)`)

// thirdParty returns the licences of everything in a program but secretsync itself, which whoever hands it on has to
// hand on too.
func thirdParty(p *program) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "secretsync contains the modules below. These are their licences.\n")
	for _, c := range slices.SortedFunc(slices.Values(p.Modules), func(a, b component) int { return cmp.Compare(a.Path, b.Path) }) {
		name := c.Path
		if name == "stdlib" {
			name = "the standard library of Go"
		}
		fmt.Fprintf(&b, "\n\n=== %s %s ===\n\n%s", name, c.Version.Version, c.Licence.Text)
	}
	return b.Bytes()
}
