package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// bareRole makes of this program an end that sends each message back ("echo"), or one that passes each on to another
// address, and its answer back.
const bareRole = "BENCH_BARE_ROLE"

// bareSize is of a message, in bytes: about that of a request, or of an answer.
const bareSize = 600

// forwardBare is what the machine itself takes for passing something on: TCP and three processes, no TLS, no HTTP, and
// nothing to do. Nothing that is passed on can come below its ratio by doing less.
func forwardBare(ctx context.Context) (Result, error) {
	echo, end, err := startBare(ctx, "echo")
	if err != nil {
		return Result{}, err
	}
	defer end()
	relay, end, err := startBare(ctx, echo)
	if err != nil {
		return Result{}, err
	}
	defer end()
	round := func(address string) func(context.Context) (float64, error) {
		return func(context.Context) (float64, error) {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				return 0, err
			}
			defer conn.Close()
			message := make([]byte, bareSize)
			var took []float64
			for began := time.Now(); time.Since(began) < apiRound/2; {
				sent := time.Now()
				if _, err := conn.Write(message); err != nil {
					return 0, err
				}
				if _, err := io.ReadFull(conn, message); err != nil {
					return 0, err
				}
				took = append(took, float64(time.Since(sent).Nanoseconds())/1e6)
			}
			return median(took), nil
		}
	}
	floor, ours, err := alternate(ctx, 15, round(echo), round(relay))
	return Result{Name: "forward-bare", Value: ours, Floor: floor, Unit: "ms",
		Note: fmt.Sprintf("p50 of %d bytes that a process passes on to another and back, over bare TCP, with nothing to do; floor: the same without the one between: what the machine itself takes", bareSize)}, err
}

// startBare starts this program in a role, and returns its address and what ends it.
func startBare(ctx context.Context, role string) (address string, end func(), err error) {
	program, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), bareRole+"="+role)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	end = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	}
	if address, err = bufio.NewReader(out).ReadString('\n'); err != nil {
		end()
		return "", nil, err
	}
	return strings.TrimSpace(address), end, nil
}

// serveBare plays a role till the process is killed.
func serveBare(role string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go passBare(conn, role)
	}
}

func passBare(conn net.Conn, role string) {
	defer conn.Close()
	var further net.Conn
	if role != "echo" {
		var err error
		if further, err = net.Dial("tcp", role); err != nil {
			return
		}
		defer further.Close()
	}
	message := make([]byte, bareSize)
	for {
		if _, err := io.ReadFull(conn, message); err != nil {
			return
		}
		if further != nil {
			if _, err := further.Write(message); err != nil {
				return
			}
			if _, err := io.ReadFull(further, message); err != nil {
				return
			}
		}
		if _, err := conn.Write(message); err != nil {
			return
		}
	}
}
