package minilb

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	clog "github.com/coredns/coredns/plugin/pkg/log"
	"k8s.io/klog/v2"
)

// logger writes what client-go logs by way of CoreDNS, in its form. It implements slog.Handler.
type logger struct {
	clog.P
	attrs string // " name=value" for each
}

// redirectKlog does so once: klog cannot be given another logger while it is in use.
var redirectKlog = sync.OnceFunc(func() { klog.SetSlogLogger(slog.New(&logger{P: log})) })

// Enabled implements the slog.Handler interface. klog has its own verbosity.
func (l *logger) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements the slog.Handler interface.
func (l *logger) Handle(_ context.Context, r slog.Record) error {
	var line strings.Builder
	line.WriteString(strings.Join(strings.Fields(r.Message), " "))
	line.WriteString(l.attrs)
	r.Attrs(func(a slog.Attr) bool {
		line.WriteString(attribute(a))
		return true
	})
	switch {
	case r.Level >= slog.LevelError:
		l.Error(line.String())
	case r.Level >= slog.LevelWarn:
		l.Warning(line.String())
	case r.Level >= slog.LevelInfo:
		l.Info(line.String())
	default:
		l.Debug(line.String())
	}
	return nil
}

// WithAttrs implements the slog.Handler interface.
func (l *logger) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *l
	for _, a := range attrs {
		with.attrs += attribute(a)
	}
	return &with
}

// WithGroup implements the slog.Handler interface. client-go uses no groups worth telling.
func (l *logger) WithGroup(string) slog.Handler { return l }

func attribute(a slog.Attr) string {
	return fmt.Sprintf(" %s=%q", a.Key, strings.Join(strings.Fields(a.Value.String()), " "))
}
