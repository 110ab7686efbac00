package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// release is what all files of one version have in common.
type release struct {
	Version string    // as `secretsync version` says it
	Commit  string    // "" if it is not known
	Date    time.Time // of the commit, in UTC; every date in every file is this one
}

var wellFormedVersion = regexp.MustCompile(`^[0-9A-Za-z_][0-9A-Za-z_.+-]{0,127}$`)

// parse checks what was given, and takes the date.
func (r *release) parse(date string) (err error) {
	if !wellFormedVersion.MatchString(r.Version) {
		return fmt.Errorf("-version: %.40q can't be part of a file's name; give one such as v1.2.3 (outside a checkout: make image VERSION=v1.2.3 DATE=...)", r.Version)
	}
	if date == "" {
		return errors.New("-date: say the date of the commit (outside a checkout: make image DATE=2026-01-31T12:00:00Z)")
	}
	r.Date, err = time.Parse(time.RFC3339, date)
	if err != nil {
		return fmt.Errorf("-date: %w", err)
	}
	r.Date = r.Date.UTC()
	return nil
}

// tag is the version as the name of an image can bear it, where + is no letter.
func (r release) tag() string { return strings.ReplaceAll(r.Version, "+", "_") }

// file returns the name of a file of this version: secretsync_v1.2.3_linux_amd64.tar.gz, secretsync-image_v1.2.3.oci.tar. What
// (such as image) and the program may be left out.
func (r release) file(what string, p *program, ending string) string {
	name := "secretsync"
	if what != "" {
		name += "-" + what
	}
	name += "_" + r.Version
	if p != nil {
		name += "_" + p.OS + "_" + p.Architecture
	}
	return name + ending
}
