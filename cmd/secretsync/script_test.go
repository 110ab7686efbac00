package main

import (
	"os"
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"secretsync/examples/devstack"
	"secretsync/httpapi/githttp"
)

func TestMain(m *testing.M) {
	programs := map[string]func(){
		"secretsync": main,
		// The hook is a link to this very program, called by that name.
		githttp.HookName: main,
	}
	if _, err := exec.LookPath("curl"); err != nil {
		programs["curl"] = curl
	}
	testscript.Main(m, programs)
}

// TestScripts tells whole-program stories: this program, stock git, and HTTP
// clients against real clusters and a real vault. Each script has a server, a
// data folder and two tenants of its own; the actors are commands, see actors.
func TestScripts(t *testing.T) {
	stack := devstack.Shared(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			w, err := newWorld(env.WorkDir, stack)
			if err != nil {
				return err
			}
			env.Defer(w.end)
			env.Vars = append(env.Vars, w.environment()...)
			env.Values[worldKey{}] = w
			env.Values[remoteKey{}] = new(remoteSwitch)
			env.Values[teamKey{}] = new(team)
			return nil
		},
		Cmds: actors,
	})
}

type worldKey struct{}
