//go:build !linux

package daemon

import "syscall"

// DieWithParent does nothing where the kernel has no parent-death signal.
func DieWithParent(attributes *syscall.SysProcAttr) *syscall.SysProcAttr { return attributes }
