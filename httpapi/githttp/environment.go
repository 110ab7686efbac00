package githttp

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// environment is all that git knows of where it runs. What is said here by
// GIT_CONFIG_COUNT counts above the repository's own configuration.
func (s *Server) environment(protocol string, service Service) []string {
	env := []string{
		"PATH=" + filepath.Dir(s.git),
		"HOME=" + s.home(),
		"LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		// A pushed refs/replace/ would have the hook look at something else than
		// what is served from then on.
		"GIT_NO_REPLACE_OBJECTS=1",
		// For the hook, which is a Go program.
		"GOMAXPROCS=2",
		"GOMEMLIMIT=256MiB",
	}
	if version, ok := protocolVersion(protocol, service); ok {
		env = append(env, "GIT_PROTOCOL="+version)
	}
	settings := s.settings()
	env = append(env, "GIT_CONFIG_COUNT="+strconv.Itoa(len(settings)))
	for i, setting := range settings {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, setting.key), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, setting.value))
	}
	return env
}

type setting struct{ key, value string }

// settings are what git goes by, whatever the repository says. Which pushes drop
// commits is left to the repository, see gitstore.Settings.AllowForcePush.
func (s *Server) settings() []setting {
	return []setting{
		{"safe.directory", "*"}, // whose the folder is was the operator's to say
		{"core.hooksPath", s.hooks()},
		{"core.alternateRefsPrefixes", "refs/secretsync/none"}, // what is in other repositories is not told

		// What is only ours is neither shown nor written to.
		{"transfer.hideRefs", "refs/secretsync"},
		{"uploadpack.hideRefs", "refs/secretsync"},
		{"receive.hideRefs", "refs/secretsync"},

		// packObjectsHook is taken by Git from nowhere but where we speak.
		{"uploadpack.allowFilter", "true"},
		{"uploadpackfilter.allow", "false"}, // others cost more than a clone
		{"uploadpackfilter.blob:none.allow", "true"},
		{"uploadpackfilter.blob:limit.allow", "true"},
		{"uploadpack.allowTipSHA1InWant", "false"},
		{"uploadpack.allowReachableSHA1InWant", "false"},
		{"uploadpack.allowAnySHA1InWant", "false"},
		{"uploadpack.allowRefInWant", "false"},
		{"uploadpack.advertiseBundleURIs", "false"},

		{"receive.maxInputSize", strconv.FormatInt(s.cfg.MaxPush, 10)},
		{"receive.fsckObjects", "true"},
		{"receive.unpackLimit", "1"}, // a push is a pack, as a write by the API is
		{"receive.shallowUpdate", "false"},
		{"receive.advertisePushOptions", "false"},
		{"receive.autogc", "false"}, // and nothing else that outlives the push
		{"receive.updateServerInfo", "false"},
		{"gc.auto", "0"},
		{"gc.autoDetach", "false"},
		{"maintenance.auto", "false"},
		{"core.fsync", "committed,loose-object,reference"}, // what was pushed outlives a power cut

		{"pack.threads", "1"},
		{"pack.windowMemory", "64m"},
		{"pack.deltaCacheSize", "32m"},
		{"core.deltaBaseCacheLimit", "32m"},
		{"core.bigFileThreshold", "4m"},
		{"core.packedGitWindowSize", "16m"},
		{"core.packedGitLimit", "256m"},
	}
}

// protocolVersion is the version of the protocol that a client asks for in its
// header Git-Protocol, if it is one that there is. receive-pack has no second.
func protocolVersion(asked string, service Service) (string, bool) {
	known := []string{"version=1"}
	if service == UploadPack {
		known = append(known, "version=2")
	}
	return asked, slices.Contains(known, asked)
}
