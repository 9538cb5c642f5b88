//go:build !linux

package rtnl

import (
	"context"
	"errors"
	"io"
)

var errOtherSystem = errors.New("routes can be kept in the routing table of Linux only: print them with -o, or run this on a Linux router")

// Check, Keep and Cleanup return an error on systems other than Linux.
func Check() error                                                        { return errOtherSystem }
func Keep(context.Context, <-chan []Route, io.Writer, func(string)) error { return errOtherSystem }
func Cleanup(io.Writer) error                                             { return errOtherSystem }
