// Command keeper runs one program for as long as whoever started the keeper lives, so that nothing of a devstack outlives
// it, however it ends:
//
//	keeper [-pid FILE] [-remove DIR] PROGRAM ARGUMENT...
//
// Its standard input is a pipe from its parent. When the pipe closes, because the parent closed it, returned from main or
// was killed with SIGKILL, the keeper kills the program and removes DIR. On SIGTERM it kills the program and leaves DIR.
// When the program ends by itself the keeper ends with its exit code.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// The kernel ties the parent death signal to the thread that forks: this one, which lives as long as the keeper.
func init() { runtime.LockOSThread() }

func main() {
	pidFile := flag.String("pid", "", "file to write the program's process id into")
	remove := flag.String("remove", "", "folder to remove when the parent is gone")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: keeper [-pid FILE] [-remove DIR] PROGRAM ARGUMENT...")
		os.Exit(2)
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP) // the parent's to decide

	program := exec.Command(flag.Arg(0), flag.Args()[1:]...)
	program.Stdout, program.Stderr = os.Stdout, os.Stderr
	program.SysProcAttr = dieWithParent()
	if err := program.Start(); err != nil {
		fatal(err)
	}
	if *pidFile != "" {
		if err := os.WriteFile(*pidFile, []byte(strconv.Itoa(program.Process.Pid)), 0o600); err != nil {
			program.Process.Kill()
			fatal(err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- program.Wait() }()
	orphaned := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(orphaned)
	}()

	select {
	case err := <-ended:
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			os.Exit(max(exit.ExitCode(), 1))
		} else if err != nil {
			fatal(err)
		}
	case <-terminated:
		program.Process.Kill()
		<-ended
	case <-orphaned:
		program.Process.Kill()
		<-ended
		if *remove != "" {
			removeAll(*remove)
		}
	}
}

// removeAll tries for a while: the other keepers' programs may still be writing into the folder for a moment.
func removeAll(dir string) {
	for range 100 {
		if os.RemoveAll(dir) == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func fatal(err error) {
	fmt.Fprintf(os.Stderr, "keeper: %v\n", err)
	os.Exit(1)
}
