package main

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

func TestAProgramThatIsBoundToItsMachineIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ settings, want string }{
		"one that runs anywhere":      {"GOOS=linux GOARCH=arm64 CGO_ENABLED=0 -trimpath=true", ""},
		"one for an unknown platform": {"GOARCH=arm64 CGO_ENABLED=0 -trimpath=true", "for which platform"},
		"one with a C library":        {"GOOS=linux GOARCH=arm64 CGO_ENABLED=1 -trimpath=true", "CGO_ENABLED=0"},
		"one that may have one":       {"GOOS=linux GOARCH=arm64 -trimpath=true", "CGO_ENABLED=0"},
		"one with an experiment":      {"GOOS=linux GOARCH=arm64 CGO_ENABLED=0 -trimpath=true GOEXPERIMENT=jsonv2", "GOEXPERIMENT=jsonv2 of its machine"},
		"one with tags":               {"GOOS=linux GOARCH=arm64 CGO_ENABLED=0 -trimpath=true -tags=netgo", "-tags=netgo of its machine"},
		"one with other cryptography": {"GOOS=linux GOARCH=arm64 CGO_ENABLED=0 -trimpath=true GOFIPS140=latest", "GOFIPS140=latest of its machine"},
		"one that says the default":   {"GOOS=linux GOARCH=arm64 CGO_ENABLED=0 -trimpath=true GOFIPS140=off", ""},
		"one with its folders' names": {"GOOS=linux GOARCH=arm64 CGO_ENABLED=0", "-trimpath"},
	} {
		var settings []debug.BuildSetting
		for _, field := range strings.Fields(c.settings) {
			key, value, _ := strings.Cut(field, "=")
			settings = append(settings, debug.BuildSetting{Key: key, Value: value})
		}
		p := new(program)
		err := p.settings(settings)
		if c.want == "" {
			if err != nil || p.platform() != "linux/arm64" {
				t.Errorf("%s: %s, %v", name, p.platform(), err)
			}
		} else if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestALicenceIsToldWhereItsTextIsKnown(t *testing.T) {
	apache, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	const mit = `Copyright (c) 2026 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`
	const own = "You may use this on Tuesdays."
	for name, c := range map[string]struct {
		files map[string]string
		ids   []string
		text  []string // what is handed on
	}{
		"one":                      {map[string]string{"LICENSE": mit}, []string{"MIT"}, []string{"Somebody"}},
		"two files":                {map[string]string{"LICENSE": string(apache), "LICENSE-MIT.txt": mit}, []string{"Apache-2.0", "MIT"}, []string{"Somebody", "Apache License"}},
		"one and a notice":         {map[string]string{"COPYING": mit, "NOTICE": own}, []string{"MIT"}, []string{"Somebody", own}},
		"words of its own":         {map[string]string{"LICENSE": own}, nil, []string{own}},
		"one and words of its own": {map[string]string{"LICENSE": mit, "LICENSE.extra": own}, nil, []string{"Somebody", own}},
		"source named like one":    {map[string]string{"LICENSE": mit, "license.go": "package p"}, []string{"MIT"}, []string{"Somebody"}},
	} {
		folder := t.TempDir()
		for file, content := range c.files {
			if err := os.WriteFile(filepath.Join(folder, file), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		l, err := readLicence(folder)
		if err != nil || !slices.Equal(l.IDs, c.ids) {
			t.Errorf("%s: %v, %v, want %v", name, l.IDs, err, c.ids)
		}
		for _, text := range c.text {
			if !strings.Contains(string(l.Text), text) {
				t.Errorf("%s: %q is not handed on", name, text)
			}
		}
	}
	if l, err := readLicence(t.TempDir()); err == nil {
		t.Errorf("a module without a licence: %v", l)
	}
}
