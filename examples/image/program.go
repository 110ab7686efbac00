package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/mod/module"
)

// program is an executable of secretsync, and what it says of itself.
type program struct {
	OS, Architecture string // in Go's words, which are also those of images
	Content          []byte
	Sum              [sha256.Size]byte
	Go               string // the version of Go that built it, such as go1.26.8
	Main             string // the path of its own module
	Modules          []component
}

// component is a module that a program is made of, or the standard library.
type component struct {
	module.Version
	Sum      string // as in go.sum; "" for the standard library
	Replaces string // the module that this one stands in for, "" if none
	Licence  licence
}

// readProgram reads an executable. One that is bound to a C library, or to the folder in which it was built, is an error.
func readProgram(path string, from sources) (*program, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	info, err := buildinfo.Read(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	p := &program{Content: content, Sum: sha256.Sum256(content), Go: info.GoVersion, Main: info.Main.Path}
	if err := p.settings(info.Settings); err != nil {
		return nil, err
	}
	for _, m := range info.Deps {
		c := component{Version: module.Version{Path: m.Path, Version: m.Version}, Sum: m.Sum}
		if r := m.Replace; r != nil {
			c = component{Version: module.Version{Path: r.Path, Version: r.Version}, Sum: r.Sum, Replaces: m.Path + "@" + m.Version}
		}
		if c.Licence, err = from.licence(c.Version); err != nil {
			return nil, err
		}
		p.Modules = append(p.Modules, c)
	}
	// Its name is the one by which databases of vulnerabilities know it.
	library := component{Version: module.Version{Path: "stdlib", Version: strings.TrimPrefix(info.GoVersion, "go")}}
	if library.Licence, err = from.libraryLicence(info.GoVersion); err != nil {
		return nil, err
	}
	p.Modules = append(p.Modules, library)
	return p, nil
}

// settings takes the platform, and refuses what is not the same elsewhere.
func (p *program) settings(settings []debug.BuildSetting) error {
	recorded := make(map[string]string)
	for _, s := range settings {
		recorded[s.Key] = s.Value
	}
	p.OS, p.Architecture = recorded["GOOS"], recorded["GOARCH"]
	switch {
	case p.OS == "" || p.Architecture == "":
		return errors.New("it does not say for which platform it was built")
	case recorded["CGO_ENABLED"] != "0":
		return errors.New("it needs a C library; build it with CGO_ENABLED=0")
	case recorded["-trimpath"] != "true":
		return errors.New("it holds the paths of the machine that built it; build it with -trimpath")
	}
	for _, own := range []string{"GOEXPERIMENT", "-tags", "-asmflags", "-gccgoflags", "-race", "-cover", "-pgo"} {
		if recorded[own] != "" {
			return fmt.Errorf("it was built with %s=%s of its machine, and is another one elsewhere; take that out of the environment and of `go env`", own, recorded[own])
		}
	}
	if fips := recorded["GOFIPS140"]; fips != "" && fips != "off" {
		return fmt.Errorf("it was built with GOFIPS140=%s of its machine, and is another one elsewhere; take that out of the environment and of `go env`", fips)
	}
	return nil
}

func (p *program) platform() string { return fmt.Sprintf("%s/%s", p.OS, p.Architecture) }
