package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// listPath is where make wrote the list for the image or for the release.
func listPath(t *testing.T, folder string) string {
	name := map[string]string{"image": "secretsync-image_", "release": "secretsync_"}[folder]
	return filepath.Join(theMade(t), "bin", folder, name+version+"_linux_"+runtime.GOARCH+".cdx.json")
}

func readSBOM(t *testing.T, folder string) (*cdx.BOM, []byte) {
	t.Helper()
	content, err := os.ReadFile(listPath(t, folder))
	if err != nil {
		t.Fatal(err)
	}
	bom := new(cdx.BOM)
	if err := cdx.NewBOMDecoder(bytes.NewReader(content), cdx.BOMFileFormatJSON).Decode(bom); err != nil {
		t.Fatal(err)
	}
	return bom, content
}

// The go command reads the same program by itself.
func TestTheListHasExactlyTheModulesOfTheProgram(t *testing.T) {
	for folder, unpack := range map[string]func(*testing.T) string{
		"image":   func(t *testing.T) string { return filepath.Join(unpacked(t), programAt) },
		"release": func(t *testing.T) string { return filepath.Join(unpackedRelease(t), "secretsync") },
	} {
		out, err := exec.Command("go", "version", "-m", unpack(t)).Output()
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"stdlib " + strings.TrimPrefix(runtime.Version(), "go") + " "}
		for line := range strings.Lines(string(out)) {
			if f := strings.Fields(line); len(f) == 4 && f[0] == "dep" {
				want = append(want, f[1]+" "+f[2]+" "+f[3])
			}
		}
		if len(want) < 50 {
			t.Fatalf("go version -m tells %d modules: %s", len(want), out)
		}
		bom, _ := readSBOM(t, folder)
		var got, data []string
		for _, c := range *bom.Components {
			if c.Licenses == nil {
				t.Logf("%s: no licence can be told of %s", folder, c.Name)
			}
			if c.Type != cdx.ComponentTypeLibrary {
				data = append(data, c.Name)
				continue
			}
			sum := ""
			if c.Properties != nil {
				sum = (*c.Properties)[0].Value
			}
			got = append(got, c.Name+" "+c.Version+" "+sum)
			if !strings.HasPrefix(c.PackageURL, "pkg:golang/") || !strings.HasSuffix(c.PackageURL, strings.ReplaceAll(c.Version, "+", "%2B")) {
				t.Errorf("%s has the purl %s", c.Name, c.PackageURL)
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s lists\n%s\nand the program has\n%s", folder, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if beside := map[string][]string{"image": {rootsModule}}[folder]; !slices.Equal(data, beside) {
			t.Errorf("beside the program %s has %v, want %v", folder, data, beside)
		}
	}
}

func TestTheListIsWhatItsSchemaSays(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	for _, name := range []string{"bom-1.6.schema.json", "spdx.schema.json", "jsf-0.82.schemax.json"} {
		content, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "schema", name))
		if err != nil {
			t.Fatal(err)
		}
		schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiler.AddResource("http://cyclonedx.org/schema/"+strings.Replace(name, "schemax", "schema", 1), schema); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := compiler.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"image", "release"} {
		_, content := readSBOM(t, folder)
		var document any
		if err := json.Unmarshal(content, &document); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document); err != nil {
			t.Errorf("%s: %v", folder, err)
		}
	}
}
