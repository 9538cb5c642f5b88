package main

import (
	"io"
	"log/slog"

	"k8s.io/klog/v2"

	"github.com/minilb/minilb/plugin/minilb/printable"
)

// newLogger returns the logger and has client-go's lines go the same way, warnings and worse
// unless verbose.
func newLogger(w io.Writer, verbose bool) *slog.Logger {
	level, clientLevel := slog.LevelInfo, slog.LevelWarn
	if verbose {
		level, clientLevel = slog.LevelDebug, slog.LevelDebug
	}
	klog.SetSlogLogger(slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: clientLevel, ReplaceAttr: cut})))
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: cut}))
}

// cut bounds the length of a value, whose unprintable characters slog escapes by itself (M10).
func cut(_ []string, a slog.Attr) slog.Attr {
	if kind := a.Value.Kind(); kind == slog.KindString || kind == slog.KindAny {
		a.Value = slog.StringValue(printable.Cut(a.Value.String(), printable.MaxLine))
	}
	return a
}
