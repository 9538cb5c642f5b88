package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

const (
	idleTimeout     = time.Minute
	shutdownTimeout = 2 * time.Second
)

// serve answers on listener until ctx ends.
func (c *Controller) serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           c.handler(),
		ReadHeaderTimeout: requestTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(c.log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan error, 1)
	unhook := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		stopped <- server.Shutdown(grace)
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		unhook()
		return fmt.Errorf("serve health and metrics: %w", err)
	}
	if err := <-stopped; err != nil {
		return server.Close() // a client keeps its connection open
	}
	return nil
}

// handler serves
//
//	/livez             200 as long as the process runs
//	/healthz, /readyz  200 from when the Services are known; 503 and the reason before
//	/metrics           for Prometheus
func (c *Controller) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /healthz", c.ready)
	mux.HandleFunc("GET /readyz", c.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(c.metrics(), promhttp.HandlerOpts{}))
	return mux
}

func (c *Controller) ready(w http.ResponseWriter, _ *http.Request) {
	if c.services.Known() {
		io.WriteString(w, "ok\n")
		return
	}
	reason := "services: not listed yet"
	if failure := c.watchFailure(); failure != nil {
		reason = failure.Text
	}
	http.Error(w, printable.Line(reason), http.StatusServiceUnavailable)
}

// watchFailure returns why Services cannot be read.
func (c *Controller) watchFailure() *kube.Error {
	return cmp.Or(c.cluster.Failure(), c.services.Failure())
}
