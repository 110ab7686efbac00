package gitdir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/config"
)

// FormatError says why we can't work with a repository as it is set up, and what
// to do about it.
type FormatError struct {
	Path   string // on this machine
	Reason string // without it
}

func (e *FormatError) Error() string { return e.Path + ": " + e.Reason }

// settings is what of a repository's configuration concerns us.
//
// Only the repository's own file counts, and config.worktree where an extension
// says so. Git goes by no other file either for the format and its extensions;
// for the rest it would also read the user's and the system's files and those
// that are included.
type settings struct {
	created   time.Time // zero: it doesn't say
	precious  bool      // extensions.preciousObjects: nothing is removed
	worktree  bool      // extensions.worktreeConfig: config.worktree counts as well
	sharing   sharing   // core.sharedRepository
	reflog    bool      // core.logAllRefUpdates: a reflog that isn't there is begun
	includes  bool      // names other files, which are not read
	forcePush string    // secretsync.forcePush: what we set last; see Repository.AllowForcePush
	receives  bool      // receive.denyNonFastForwards is there, whatever it says
}

// configuration is the configuration of a repository as it stands. Who changes
// it is not us, and need not tell: it is read again when its files are others.
type configuration struct {
	fs  FileSystem
	dir string // the repository's folder

	current atomic.Pointer[settings] // the last that could be read

	mu   sync.Mutex
	read []fs.FileInfo // the files as they were when they were read; nil: one that wasn't there
	err  error         // why we can't work with the repository as it then was
}

// openConfiguration reads the configuration of a repository; it fails where we
// can't work with that.
func openConfiguration(fsys FileSystem, dir string) (*configuration, error) {
	c := &configuration{fs: fsys, dir: dir}
	c.current.Store(&settings{})
	return c, c.check()
}

func (c *configuration) get() *settings { return c.current.Load() }

// biggestConfig bounds how much configuration is read.
const biggestConfig = 1 << 20

// check fails if the repository is one that we can't work with, by now. It costs
// a look at the file's date where nothing has changed.
func (c *configuration) check() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	files, err := c.look()
	if err != nil {
		return err
	}
	if slices.EqualFunc(files, c.read, sameVersion) {
		return c.err
	}
	s, err := c.readAll()
	if err == nil {
		c.current.Store(s)
		files, err = c.look() // perhaps one more counts now
	}
	c.read, c.err = files, err
	return err
}

// names are those of the files that count.
func (c *configuration) names() []string {
	if c.get().worktree {
		return []string{"config", "config.worktree"}
	}
	return []string{"config"}
}

func (c *configuration) look() ([]fs.FileInfo, error) {
	var files []fs.FileInfo
	for _, name := range c.names() {
		info, err := c.fs.Lstat(filepath.Join(c.dir, name))
		if err != nil && (name == "config" || !errors.Is(err, fs.ErrNotExist)) {
			return nil, err
		}
		files = append(files, info)
	}
	return files, nil
}

func sameVersion(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func (c *configuration) readAll() (*settings, error) {
	s, err := c.readFile("config", &settings{})
	if err != nil || !s.worktree {
		return s, err
	}
	before := *s
	s, err = c.readFile("config.worktree", s)
	if errors.Is(err, fs.ErrNotExist) {
		return &before, nil
	}
	return s, err
}

func (c *configuration) readFile(name string, s *settings) (*settings, error) {
	path := filepath.Join(c.dir, name)
	content, err := readFile(c.fs, path, biggestConfig)
	if err != nil {
		return nil, err
	}
	if err := s.parse(content, name == "config"); err != nil {
		return nil, &FormatError{Path: path, Reason: err.Error()}
	}
	return s, nil
}

// parse takes in a file; format says that it is the one that tells the
// repository's format. What is wrong is told with its remedy.
func (s *settings) parse(content []byte, format bool) error {
	file := config.New()
	if err := config.NewDecoder(bytes.NewReader(splitHeaders(content))).Decode(file); err != nil {
		return fmt.Errorf("can't be read (%w); git config --list --file tells the line that is wrong", err)
	}
	if format {
		if err := s.parseFormat(file); err != nil {
			return err
		}
	}
	core := file.Section("core")
	if core.HasOption("sharedRepository") {
		var err error
		if s.sharing, err = parseSharing(core.Option("sharedRepository")); err != nil {
			return err
		}
	}
	if core.HasOption("logAllRefUpdates") {
		value := core.Option("logAllRefUpdates")
		always := strings.EqualFold(value, "always")
		on, ok := parseBool(value)
		if !ok && !always {
			return fmt.Errorf("core.logAllRefUpdates is %.40q; use true, false or always", value)
		}
		s.reflog = on || always
	}
	s.includes = s.includes || file.HasSection("include") || file.HasSection("includeIf")
	s.receives = s.receives || file.Section("receive").HasOption("denyNonFastForwards")
	own := file.Section(ownFolder)
	if own.HasOption("forcePush") {
		s.forcePush = own.Option("forcePush")
	}
	if created, err := time.Parse(time.RFC3339, own.Option("created")); err == nil {
		s.created = created.UTC()
	}
	return nil
}

// sectionHeader is such as [core] or [remote "origin"], with what follows on the
// same line.
var sectionHeader = regexp.MustCompile(`^\s*\[[^\]"\n]*("(?:\\.|[^"\\\n])*"\s*)?\]`)

// splitHeaders gives each header of a section a line of its own, which Git
// doesn't ask for and the decoder does, and takes away a mark of the order of
// bytes.
func splitHeaders(content []byte) []byte {
	var split []byte
	continued := false
	for line := range bytes.Lines(bytes.TrimPrefix(content, []byte("\ufeff"))) {
		if end := len(sectionHeader.Find(line)); !continued && end > 0 && len(bytes.TrimSpace(line[end:])) > 0 {
			split = append(append(split, line[:end]...), '\n')
			line = line[end:]
		}
		split = append(split, line...)
		text := bytes.TrimRight(line, "\r\n")
		continued = (len(text)-len(bytes.TrimRight(text, `\`)))%2 == 1
	}
	return split
}

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
func (s *settings) parseFormat(file *config.Config) error {
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

func (s *settings) parseExtension(version int, name, value string) error {
	on, ok := parseBool(value)
	switch strings.ToLower(name) {
	case "noop":
		return nil
	case "preciousobjects":
		s.precious = on || !ok
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

// parseBool reads a truth value as Git does. A name alone, which means true,
// can't be told from an empty value, which means false: it is taken for true.
func parseBool(value string) (on, ok bool) {
	switch strings.ToLower(value) {
	case "", "true", "yes", "on":
		return true, true
	case "false", "no", "off":
		return false, true
	}
	n, err := strconv.Atoi(value)
	return n != 0, err == nil
}
