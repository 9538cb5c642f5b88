package controller

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	clienttesting "k8s.io/client-go/testing"
)

// Every Service that changes is enqueued, those that are gone or not ours any more, too; and all are by a resync.
func TestEnqueue(t *testing.T) {
	c, _ := newTest(t, func(clienttesting.PatchAction) (*corev1.Service, error) { return nil, nil })
	named := func(name string, version int) *corev1.Service {
		s := web(version, "")
		s.Name = name
		return s
	}
	theirs := named("c", 6)
	*theirs.Spec.LoadBalancerClass = "metallb"
	for _, step := range []struct {
		name     string
		change   func() error
		enqueued string
		have     string
	}{
		{"list", func() error { return c.services[0].Replace([]any{named("a", 1), named("b", 2)}, "2") }, "a b", "a1 b2"},
		{"update", func() error { return c.services[0].Update(named("a", 3)) }, "a", "a3 b2"},
		{"add", func() error { return c.services[0].Add(named("c", 4)) }, "c", "a3 b2 c4"},
		{"delete", func() error { return c.services[0].Delete(named("b", 5)) }, "b", "a3 c4"},
		{"resync", func() error { c.enqueueAll(); return nil }, "a c", "a3 c4"},
		{"list after an outage", func() error { return c.services[0].Replace([]any{named("b", 6), named("c", 4)}, "6") }, "a b", "b6 c4"},
		{"not ours any more", func() error { return c.services[0].Update(theirs) }, "c", "b6"},
		{"never ours", func() error { return c.services[0].Update(theirs) }, "", "b6"},
		{"never ours, deleted", func() error { return c.services[0].Delete(theirs) }, "", "b6"},
	} {
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		var enqueued, have []string
		for c.queue.Len() > 0 {
			name, _ := c.queue.Get()
			c.queue.Done(name)
			enqueued = append(enqueued, name.Name)
		}
		for _, s := range c.services[0].List() {
			have = append(have, s.name.Name+s.version)
		}
		slices.Sort(enqueued)
		slices.Sort(have)
		if got := strings.Join(enqueued, " "); got != step.enqueued {
			t.Errorf("%s: enqueued %q, want %q", step.name, got, step.enqueued)
		}
		if got := strings.Join(have, " "); got != step.have {
			t.Errorf("%s: has %q, want %q", step.name, got, step.have)
		}
	}
}
