package gitdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Maintenance keeps off where somebody else's is under way, or where nothing is
// to be removed:
//
//	what is there                it keeps off                     as Git does
//	---------------------------  -------------------------------  -------------
//	extensions.preciousObjects   always                           repack, prune
//	gc.pid                       for 12 hours, if the process     gc
//	                             that it names is another host's
//	                             or alive
//	objects/maintenance.lock     as long as it is there; after    maintenance
//	                             12 hours it says so

// gcPatience is how old git gc's mark may be, as Git itself has it.
const gcPatience = 12 * time.Hour

// keptOff says why maintenance is kept off; nothing where it may go on. tell
// says that somebody ought to know.
func (m *maintenance) keptOff() (why string, tell bool, err error) {
	if err := m.r.check(); err != nil {
		return "", false, err
	}
	if m.r.config.Get().Precious {
		return "extensions.preciousObjects is set, so that nothing may be removed; packs gather, which git repack makes one of", true, nil
	}
	if running, err := m.gcRuns(); err != nil || running {
		return "git gc is running", false, err
	}
	lock := filepath.Join(m.r.dir, "objects", "maintenance.lock")
	info, err := m.r.fs.Lstat(lock)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	} else if err != nil {
		return "", false, err
	}
	since := info.ModTime().UTC()
	return fmt.Sprintf("%s is there since %s; if no git process works on the repository, one died and the file can be removed", lock, since.Format(time.RFC3339)),
		m.r.clock.Since(since) > gcPatience, nil
}

// gcRuns judges gc.pid, which holds the number of a process and the host it
// runs on, as git gc would.
func (m *maintenance) gcRuns() (bool, error) {
	f, err := m.r.fs.OpenFile(filepath.Join(m.r.dir, "gc.pid"), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if m.r.clock.Since(info.ModTime()) > gcPatience {
		return false, nil
	}
	content := make([]byte, 1<<10)
	n, _ := f.Read(content) // what is torn names no process
	fields := strings.Fields(string(content[:n]))
	if len(fields) < 2 {
		return false, nil
	}
	pid, err := strconv.Atoi(fields[0])
	if err != nil {
		return false, nil
	}
	if host, err := os.Hostname(); err == nil && fields[1] != host {
		return true, nil
	}
	err = unix.Kill(pid, 0)
	return err == nil || errors.Is(err, unix.EPERM), nil
}
