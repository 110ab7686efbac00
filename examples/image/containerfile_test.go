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

	"golang.org/x/mod/modfile"
)

// readContainerfile returns what each instruction says, what the build stage runs, and how many stages there are.
func readContainerfile(t *testing.T) (said map[string][]string, builds []string, stages int) {
	t.Helper()
	content, err := os.ReadFile("Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	said = make(map[string][]string)
	for line := range strings.Lines(strings.ReplaceAll(string(content), "\\\n", "")) {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case instruction == "" || instruction == "#":
			continue
		case instruction == "FROM":
			stages++
		case instruction == "RUN" && stages == 1:
			builds = append(builds, rest)
		}
		said[instruction] = append(said[instruction], rest)
	}
	return said, builds, stages
}

// What the Containerfile takes from the checkout is there, is not kept from the engine, and is compiled by the Go that the module
// wants.
func TestTheContainerfileFitsTheCheckout(t *testing.T) {
	said, _, _ := readContainerfile(t)
	content, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	module, err := modfile.Parse("go.mod", content, nil)
	if err != nil {
		t.Fatal(err)
	}
	if module.Toolchain != nil {
		t.Errorf("go.mod has a toolchain line, %s: the image has one Go, and fetches no other", module.Toolchain.Name)
	}
	parts := strings.SplitN(module.Go.Version, ".", 3)
	if want := "GO=golang:" + parts[0] + "." + parts[1]; !slices.Contains(said["ARG"], want) {
		t.Errorf("ARG is %q; go.mod wants %s", said["ARG"], want)
	}
	hidden, err := os.ReadFile("../../.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(string(hidden)); !slices.Equal(got, []string{"/.cache", "/bin"}) {
		t.Errorf(".dockerignore hides %q from the engine; of all but what is built anew something may be needed, .git too", got)
	}
	copied := 0
	for _, instruction := range said["COPY"] {
		from, built := strings.CutPrefix(instruction, "--from=build ")
		words := strings.Fields(from)
		for _, path := range words[:len(words)-1] {
			if path = strings.TrimPrefix(path, "/src/"); path == "bin/secretsync" && built {
				continue // make build makes it
			}
			if _, err := os.Stat(filepath.Join("../..", path)); err != nil {
				t.Errorf("COPY %s: %v", instruction, err)
			}
			copied++
		}
	}
	if copied < 4 {
		t.Errorf("%d paths are copied", copied)
	}
}

// Tests need no engine. What can be held without one is: the program is built by the very commands of the build stage, and is the
// one of the other image; and the image is configured as that one is.
func TestTheContainerfileMakesTheSameProgramAndSettings(t *testing.T) {
	said, builds, stages := readContainerfile(t)
	config, err := theImage(t).ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	for instruction, want := range map[string][]string{"ENTRYPOINT": config.Config.Entrypoint, "CMD": config.Config.Cmd} {
		var got []string
		if len(said[instruction]) != 1 || json.Unmarshal([]byte(said[instruction][0]), &got) != nil || !slices.Equal(got, want) {
			t.Errorf("%s is %s, want %s", instruction, said[instruction], want)
		}
	}
	if !slices.Equal(said["USER"], []string{config.Config.User}) {
		t.Errorf("USER is %s, want %s", said["USER"], config.Config.User)
	}
	if stages != 2 || len(builds) != 2 {
		t.Fatalf("%d stages, of which the first runs %q", stages, builds)
	}
	for _, script := range builds {
		cmd := exec.Command("sh", "-euc", script)
		cmd.Dir = theMade(t)
		cmd.Env = append(os.Environ(), "TARGETOS=linux", "TARGETARCH="+runtime.GOARCH)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
	}
	from, ok := strings.CutPrefix(said["COPY"][len(said["COPY"])-1], "--from=build /src/")
	if !ok {
		t.Fatalf("COPY is %s", said["COPY"])
	}
	from, to, _ := strings.Cut(from, " ")
	one, err := os.ReadFile(filepath.Join(theMade(t), from))
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(filepath.Join(theMade(t), "bin/platforms", platform(), "secretsync"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one, other) || to != "/"+programAt {
		t.Errorf("%s is not the program of make image, or %s not its place", from, to)
	}
}
