package main

import (
	"io"
	"log/slog"
	"strings"

	"k8s.io/klog/v2"

	"github.com/minilb/minilb/plugin/minilb/printable"
)

// newLogger returns the logger and has client-go's lines go the same way, warnings and worse
// unless verbose.
func newLogger(w io.Writer, verbose bool) *slog.Logger {
	w = cutLines{w}
	level, clientLevel := slog.LevelInfo, slog.LevelWarn
	if verbose {
		level, clientLevel = slog.LevelDebug, slog.LevelDebug
	}
	klog.SetSlogLogger(slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: clientLevel})))
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// cutLines bounds the length of lines, of which slog writes one at a time, with what is unprintable escaped (M10).
type cutLines struct{ to io.Writer }

// Write implements the io.Writer interface.
func (w cutLines) Write(line []byte) (int, error) {
	if _, err := io.WriteString(w.to, printable.Cut(strings.TrimSuffix(string(line), "\n"), printable.MaxLine)+"\n"); err != nil {
		return 0, err
	}
	return len(line), nil
}
