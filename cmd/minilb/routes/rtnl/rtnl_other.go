//go:build !linux

package rtnl

import (
	"context"
	"io"
)

// Check, Keep and Cleanup return ErrOtherSystem.
func Check() error                                                        { return ErrOtherSystem }
func Keep(context.Context, <-chan []Route, io.Writer, func(string)) error { return ErrOtherSystem }
func Cleanup(io.Writer) error                                             { return ErrOtherSystem }
