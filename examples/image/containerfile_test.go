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
)

// There is no engine here to build it with. What a test can do without is done: the program is built by the very commands of the
// build stage, and is the one of the other image; and the image is configured as that one is.
func TestTheContainerfileMakesTheSameProgramAndSettings(t *testing.T) {
	content, err := os.ReadFile("Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	said := make(map[string][]string) // by instruction
	var builds []string               // what the build stage runs
	stages := 0
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
