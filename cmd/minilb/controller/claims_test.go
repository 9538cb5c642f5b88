package controller

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"

	"github.com/minilb/minilb/plugin/minilb/source"
)

// Nothing is read for Events before the Services are known, whose statuses come first.
func TestClaimsAtLeisure(t *testing.T) {
	handlers := utilruntime.ErrorHandlers
	utilruntime.ErrorHandlers = nil // they sleep by a clock that is not the bubble's
	t.Cleanup(func() { utilruntime.ErrorHandlers = handlers })
	synctest.Test(t, func(t *testing.T) {
		c, log := newTest(t, func(clienttesting.PatchAction) (*corev1.Service, error) {
			return nil, errors.New("there is no Service to write")
		})
		var known, read atomic.Bool
		c.client.(*fake.Clientset).PrependReactor("list", "services", func(clienttesting.Action) (bool, runtime.Object, error) {
			if !known.Load() {
				return true, nil, apierrors.NewServiceUnavailable("starting")
			}
			return true, &corev1.ServiceList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}, nil
		})
		config := &rest.Config{Host: "http://192.0.2.1", Dial: func(context.Context, string, string) (net.Conn, error) {
			read.Store(true)
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		}}
		if err := c.WriteEvents(config, []source.Options{{Zones: []string{"minilb."}}}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- c.Run(ctx) }()
		time.Sleep(time.Minute)
		if read.Load() {
			t.Error("the rest was read before Services were known")
		}
		known.Store(true)
		time.Sleep(time.Minute)
		if !read.Load() {
			t.Errorf("nothing is read for Events\n%s", log)
		}
		cancel()
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}
