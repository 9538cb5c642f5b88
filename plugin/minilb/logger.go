package minilb

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	clog "github.com/coredns/coredns/plugin/pkg/log"
	"k8s.io/klog/v2"

	"github.com/minilb/minilb/plugin/minilb/printable"
)

// logger writes each text as one printable line of CoreDNS's log (M10).
type logger struct{ clog.P }

func line(format string, args []any) string { return printable.Line(fmt.Sprintf(format, args...)) }

// Infof, Warningf and Errorf implement the informer.Logger interface.
func (l logger) Infof(format string, args ...any)    { l.Info(line(format, args)) }
func (l logger) Warningf(format string, args ...any) { l.Warning(line(format, args)) }
func (l logger) Errorf(format string, args ...any)   { l.Error(line(format, args)) }

// klogHandler writes what client-go logs to CoreDNS's log. It implements the slog.Handler interface.
type klogHandler struct {
	logger
	attrs string // " name=value" for each
}

// redirectKlog runs once: klog cannot be given another logger while it is in use.
var redirectKlog = sync.OnceFunc(func() { klog.SetSlogLogger(slog.New(&klogHandler{logger: log})) })

// Enabled implements the slog.Handler interface. klog has its own verbosity.
func (h *klogHandler) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements the slog.Handler interface.
func (h *klogHandler) Handle(_ context.Context, r slog.Record) error {
	line := printable.Line(r.Message) + h.attrs
	r.Attrs(func(a slog.Attr) bool {
		line += attribute(a)
		return true
	})
	write := h.Debug
	switch {
	case r.Level >= slog.LevelError:
		write = h.Error
	case r.Level >= slog.LevelWarn:
		write = h.Warning
	case r.Level >= slog.LevelInfo:
		write = h.Info
	}
	write(printable.Line(line))
	return nil
}

// WithAttrs implements the slog.Handler interface.
func (h *klogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	for _, a := range attrs {
		with.attrs += attribute(a)
	}
	return &with
}

// WithGroup implements the slog.Handler interface. client-go has no groups that matter.
func (h *klogHandler) WithGroup(string) slog.Handler { return h }

func attribute(a slog.Attr) string {
	return fmt.Sprintf(" %s=%q", a.Key, strings.Join(strings.Fields(a.Value.String()), " "))
}
