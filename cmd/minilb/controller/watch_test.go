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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// silence takes away client-go's handlers of errors: one of them takes a synctest bubble's clock
// for one that goes wrong.
func silence(t *testing.T) {
	handlers := utilruntime.ErrorHandlers
	utilruntime.ErrorHandlers = nil
	t.Cleanup(func() { utilruntime.ErrorHandlers = handlers })
}

// An outage is logged each ten minutes, and its end is noticed within seconds, however long it was.
func TestWatchOutage(t *testing.T) {
	silence(t)
	synctest.Test(t, func(t *testing.T) {
		c, log := newTest(t, nil)
		var away atomic.Bool
		away.Store(true)
		c.client.(*fake.Clientset).PrependReactor("list", "services", func(clienttesting.Action) (bool, runtime.Object, error) {
			return away.Load(), nil, errors.New("connection refused")
		})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { c.watch(ctx) })
		time.Sleep(21 * time.Minute)
		synctest.Wait()
		if got := log.String(); strings.Count(got, "\n") != 3 || strings.Count(got, "cannot reach the API server") != 3 ||
			strings.Count(got, "; retrying, and no status is written") != 3 || c.watchFailure() == nil {
			t.Errorf("want three lines about the outage, got\n%s", got)
		}
		away.Store(false)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if got := log.String(); !c.services.known() || strings.Count(got, "\n") != 4 || !strings.Contains(got, "The API server answers again") || c.watchFailure() != nil {
			t.Errorf("synced %v; want one line about the end of the outage, got\n%s", c.services.known(), got)
		}
		cancel()
		running.Wait()
	})
}

// A list that works and a watch that does not is an outage, too.
func TestWatchRefused(t *testing.T) {
	silence(t)
	synctest.Test(t, func(t *testing.T) {
		c, log := newTest(t, nil)
		client := c.client.(*fake.Clientset)
		client.PrependReactor("list", "services", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, &corev1.ServiceList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}, nil
		})
		client.PrependWatchReactor("services", func(clienttesting.Action) (bool, watch.Interface, error) {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "", errors.New("no"))
		})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { c.watch(ctx) })
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		if got := log.String(); strings.Count(got, "\n") != 2 || strings.Count(got, "services: list and watch is forbidden") != 2 ||
			strings.Count(got, "; no status is written") != 2 || c.watchFailure() == nil {
			t.Errorf("want two lines, got\n%s", got)
		}
		cancel()
		running.Wait()
	})
}
