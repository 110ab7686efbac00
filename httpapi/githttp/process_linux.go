package githttp

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

const mostMemory = 1 << 30 // of one process, without the files it maps

// background is how much git stands back for who calls the API: a push can hold
// work for minutes.
const background = 5

// limit bounds what a process, and each that it starts, may take. It waits for
// its input still, so it has started none.
func limit(pid int, processing time.Duration) error {
	for resource, most := range map[int]uint64{
		unix.RLIMIT_DATA: mostMemory,
		unix.RLIMIT_CPU:  uint64(processing/time.Second) + 1,
		unix.RLIMIT_CORE: 0,
	} {
		err := unix.Prlimit(pid, resource, &unix.Rlimit{Cur: most, Max: most}, nil)
		if err != nil && !errors.Is(err, unix.ESRCH) { // it has ended already
			return err
		}
	}
	if raw, err := unix.Getpriority(unix.PRIO_PROCESS, pid); err == nil { // which is 20 less the niceness
		_ = unix.Setpriority(unix.PRIO_PROCESS, pid, min(19, 20-raw+background)) // or it has ended already
	}
	return nil
}

// awaitExit waits until a child has ended, and leaves it to be waited for: till
// then nobody else gets its number.
func awaitExit(pid int) {
	for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}

// awaitGroup waits for those of a killed group that have become our children, as
// they do where the server is the first process of a container.
func awaitGroup(group int) {
	for {
		if _, err := unix.Wait4(-group, nil, 0, nil); err != nil && err != unix.EINTR {
			return
		}
	}
}
