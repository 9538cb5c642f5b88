package main

import (
	"io"
	"log/slog"

	"k8s.io/klog/v2"
)

// newLogger returns the logger and has client-go's lines go the same way, warnings and worse
// unless verbose.
func newLogger(w io.Writer, verbose bool) *slog.Logger {
	level, clientLevel := slog.LevelInfo, slog.LevelWarn
	if verbose {
		level, clientLevel = slog.LevelDebug, slog.LevelDebug
	}
	klog.SetSlogLogger(slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: clientLevel})))
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}
