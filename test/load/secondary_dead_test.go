package load_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// TestDeadSecondary has one that does not answer in front of one that does.
func TestDeadSecondary(t *testing.T) {
	c := harness.Shared(t)
	ctx, ns := t.Context(), harness.NewNamespace(t, c)
	_, err := c.Client.CoreV1().Services(ns).Create(ctx, harness.LoadService("web"), metav1.CreateOptions{})
	harness.Must(t, err)
	_, err = c.Client.DiscoveryV1().EndpointSlices(ns).Create(ctx, harness.LoadSlice("web", 1), metav1.CreateOptions{})
	harness.Must(t, err)
	addresses := 1
	change := func() {
		addresses++
		_, err := c.Client.DiscoveryV1().EndpointSlices(ns).Update(ctx, harness.LoadSlice("web", addresses), metav1.UpdateOptions{})
		harness.Must(t, err)
	}
	logged := func(s *harness.CoreDNS, deaf, told int) error {
		if got := len(s.Log.Lines("Cannot notify all secondaries")); got != deaf {
			return fmt.Errorf("%d lines that a secondary does not listen, want %d:\n%s", got, deaf, s.Log)
		}
		if got := len(s.Log.Lines("accept NOTIFYs again")); got != told {
			return fmt.Errorf("%d lines that all listen again, want %d:\n%s", got, told, s.Log)
		}
		return nil
	}

	ports := harness.FreePorts(t, 2)
	dead, live := listenDead(t, ports[0]), startNotified(t, ports[1])
	s := harness.StartCoreDNS(t, fmt.Sprintf(`minilb:PORT {
		bind 127.0.0.1
		READY
		errors
		transfer {
			to %s
		}
		minilb {
			kubeconfig %s
			namespaces %s
			ttl 5
		}
	}`, strings.Join(ports, " "), c.Kubeconfig, ns))
	s.WaitReady(t)
	began := time.Now()
	for range 2 { // each finds it dead
		time.Sleep(1200 * time.Millisecond)
		change()
	}
	cluster.Eventually(t, 20*time.Second, func() error {
		if told := live.since("minilb.", time.Time{}); told < 2 {
			return fmt.Errorf("the living one was told %d times, want 2", told)
		}
		return nil
	})
	live.mu.Lock()
	late := live.at["minilb."][0].Sub(began) - time.Second // after the start it waits that long
	live.mu.Unlock()
	t.Logf("a dead secondary holds up the one behind it by %v", late)
	if late > 8*time.Second {
		t.Errorf("a dead secondary holds up the one behind it by %v, want 6 s as documented", late)
	}
	if err := logged(s, 1, 0); err != nil {
		t.Error(err)
	}

	harness.Must(t, dead.Close())
	back := startNotified(t, ports[0])
	changed := time.Now()
	change()
	cluster.Eventually(t, 5*time.Second, func() error {
		if back.since("minilb.", changed) == 0 || live.since("minilb.", changed) == 0 {
			return fmt.Errorf("not both were told")
		}
		return logged(s, 1, 1)
	})

	// Neither a reload nor the end waits for one that hangs.
	back.stop()
	hanging := listenDead(t, ports[0])
	change()
	harness.Must(t, hanging.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, _, err = hanging.ReadFrom(make([]byte, 512)) // it is told now, which takes until nobody answers
	harness.Must(t, err)
	s.Edit(t, "ttl 5", "ttl 6")
	harness.Must(t, s.Cmd.Process.Signal(syscall.SIGUSR1))
	reloading := time.Now()
	cluster.Eventually(t, 10*time.Second, func() error {
		reply, err := s.Ask("udp", "minilb", dns.TypeSOA)
		if err == nil && reply.Answer[0].Header().Ttl != 6 {
			err = fmt.Errorf("not reloaded:\n%s", s.Log)
		}
		return err
	})
	if took := time.Since(reloading); took > 4*time.Second {
		t.Errorf("a reload took %v", took)
	}
	time.Sleep(1500 * time.Millisecond) // until it tells of what it knows
	stopping := time.Now()
	s.Stop(t)
	t.Logf("it ended within %v", time.Since(stopping))
	if took := time.Since(stopping); took > 3*time.Second {
		t.Errorf("it took %v to end", took)
	}
}
