package controller

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/pipes"
)

// Serving health and metrics ends with the context, whoever is still connected.
func TestServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newTest(t, nil)
		listener := pipes.Listen()
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- c.serve(ctx, listener) }()
		client := &http.Client{Transport: &http.Transport{DialContext: listener.Dial}}
		response, err := client.Get("http://localhost/livez") // kept alive
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		silent, err := listener.Dial(ctx, "tcp", "")
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		synctest.Wait()
		cancel()
		began := time.Now()
		if err := <-result; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != shutdownTimeout {
			t.Errorf("it ended after %v, want %v", took, shutdownTimeout)
		}
	})
}

func TestHandler(t *testing.T) {
	c, _ := newTest(t, nil)
	server := httptest.NewServer(c.handler())
	defer server.Close()
	expect := func(path string, status int, body string) {
		t.Helper()
		response, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != status || !strings.Contains(string(text), body) {
			t.Errorf("%s: got %d and %q, want %d and %q", path, response.StatusCode, text, status, body)
		}
	}
	expect("/livez", 200, "ok")
	expect("/readyz", 503, "services: not listed yet")
	c.services[0].Observe(t.Context(), errors.New("\x1b[2J"))
	expect("/readyz", 503, `cannot reach the API server: \u001b[2J`) // M10
	expect("/healthz", 503, "cannot reach the API server")
	c.services[0].Replace(nil, "1")
	expect("/readyz", 200, "ok")
	expect("/healthz", 200, "ok")
	expect("/livez", 200, "ok")
	expect("/", 404, "")
}

func TestMetrics(t *testing.T) {
	c, _ := newTest(t, nil)
	mine, other, deleted := web(1, ""), web(2, ""), web(3, "")
	other.Name, *other.Spec.LoadBalancerClass = "other", "metallb"
	deleted.Name, deleted.DeletionTimestamp = "deleted", &metav1.Time{Time: time.Now()}
	c.services[0].Replace([]any{mine, other, deleted}, "3")
	c.writes.WithLabelValues(resultSuccess).Inc()

	families, err := c.metrics().Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}

	answer := httptest.NewRecorder()
	c.handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text := answer.Body.String()
	for _, want := range []string{
		"minilb_watching 1",
		"minilb_services 2",
		"minilb_services_unwritten 1",
		"minilb_services_contested 0",
		`minilb_status_writes_total{result="dropped"} 0`,
		`minilb_status_writes_total{result="error"} 0`,
		`minilb_status_writes_total{result="success"} 1`,
		`minilb_build_info{goversion="` + runtime.Version() + `",revision="0123abc",version="v1"} 1`,
		"# TYPE go_goroutines gauge",
		"# TYPE process_open_fds gauge",
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("%s is missing", want)
		}
	}
}
