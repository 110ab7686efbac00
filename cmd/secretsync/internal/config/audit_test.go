package config

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestTheAuditStream(t *testing.T) {
	for name, c := range map[string]struct {
		audit string
		want  Audit
		wrong string
	}{
		"there is none":              {"", Audit{}, ""},
		"a file":                     {"audit: {file: audit.log}", Audit{File: "audit.log"}, ""},
		"standard output":            {"audit: {stdout: true}", Audit{Stdout: true}, ""},
		"without those that read":    {"audit: {stdout: true, reads: false}", Audit{Stdout: true, NoReads: true}, ""},
		"both":                       {"audit: {file: audit.log, stdout: true}", Audit{}, "either file or stdout"},
		"neither, though it is said": {"audit: {reads: true}", Audit{}, "either file or stdout"},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeConfig(t, rightConfig+c.audit+"\n")
			cfg, err := Load(path)
			if c.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), c.wrong) {
					t.Errorf("%v", err)
				}
				return
			}
			if c.want.File != "" {
				c.want.File = filepath.Join(filepath.Dir(path), c.want.File)
			}
			if err != nil || cfg.Audit != c.want || cfg.Audit.IsZero() != (c.audit == "") {
				t.Errorf("%+v, %v", cfg.Audit, err)
			}
		})
	}
}

func TestProfilesAreNeverServedWhereTheAPIIs(t *testing.T) {
	for name, c := range map[string]struct {
		addresses string
		right     bool
	}{
		"no address of their own": {"", false},
		"that of the API":         {"listen: 127.0.0.1:9090\nmetricsListen: 127.0.0.1:9090\n", false},
		"one of their own":        {"metricsListen: 127.0.0.1:9090\n", true},
	} {
		cfg, err := Load(writeConfig(t, rightConfig+c.addresses+"pprof: true\n"))
		if c.right && (err != nil || !cfg.Pprof) || !c.right && (err == nil || !strings.Contains(err.Error(), "pprof: is served on an address of its own alone")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
