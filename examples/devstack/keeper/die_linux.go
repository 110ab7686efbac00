package main

import "syscall"

// dieWithParent has the kernel kill the program if the keeper itself is killed.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
