//go:build linux

package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// propagation is how soon a pod that is to end leaves the answers: once the API server, the
// EndpointSlice controller and the name server have told. From then on it serves for the TTL, and
// for so long again, so that a busy machine alone makes no request fail.
const propagation = time.Second

// Every pod of a Service is replaced, one after the other, all but one of the new ones end at once, and
// clients that follow the TTL never notice: a pod that is to end leaves the answers while it still serves (E16).
func TestRollingRestart(t *testing.T) {
	l := theLab(t)
	ttl := time.Second
	if harness.Full {
		ttl = 5 * time.Second // the default
	}
	name, pods, _ := l.startWeb(t, fmt.Sprintf("ttl %.0f", ttl.Seconds()))
	l.addRoutes(t, l.Router)
	cached, resolving := request(t, pace, name, l.followTTL(patience)), request(t, pace, name, l.oneAddress(patience))
	clients := []*requests{cached, resolving}
	for _, client := range clients {
		expectServed(t, client, pods)
	}
	var fresh []*pod
	deleted, left := map[string]time.Time{}, map[string]time.Time{} // left is when a pod was no longer answered
	for i, old := range pods {
		fresh = append(fresh, l.startPod(t, fmt.Sprintf("fresh-%d", i), "web", old.node.role))
		l.waitAddresses(t, name, len(pods)+1)
		deleted[old.role] = time.Now()
		var err error
		left[old.role], err = old.drain(t.Context(), name, ttl+propagation)
		must(t, err)
		l.waitAddresses(t, name, len(pods))
	}
	for _, client := range clients {
		expectServed(t, client, fresh)
	}
	// The Service shrinks.
	drained := make(chan error)
	for _, p := range fresh[1:] {
		go func() {
			_, err := p.drain(t.Context(), name, ttl+propagation)
			drained <- err
		}()
	}
	for range fresh[1:] {
		if err := <-drained; err != nil {
			t.Error(err)
		}
	}
	l.waitAddresses(t, name, 1)
	time.Sleep(ttl + 200*time.Millisecond) // an answer from before may be kept for so long
	for _, client := range clients {
		attempts := expectNoFailure(t, client)
		if last := attempts[len(attempts)-1]; last.pod != fresh[0].role {
			t.Errorf("in the end %s answers", last.pod)
		}
	}
	// The pods have left the answers long before they end.
	for _, old := range pods {
		at := deleted[old.role]
		asked, held := resolving.lastTo(old), cached.lastTo(old)
		t.Logf("after its deletion %s got the last request of who resolves anew %.2f s later, of who follows the TTL %.2f s",
			old.role, asked.Sub(at).Seconds(), held.Sub(at).Seconds())
		if asked.After(left[old.role]) || held.After(left[old.role].Add(ttl)) {
			t.Errorf("%s was no longer answered after %v, and then got requests %v later, %v later of who follows the TTL",
				old.role, left[old.role].Sub(at), asked.Sub(left[old.role]), held.Sub(left[old.role]))
		}
		if harness.Full && asked.Sub(at) > propagation {
			t.Errorf("%s was answered for %v after its deletion, want %v at most", old.role, asked.Sub(at), propagation)
		}
	}
}

// patience is how long clients wait that nothing is to happen to. It is for a busy machine: who
// is sent to a pod that is gone fails, whenever that is.
const patience = 5 * time.Second

// expectNoFailure ends a client and checks that all its requests were answered.
func expectNoFailure(t *testing.T, client *requests) []attempt {
	t.Helper()
	attempts := client.stop()
	if len(attempts) == 0 {
		t.Fatal("no request was made")
	}
	if failed := failures(attempts); len(failed) > 0 {
		t.Errorf("%d of %d requests failed, the first over IPv%s after %v: %v", len(failed), len(attempts), failed[0].family,
			failed[0].end.Sub(failed[0].start), failed[0].err)
	}
	t.Logf("%d requests in %v", len(attempts), attempts[len(attempts)-1].end.Sub(attempts[0].start).Round(100*time.Millisecond))
	return attempts
}

// expectServed waits until each of the pods has answered a client.
func expectServed(t *testing.T, client *requests, pods []*pod) {
	t.Helper()
	cluster.Eventually(t, time.Minute, func() error {
		served := client.served()
		for _, p := range pods {
			if served[p.role] == 0 {
				return fmt.Errorf("no request went to %s", p.role)
			}
		}
		return nil
	})
}
