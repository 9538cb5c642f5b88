package controller

import (
	"cmp"
	"context"
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
		Handler:      c.handler(),
		ReadTimeout:  requestTimeout,
		WriteTimeout: requestTimeout,
		IdleTimeout:  idleTimeout,
		ErrorLog:     slog.NewLogLogger(c.log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve health and metrics: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if server.Shutdown(grace) != nil {
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
	if c.services.known() {
		io.WriteString(w, "ok\n")
		return
	}
	reason := cmp.Or(c.cluster.Trouble(), "services: not listed yet")
	http.Error(w, printable.Line(reason), http.StatusServiceUnavailable)
}

// watchFailure returns why Services cannot be read.
func (c *Controller) watchFailure() *kube.Error {
	return cmp.Or(c.cluster.Failure(), c.services[0].Failure())
}
