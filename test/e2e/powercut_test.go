//go:build linux

package e2e_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// pace is how often each client starts a request while something happens.
const pace = 20 * time.Millisecond

// giveUp is how long a client waits for the one address that it uses: so long that a busy machine
// alone makes none fail.
const giveUp = 3 * time.Second

// A node loses power, and nobody looks but the cluster: its pod is among the answers until the
// node lifecycle controller misses its heartbeats (E3). Who tries the next address never fails.
func TestPowerCut(t *testing.T) {
	l := theLab(t)
	const ttl = time.Second
	name, pods, _ := l.startWeb(t, "ttl 1")
	l.addRoutes(t, l.Router)
	repetitions := 1
	if harness.Full {
		repetitions = 3
	}
	// The last heartbeat may be this old at the cut, as it may take a while by itself, and this long
	// may pass until it is missed.
	var all []time.Duration
	earliest, latest := l.timing.grace-l.timing.heartbeat-2*time.Second, l.timing.grace+l.timing.monitor+5*time.Second
	for n := range repetitions {
		cut := l.startCut(t, name, pods, pods[n%len(pods)])
		cluster.Eventually(t, latest+10*time.Second, func() error {
			answer, err := l.resolve(t.Context(), name, "4")
			if err == nil && len(answer.addresses) != len(pods)-1 {
				err = fmt.Errorf("%s has the addresses %v, want the dead node's to go", name, answer.addresses)
			}
			return err
		})
		dropped := time.Since(cut.at)
		all = append(all, dropped)
		cut.end(t, 3*time.Second)
		if dropped < earliest || dropped > latest {
			t.Errorf("%v: want between %v and %v", dropped, earliest, latest)
		}
		// Both families and all three clients follow at once, but for those that may cache.
		cut.expect(t, dropped+time.Second, ttl)
		l.waitAddresses(t, name, len(pods))
	}
	t.Logf("the cluster takes %s from the cut until the dead node's pod is no longer answered", spread(all))
}

// With probe the name server notices by itself.
func TestPowerCutWithProbe(t *testing.T) {
	l := theLab(t)
	l.addRoutes(t, l.Router)
	repetitions := 1
	if harness.Full {
		repetitions = 10
	}
	for _, test := range []struct {
		probe      string
		ttl, limit time.Duration
	}{
		{"probe", time.Second, 3 * time.Second},
		{"probe 200ms", 0, time.Second},
	} {
		ttl := fmt.Sprintf("ttl %.0f", test.ttl.Seconds())
		t.Run(test.probe+", "+ttl, func(t *testing.T) {
			name, pods, _ := l.startWeb(t, test.probe, ttl)
			var lasts []time.Duration
			for n := range repetitions {
				cut := l.startCut(t, name, pods, pods[n%len(pods)])
				cut.end(t, test.limit+500*time.Millisecond)
				lasts = append(lasts, cut.expect(t, test.limit, test.ttl))
				l.waitAddresses(t, name, len(pods))
			}
			t.Logf("the last request that fails begins %s after the cut", spread(lasts))
		})
	}
}

// powerCut is a node without power, and clients that make requests all the while.
type powerCut struct {
	before  time.Time // when it was about to be made, which takes a while
	at      time.Time // when it was made
	victim  *pod      // on that node
	clients map[string]*requests
	results map[string][]attempt
}

// The clients of a powerCut.
const (
	oneAddress  = "one random address, resolved for each connection"
	nextAddress = "the next address after 200 ms"
	followTTL   = "one random address, kept for the TTL"
)

// startCut starts clients and, once each has been answered by all pods, takes the power of one pod's node.
func (l *lab) startCut(t *testing.T, name string, pods []*pod, victim *pod) *powerCut {
	t.Helper()
	c := &powerCut{victim: victim, clients: map[string]*requests{
		oneAddress:  request(t, pace, name, l.oneAddress(giveUp)),
		nextAddress: request(t, pace, name, l.nextAddress(200*time.Millisecond, patience)),
		followTTL:   request(t, pace, name, l.followTTL(giveUp)),
	}}
	for _, client := range c.clients {
		expectServed(t, client, pods)
	}
	// Whatever becomes of the test, the next finds the node well.
	t.Cleanup(func() { must(t, victim.node.heal()) })
	c.before = time.Now()
	must(t, victim.node.cut())
	c.at = time.Now()
	return c
}

// end waits for so long, ends the clients and gives the node its power back.
func (c *powerCut) end(t *testing.T, after time.Duration) {
	t.Helper()
	time.Sleep(after)
	c.results = map[string][]attempt{}
	for client, requests := range c.clients {
		c.results[client] = requests.stop()
	}
	for _, family := range families {
		if _, err := c.victim.node.lab.fetch(t.Context(), c.victim.addresses.Of(family), time.Second/4); err == nil {
			t.Errorf("%s answers over IPv%s, though its node has no power", c.victim.role, family)
		}
	}
	must(t, c.victim.node.heal())
}

// expect checks that no request failed that began later than limit after the cut, or ttl more
// where the client keeps answers, and none at all of the client that tries the next address. It
// returns when the last one that failed began, of the client that uses one address and resolves
// for each connection.
func (c *powerCut) expect(t *testing.T, limit, ttl time.Duration) (last time.Duration) {
	t.Helper()
	for client, attempts := range c.results {
		failed := failures(attempts)
		if len(failed) == 0 {
			var slowest time.Duration
			for _, a := range attempts {
				slowest = max(slowest, a.end.Sub(a.start))
			}
			t.Logf("%s: none of %d requests failed, the slowest took %.2f s", client, len(attempts), slowest.Seconds())
			continue
		}
		lastStart, lastEnd := failed[len(failed)-1].start.Sub(c.at), time.Duration(0)
		for _, a := range failed {
			lastEnd = max(lastEnd, a.end.Sub(c.at))
		}
		t.Logf("%s: %d of %d requests failed, the last began %.2f s after the cut and ended after %.2f s: %v",
			client, len(failed), len(attempts), lastStart.Seconds(), lastEnd.Seconds(), failed[len(failed)-1].err)
		first := failed[0]
		// One that was under way may fail of the cut.
		if first.end.Before(c.before) {
			t.Errorf("%s: a request failed %v before the cut: %v", client, c.before.Sub(first.end), first.err)
		}
		switch client {
		case nextAddress:
			t.Errorf("%s: %d requests failed, the first: %v", client, len(failed), first.err)
		case followTTL:
			if lastStart > limit+ttl {
				t.Errorf("%s: a request that began %v after the cut failed, want none after %v", client, lastStart, limit+ttl)
			}
		case oneAddress:
			last = lastStart
			if lastStart > limit {
				t.Errorf("%s: a request that began %v after the cut failed, want none after %v", client, lastStart, limit)
			}
		}
		if all := attempts[len(attempts)-1].start.Sub(c.at); all < limit {
			t.Errorf("%s: it was watched for %v after the cut, want more than %v", client, all, limit)
		}
	}
	return last
}

// spread formats the least, the greatest and the median of durations.
func spread(all []time.Duration) string {
	slices.Sort(all)
	return fmt.Sprintf("%.2f to %.2f s (median of %d: %.2f)",
		all[0].Seconds(), all[len(all)-1].Seconds(), len(all), all[len(all)/2].Seconds())
}
