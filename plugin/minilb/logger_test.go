package minilb

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// What client-go logs is one line in CoreDNS's form each, with its values.
func TestLogger(t *testing.T) {
	out := captureLog(t)
	base := slog.New(&klogHandler{logger: log})
	with := base.With("reflector", "services")
	base.With("unrelated", "x")
	tests := []struct {
		log  func()
		want string
	}{
		{func() { base.Error("it\n broke ", "err", errors.New("a\nb")) }, `[ERROR] plugin/minilb: it broke err="a b"`},
		{func() { base.Warn("careful") }, `[WARNING] plugin/minilb: careful`},
		{func() { base.Info("news", "n", 1) }, `[INFO] plugin/minilb: news n="1"`},
		{func() { with.Info("news", "n", 1) }, `[INFO] plugin/minilb: news reflector="services" n="1"`},
		{func() { with.WithGroup("g").With("more", "y").Info("news") }, `[INFO] plugin/minilb: news reflector="services" more="y"`},
		{func() { base.Info("news") }, `[INFO] plugin/minilb: news`},
		{func() { base.Debug("noise") }, ""},
	}
	for _, tc := range tests {
		out.Reset()
		tc.log()
		_, got, _ := strings.Cut(strings.TrimSuffix(out.String(), "\n"), "[")
		if got != strings.TrimPrefix(tc.want, "[") {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}
