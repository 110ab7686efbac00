package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/config"
)

// FormatError says why we can't work with a repository as it is set up, and what
// to do about it.
type FormatError struct {
	Path   string // on this machine
	Reason string // without it
}

func (e *FormatError) Error() string { return e.Path + ": " + e.Reason }

// newestFormat is the greatest core.repositoryformatversion there is.
const newestFormat = 1

// parseFormat refuses what Git refuses, and of what Git takes what we can't
// honour. The rules of Git (gitrepository-layout and its technical
// documentation on repository versions):
//
//	extension                    version 0   version 1
//	---------------------------  ----------  ------------------------
//	preciousObjects, noop,       counts      counts
//	partialClone,
//	worktreeConfig
//	objectFormat, refStorage,    refused     counts
//	compatObjectFormat,
//	relativeWorktrees, noop-v1
//	any other                    ignored     refused
func (s *Settings) parseFormat(file *config.Config) error {
	version := 0
	if core := file.Section("core"); core.HasOption("repositoryFormatVersion") {
		value := core.Option("repositoryFormatVersion")
		var err error
		if version, err = strconv.Atoi(value); err != nil || version < 0 {
			return fmt.Errorf("core.repositoryFormatVersion is %.40q, which is no version; 0 is right where there are no extensions", value)
		}
	}
	if version > newestFormat {
		return fmt.Errorf("core.repositoryFormatVersion is %d; only versions up to %d are known: use a newer secretsync, or clone the repository with git clone --mirror by a git that makes version %d", version, newestFormat, newestFormat)
	}
	extensions := file.Section("extensions")
	options := slices.Clone(extensions.Options)
	for _, sub := range extensions.Subsections {
		for _, o := range sub.Options {
			options = append(options, &config.Option{Key: sub.Name + "." + o.Key, Value: o.Value})
		}
	}
	for _, o := range options {
		if err := s.parseExtension(version, o.Key, o.Value); err != nil {
			return err
		}
	}
	return nil
}

func (s *Settings) parseExtension(version int, name, value string) error {
	on, ok := parseBool(value)
	switch strings.ToLower(name) {
	case "noop":
		return nil
	case "preciousobjects":
		s.Precious = on || !ok
		return nil
	case "worktreeconfig":
		s.worktree = on || !ok
		return nil
	case "partialclone":
		return fmt.Errorf("extensions.%s: objects that are left out are fetched from %.60q when they are needed, which is not supported; get them all with git fetch --refetch --no-filter, then git config --unset extensions.%s", name, value, name)
	case "objectformat":
		if value != "sha1" {
			return fmt.Errorf("extensions.%s: objects are named by %.40q; only sha1 is supported: make a repository with git init --bare --object-format=sha1 and push into it", name, value)
		}
	case "refstorage":
		if value != "files" {
			return fmt.Errorf("extensions.%s: references are stored as %.40q; only files is supported: git refs migrate --ref-format=files", name, value)
		}
	case "compatobjectformat":
		return fmt.Errorf("extensions.%s: objects have names of a second kind, %.40q, which would not be kept up; make a repository without it and push into it", name, value)
	case "relativeworktrees", "noop-v1":
	default:
		if version > 0 {
			return fmt.Errorf("extensions.%.60s is not known, and what is in the repository may mean something else because of it; use a newer secretsync, or a repository without it", name)
		}
		return nil
	}
	if version == 0 {
		return fmt.Errorf("extensions.%s is there but core.repositoryFormatVersion is 0, which Git refuses; git config core.repositoryFormatVersion 1, or git config --unset extensions.%s", name, name)
	}
	return nil
}
