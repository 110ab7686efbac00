package editor

import (
	"strings"
	"testing"

	"secretsync/cmd/secretsync/internal/cli/place"
)

func TestTheEditorIsNotToldTheKey(t *testing.T) {
	t.Setenv(place.KeyVariable, "kupe_canary")
	t.Setenv("VISUAL", "")
	t.Setenv("EDITOR", "code --wait")
	cmd := command("/tmp/db.yaml")
	if all := strings.Join(append(cmd.Env, cmd.Args...), "\n"); strings.Contains(all, "canary") || !strings.Contains(all, "PATH=") {
		t.Error("the key is in the editor's environment, or nothing is")
	}
	if got := strings.Join(cmd.Args, "|"); got != `sh|-c|code --wait "$@"|code --wait|/tmp/db.yaml` {
		t.Errorf("it is started as %s", got)
	}
}
