package daemon

import "syscall"

// DieWithParent has the kernel kill the child when the thread that starts it ends, and so when
// this process is killed.
func DieWithParent(attributes *syscall.SysProcAttr) *syscall.SysProcAttr {
	attributes.Pdeathsig = syscall.SIGKILL
	return attributes
}
