package config

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/config"

	"secretsync/gitstore/internal/gitdir/disk"
)

// Settings is what of a repository's configuration concerns us.
//
// Only the repository's own file counts, and config.worktree where an extension
// says so. Git goes by no other file either for the format and its extensions;
// for the rest it would also read the user's and the system's files and those
// that are included.
type Settings struct {
	Created   time.Time // zero: it doesn't say
	Precious  bool      // extensions.preciousObjects: nothing is removed
	worktree  bool      // extensions.worktreeConfig: config.worktree counts as well
	sharing   sharing   // core.sharedRepository
	Reflog    bool      // core.logAllRefUpdates: a reflog that isn't there is begun
	Includes  bool      // names other files, which are not read
	forcePush string    // secretsync.forcePush: what we set last; see Repository.AllowForcePush
	receives  bool      // receive.denyNonFastForwards is there, whatever it says
}

// parse takes in a file; format says that it is the one that tells the
// repository's format. What is wrong is told with its remedy.
func (s *Settings) parse(content []byte, format bool) error {
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
		s.Reflog = on || always
	}
	s.Includes = s.Includes || file.HasSection("include") || file.HasSection("includeIf")
	s.receives = s.receives || file.Section("receive").HasOption("denyNonFastForwards")
	own := file.Section(disk.OwnFolder)
	if own.HasOption("forcePush") {
		s.forcePush = own.Option("forcePush")
	}
	if created, err := time.Parse(time.RFC3339, own.Option("created")); err == nil {
		s.Created = created.UTC()
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
