//go:build !linux

package main

import "syscall"

// dieWithParent does nothing where the kernel has no parent-death signal.
func dieWithParent(attributes *syscall.SysProcAttr) *syscall.SysProcAttr { return attributes }
