package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"secretsync/cmd/secretsync/internal/cli/manifest"
	"secretsync/cmd/secretsync/internal/cli/terminal"
)

// wanted is a definition as a file has it.
type wanted struct {
	manifest.Definition
	from string // the file
	text string // the file's, where that holds nothing else; else the definition's
}

// wantedFrom reads the definitions of a file, of the files of a folder, or of the
// standard input. Of a folder that holds the folder secrets, as a tenant's repository
// does, it is that one.
func (s *session) wantedFrom(path string) (map[string]wanted, error) {
	paths := []string{path}
	if info, err := os.Stat(path); path != "-" && err == nil && info.IsDir() {
		if inner, err := os.Stat(filepath.Join(path, "secrets")); err == nil && inner.IsDir() {
			path = filepath.Join(path, "secrets")
		}
		if paths, err = filesOf(path); err != nil {
			return nil, err
		}
	}
	all := map[string]wanted{}
	for _, from := range paths {
		text, err := s.read(from)
		if err != nil {
			return nil, err
		}
		definitions, err := manifest.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", from, err)
		}
		for _, d := range definitions {
			if other, ok := all[d.Name]; ok {
				return nil, fmt.Errorf("%s: %s is in %s, too; keep one of them", from, d.Name, other.from)
			}
			w := wanted{Definition: d, from: from, text: string(text)}
			if len(definitions) > 1 || filepath.Base(from) != d.Name+".yaml" || d.Answered {
				w.text = string(d.YAML())
			}
			all[d.Name] = w
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s holds no definition", path)
	}
	return all, nil
}

func filesOf(dir string) (paths []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		switch filepath.Ext(e.Name()) {
		case ".yaml", ".yml", ".json":
			if e.Type().IsRegular() || e.Type()&fs.ModeSymlink != 0 {
				paths = append(paths, filepath.Join(dir, e.Name()))
			}
		}
	}
	return paths, nil
}

// difference is a definition of which files say something else than stands.
type difference struct {
	name          string
	before, after *manifest.Definition // nil: there is none
	etag          string
	text          string // that after is written as
	patch         map[string]json.RawMessage
}

// compare returns the differences by name. Definitions that no file has differ if
// prune is set.
func (s *session) compare(path string, prune bool) ([]difference, error) {
	all, err := s.wantedFrom(path)
	if err != nil {
		return nil, err
	}
	secrets, err := s.AllSecrets(s.ctx, true)
	if err != nil {
		return nil, err
	}
	var changes []difference
	var wrong []string
	for i := range secrets {
		stands, err := manifest.FromJSON(secrets[i].Raw)
		if err != nil {
			return nil, err
		}
		w, ok := all[stands.Name]
		if !ok {
			if prune {
				changes = append(changes, difference{name: stands.Name, before: &stands, etag: etagOf(&secrets[i])})
			}
			continue
		}
		delete(all, stands.Name)
		patch, err := stands.Patch(w.Definition)
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Sprintf("%s: %s: %v", w.from, stands.Name, err))
		case len(patch) > 0:
			changes = append(changes, difference{stands.Name, &stands, &w.Definition, etagOf(&secrets[i]), w.text, patch})
		}
	}
	if len(wrong) > 0 {
		return nil, errors.New(strings.Join(wrong, "\n"))
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		w := all[name]
		changes = append(changes, difference{name: name, after: &w.Definition, text: w.text})
	}
	slices.SortFunc(changes, func(a, b difference) int { return strings.Compare(a.name, b.name) })
	return changes, nil
}

func newDiff() *cobra.Command {
	var file string
	var prune bool
	cmd := &cobra.Command{
		Use:   "diff -f FILE|DIR",
		Short: "Show how files differ from the definitions that stand",
		Long: `Show, as a unified diff, how the definitions of a file or a folder differ from
those that the tenant has: what apply would change. The exit code is 2 if they do.
plan says what that comes to in the clusters.`,
		Example: `  secretsync diff -f secrets/`,
		Args:    cobra.NoArgs,
	}
	online(cmd, "a readonly key", func(s *session, _ []string) error {
		changes, err := s.compare(file, prune)
		if err != nil {
			return err
		}
		for _, c := range changes {
			before, after := yamlOf(c.before), yamlOf(c.after)
			if err := s.out.Diff(terminal.Unified("server/"+c.name, "file/"+c.name, before, after)); err != nil {
				return err
			}
		}
		if len(changes) > 0 {
			return answeredNo
		}
		return nil
	})
	fileFlag(cmd, &file, "a file, a folder of files, or - for the standard input")
	cmd.Flags().BoolVar(&prune, "prune", false, "also those that the tenant has and the files don't")
	return cmd
}

func yamlOf(d *manifest.Definition) []byte {
	if d == nil {
		return nil
	}
	return d.YAML()
}
