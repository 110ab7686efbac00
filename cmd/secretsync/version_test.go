package main

import (
	"runtime/debug"
	"testing"
)

func TestABuildWithoutTheMakefileSaysWhatTheGoToolRecorded(t *testing.T) {
	const sha, day = "2c67ca0ee1f4bd4a2a8e8f0d8f5a3c8d1c1f0e9b", "2026-11-26T04:06:12Z"
	checkout := []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: sha}, {Key: "vcs.time", Value: day}}
	changed := append(checkout[:3:3], debug.BuildSetting{Key: "vcs.modified", Value: "true"})
	for name, c := range map[string]struct {
		info debug.BuildInfo
		want build
	}{
		"a module of a version": {
			debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, build{Version: "v1.2.3"}},
		"a checkout, of which the Go tool made a version": {
			debug.BuildInfo{Main: debug.Module{Version: "v0.0.0-20261126040612-2c67ca0ee1f4+dirty"}, Settings: changed},
			build{Version: "v0.0.0-20261126040612-2c67ca0ee1f4+dirty", Commit: sha, CommitDate: day}},
		"a checkout": {
			debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: checkout}, build{Version: "2c67ca0ee1f4", Commit: sha, CommitDate: day}},
		"a checkout with changes": {
			debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: changed}, build{Version: "2c67ca0ee1f4-dirty", Commit: sha, CommitDate: day}},
		"a folder that is no checkout": {
			debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, build{Version: "unknown"}},
		"nothing recorded": {debug.BuildInfo{}, build{Version: "unknown"}},
	} {
		if got := recordedBuild(&c.info); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
