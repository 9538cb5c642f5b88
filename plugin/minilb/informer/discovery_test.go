package informer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// What Run has started is over when it returns.
func TestDiscoveryWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		served := func(context.Context) (Served, error) { return Served{thingVersions[0]: true}, nil }
		d := NewDiscovery(&Server{Log: &testLog{}}, "/apis/x", served, time.Minute)
		d.OnDiscovered = func() {}
		f, _ := newFollower(&testLog{})
		done := false
		f.watch = func(ctx context.Context, _ schema.GroupVersionResource, _ target) {
			<-ctx.Done()
			time.Sleep(time.Second)
			done = true
		}
		d.followers = []*follower{f}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if d.Run(ctx); !done {
			t.Error("it returns before its stores are at rest")
		}
	})
}
