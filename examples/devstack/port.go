package devstack

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// withPorts calls start with the ports, and with fresh ones when somebody else was quicker to take one.
func withPorts(ports []int, start func(ports []int) error) error {
	var err error
	for range 5 {
		if err = start(ports); !errors.Is(err, errPortTaken) {
			return err
		}
		ports = freePorts(len(ports))
	}
	return err
}

func freePorts(count int) []int {
	ports := make([]int, count)
	for i := range ports {
		ports[i] = FreePort()
	}
	return ports
}

// Ports are given from this range. It lies below the one from which systems take the ports of outgoing connections.
const firstPort, ports = 20000, 12000

var givenPorts sync.Map

// FreePort returns a port of the loopback address that nobody listens on and that wasn't returned before, by this process or
// by another one that still runs: a part that is stopped finds its port free again, and a server that has yet to start finds
// the one that its configuration names.
func FreePort() int {
	for {
		port := firstPort + rand.IntN(ports)
		if _, given := givenPorts.LoadOrStore(port, true); given || !reserve(port) {
			continue
		}
		listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		listener.Close()
		return port
	}
}

// reserved is a file of this user's programs in which a port is the byte at its number. Who holds the lock of a byte has the
// port; the system gives all locks of a process up when it ends, however it ends.
var reserved = sync.OnceValue(func() *os.File {
	file, err := os.OpenFile(filepath.Join(os.TempDir(), fmt.Sprintf("devstack-ports-%d", os.Getuid())), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil
	}
	return file
})

// reserve keeps a port from being given by other processes, and reports whether none has it. Where the system locks no files
// a port is reserved from none.
func reserve(port int) bool {
	file := reserved()
	if file == nil {
		return true
	}
	err := syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart, Start: int64(port), Len: 1})
	return !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EACCES)
}
