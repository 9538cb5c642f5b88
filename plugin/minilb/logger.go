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

// logger writes each text as one line of CoreDNS's log that does nothing to who reads it (M10). It
// implements source.Logger.
type logger struct{ log clog.P }

// Debug logs a text as debug output.
func (l logger) Debug(text string) { l.log.Debug(printable.Line(text)) }

// Info logs a text as information.
func (l logger) Info(text string) { l.log.Info(printable.Line(text)) }

// Warning logs a text as a warning.
func (l logger) Warning(text string) { l.log.Warning(printable.Line(text)) }

// Error logs a text as an error.
func (l logger) Error(text string) { l.log.Error(printable.Line(text)) }

// Infof implements the source.Logger interface.
func (l logger) Infof(format string, args ...any) { l.Info(fmt.Sprintf(format, args...)) }

// Warningf implements the source.Logger interface.
func (l logger) Warningf(format string, args ...any) { l.Warning(fmt.Sprintf(format, args...)) }

// Errorf implements the source.Logger interface.
func (l logger) Errorf(format string, args ...any) { l.Error(fmt.Sprintf(format, args...)) }

// klogHandler writes what client-go logs by way of CoreDNS, in its form. It implements slog.Handler.
type klogHandler struct {
	logger
	attrs string // " name=value" for each
}

// redirectKlog does so once: klog cannot be given another logger while it is in use.
var redirectKlog = sync.OnceFunc(func() { klog.SetSlogLogger(slog.New(&klogHandler{logger: log})) })

// Enabled implements the slog.Handler interface. klog has its own verbosity.
func (h *klogHandler) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements the slog.Handler interface.
func (h *klogHandler) Handle(_ context.Context, r slog.Record) error {
	var line strings.Builder
	line.WriteString(printable.Line(r.Message))
	line.WriteString(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		line.WriteString(attribute(a))
		return true
	})
	switch {
	case r.Level >= slog.LevelError:
		h.Error(line.String())
	case r.Level >= slog.LevelWarn:
		h.Warning(line.String())
	case r.Level >= slog.LevelInfo:
		h.Info(line.String())
	default:
		h.Debug(line.String())
	}
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

// WithGroup implements the slog.Handler interface. client-go uses no groups worth telling.
func (h *klogHandler) WithGroup(string) slog.Handler { return h }

func attribute(a slog.Attr) string {
	return fmt.Sprintf(" %s=%q", a.Key, strings.Join(strings.Fields(a.Value.String()), " "))
}
