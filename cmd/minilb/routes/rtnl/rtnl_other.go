//go:build !linux

package rtnl

import (
	"context"
	"io"
)

// Check returns ErrOtherSystem.
func Check() error { return ErrOtherSystem }

// Keep returns ErrOtherSystem.
func Keep(context.Context, <-chan []Route, io.Writer, func(string)) error { return ErrOtherSystem }

// Cleanup returns ErrOtherSystem.
func Cleanup(io.Writer) error { return ErrOtherSystem }
