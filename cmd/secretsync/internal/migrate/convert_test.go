package migrate

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/edit"
	"secretsync/gitstore/definition/folder"
	"secretsync/gitstore/definition/parse"
)

// Each file of testdata is a case: its name is the sentence, the files outside
// of "want" are what is given, "options" differs from the usual ones, and "want"
// holds what comes of it. UPDATE_CASES=1 writes it anew, to be read with care.
func TestConversions(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) < 10 {
		t.Fatal(len(paths), err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var given, want txtar.Archive
			options := usual(t)
			for _, f := range archive.Files {
				switch {
				case strings.HasPrefix(f.Name, "want/"):
					want.Files = append(want.Files, f)
				case f.Name == "options":
					setOptions(t, &options, string(f.Data))
				case strings.HasPrefix(f.Name, "existing/"):
					d, err := parse.File(strings.TrimPrefix(f.Name, "existing/"), f.Data)
					if err != nil {
						t.Fatal(err)
					}
					options.Existing = append(options.Existing, d)
				default:
					given.Files = append(given.Files, f)
				}
			}
			resources := readAll(t, given.Files)
			plan := Convert(resources, options)
			got := render(plan)
			if os.Getenv("UPDATE_CASES") != "" {
				kept := slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return strings.HasPrefix(f.Name, "want/") })
				archive.Files = append(kept, got...)
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(txtar.Format(&want)), string(txtar.Format(&txtar.Archive{Files: got}))); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			slices.Reverse(resources)
			if again := render(Convert(resources, options)); !slices.EqualFunc(got, again, sameFile) {
				t.Error("another order of the resources gives another plan")
			}
			checkValid(t, plan)
		})
	}
}

func sameFile(a, b txtar.File) bool { return a.Name == b.Name && bytes.Equal(a.Data, b.Data) }

func usual(t *testing.T) Options {
	cluster, err := definition.ParseClusterName("production")
	if err != nil {
		t.Fatal(err)
	}
	return Options{Tenant: "acme", Cluster: cluster, Mount: "secret", Prefix: "acme"}
}

func setOptions(t *testing.T, o *Options, text string) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "mount":
			o.Mount = value
		case "prefix":
			o.Prefix = value
		case "namespace":
			o.Namespace, _ = definition.ParseNamespace(value)
		case "vault-namespace":
			o.VaultNamespace = value
		case "vault-address":
			o.VaultAddress = value
		default:
			t.Fatalf("unknown option %q", line)
		}
	}
}

func readAll(t *testing.T, files []txtar.File) []*Resource {
	var all []*Resource
	for _, f := range files {
		resources, err := Read(f.Name, f.Data)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, resources...)
	}
	return all
}

func render(p *Plan) []txtar.File {
	var files []txtar.File
	for _, carried := range p.Definitions {
		d := carried.Definition
		files = append(files, txtar.File{Name: "want/secrets/" + d.Name.String() + ".yaml", Data: edit.Encode(d)})
	}
	var findings strings.Builder
	for _, f := range p.Findings {
		findings.WriteString(f.String() + "\n")
	}
	return append(files, txtar.File{Name: "want/findings", Data: []byte(findings.String())})
}

// checkValid holds the definitions to secretsync validate.
func checkValid(t *testing.T, p *Plan) {
	checkout := fstest.MapFS{"secrets": {Mode: os.ModeDir | 0o755}}
	for _, carried := range p.Definitions {
		checkout["secrets/"+carried.Definition.Name.String()+".yaml"] = &fstest.MapFile{Data: edit.Encode(carried.Definition)}
	}
	report, err := folder.Validate(checkout, 0)
	if err != nil || len(report.Problems) > 0 {
		t.Errorf("the definitions are not valid: %v %v", err, report.Problems)
	}
}
