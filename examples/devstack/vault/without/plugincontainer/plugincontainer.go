// Package plugincontainer stands in for the runner that starts Vault's external plugins in containers, and for the client
// of a container engine that comes with it. The devstack's Vault has its few plugins compiled in.
package plugincontainer

import (
	"errors"
	"os/exec"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin/runner"
)

// Config has the fields that Vault's SDK fills in.
type Config struct {
	GroupAdd int
	Rootless bool

	Entrypoint, Args, Env []string

	Image, Tag, SHA256 string
	Labels             map[string]string

	Runtime, CgroupParent string
	NanoCpus, Memory      int64
	CapIPCLock            bool
}

func (*Config) NewContainerRunner(hclog.Logger, *exec.Cmd, string) (runner.Runner, error) {
	return nil, errors.New("plugins in containers are left out of this Vault")
}
