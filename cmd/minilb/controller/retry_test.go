package controller

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
)

// A write that fails is tried again, ever more slowly but at least twice a minute, and told once.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var attempts []time.Time
		broken := true
		c, log := newTest(t, func(clienttesting.PatchAction) (*corev1.Service, error) {
			mu.Lock()
			defer mu.Unlock()
			attempts = append(attempts, time.Now())
			if broken {
				return nil, errors.New("connection refused")
			}
			return web(2, "web.shop.minilb"), nil
		})
		during := func(d time.Duration) []time.Time {
			time.Sleep(d)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			got := attempts
			attempts = nil
			return got
		}
		ctx, cancel := context.WithCancel(t.Context())
		var working sync.WaitGroup
		working.Go(func() { c.work(ctx) })
		c.services[0].Add(web(1, ""))
		outage := during(5 * time.Minute)
		if len(outage) < 15 {
			t.Errorf("%d attempts in five minutes", len(outage))
		}
		for i := 1; i < len(outage); i++ {
			if pause := outage[i].Sub(outage[i-1]); pause > retryMax {
				t.Errorf("a pause of %v", pause)
			}
		}
		if got := strings.Count(log.String(), "\n"); got != 1 || !strings.Contains(log.String(), "cannot reach the API server") {
			t.Errorf("want one line, got\n%s", log)
		}
		mu.Lock()
		broken = false
		mu.Unlock()
		if got := during(retryMax); len(got) != 1 {
			t.Errorf("%d attempts after the outage, want 1", len(got))
		}
		if got := during(time.Hour); len(got) > 0 {
			t.Errorf("%d attempts after success", len(got))
		}
		if got := c.queue.NumRequeues(cache.ObjectName{Namespace: "shop", Name: "web"}); got != 0 {
			t.Errorf("after success the next failure would count as number %d", got+1)
		}
		cancel()
		c.queue.ShutDown()
		working.Wait()
	})
}

// Each outage of writing is told anew, also soon after the last, and its end once.
func TestWritingAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var allowed atomic.Bool
		c, log := newTest(t, func(clienttesting.PatchAction) (*corev1.Service, error) {
			if !allowed.Load() {
				return nil, apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "web", errors.New("no"))
			}
			return web(2, "web.shop.minilb"), nil
		})
		expect := func(when string, complaints, recoveries int) {
			t.Helper()
			time.Sleep(time.Minute)
			synctest.Wait()
			got := strings.Count(log.String(), "services/status: patch is forbidden")
			again := strings.Count(log.String(), `level=INFO msg="writing the status of services again"`)
			if got != complaints || again != recoveries {
				t.Errorf("%s: %d complaints and %d recoveries, want %d and %d:\n%s", when, got, again, complaints, recoveries, log)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var working sync.WaitGroup
		working.Go(func() { c.work(ctx) })
		c.services[0].Add(web(1, ""))
		expect("at first", 1, 0)
		allowed.Store(true)
		expect("granted", 1, 1)
		c.services[0].Update(web(3, "rival.example.org"))
		expect("the next write", 1, 1)
		allowed.Store(false)
		time.Sleep(2 * time.Minute)
		c.services[0].Update(web(4, "rival.example.org"))
		expect("taken away", 2, 1)
		cancel()
		c.queue.ShutDown()
		working.Wait()
	})
}

// What a Service itself is refused for is told of each Service, and again once it has worked in
// between; any other trouble is told once for all.
func TestReportWrite(t *testing.T) {
	refused := apierrors.NewBadRequest("what")
	for name, tc := range map[string]struct {
		err   error
		lines int
	}{"refused": {refused, 2}, "unreachable": {errors.New("connection refused"), 1}, "unwell": {apierrors.NewServiceUnavailable("starting"), 1}} {
		c, log := newTest(t, nil)
		for range 3 {
			c.reportWrite(cache.ObjectName{Namespace: "shop", Name: "web"}, tc.err)
			c.reportWrite(cache.ObjectName{Namespace: "shop", Name: "api"}, tc.err)
		}
		if got := strings.Count(log.String(), "level="); got != tc.lines {
			t.Errorf("%s: got %d lines, want %d:\n%s", name, got, tc.lines, log)
		}
	}

	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		c, log := newTest(t, func(clienttesting.PatchAction) (*corev1.Service, error) {
			if attempts++; attempts%2 == 1 {
				return nil, refused
			}
			return web(attempts, "web.shop.minilb"), nil
		})
		var working sync.WaitGroup
		working.Go(func() { c.work(t.Context()) })
		for round := range 2 {
			c.services[0].Add(web(round, ""))
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		c.queue.ShutDown()
		working.Wait()
		if got := strings.Count(log.String(), "level=WARN"); attempts != 4 || got != 2 {
			t.Errorf("got %d warnings in %d attempts, want 2 in 4:\n%s", got, attempts, log)
		}
	})
}
