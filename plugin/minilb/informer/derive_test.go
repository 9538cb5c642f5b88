package informer

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
)

// label is what another reader keeps of a Service: one of its labels, nothing without it.
type label struct {
	name  cache.ObjectName
	value string
}

func (l *label) Key() cache.ObjectName { return l.name }

// One watch feeds two Stores, each with what it keeps, and both are complete before the state is Listed.
func TestDerive(t *testing.T) {
	things := newThings(&Server{})
	labels := Derive(things, func(s *corev1.Service) *label {
		if s.Labels["team"] == "" {
			return nil
		}
		return &label{cache.MetaObjectToName(s), s.Labels["team"]}
	})
	var changes []string
	first := true
	labels.Subscribe(func(old, new *label) {
		for prefix, l := range map[string]*label{"-": old, "+": new} {
			if l != nil {
				changes = append(changes, prefix+l.value)
			}
		}
		if first && things.State() == Listed {
			t.Error("the state is Listed before all Stores are complete")
		}
	})
	of := func(id, team string) *corev1.Service {
		s := testService(id, 1)
		s.Labels = map[string]string{"team": team}
		return s
	}
	for _, step := range []struct {
		name   string
		change func() error
		want   string // changes, and after the bar what is there
	}{
		{"list", func() error {
			return things.Replace([]any{things.known(of("shop/a", "red")), things.known(of("shop/b", ""))}, "1")
		}, "+red | red"},
		{"add", func() error { return things.Add(of("shop/c", "blue")) }, "+blue | blue red"},
		{"the same", func() error { return things.Update(of("shop/c", "blue")) }, "| blue red"},
		{"update", func() error { return things.Update(of("shop/a", "green")) }, "+green -red | blue green"},
		{"nothing to keep", func() error { return things.Update(of("shop/a", "")) }, "-green | blue"},
		{"delete", func() error { return things.Delete(of("shop/c", "blue")) }, "-blue |"},
		{"list again", func() error { return things.Replace([]any{of("shop/d", "red")}, "2") }, "+red | red"},
		{"forget", func() error { things.forget(); return nil }, "-red |"},
	} {
		changes = nil
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		first = false
		slices.Sort(changes)
		var there []string
		for _, l := range labels.List() {
			there = append(there, l.value)
		}
		slices.Sort(there)
		got := strings.TrimSpace(strings.TrimSpace(strings.Join(changes, " ")+" | ") + " " + strings.Join(there, " "))
		if got != step.want {
			t.Errorf("%s: got %q, want %q", step.name, got, step.want)
		}
	}
	if things.State() != NotServed || labels.State() != NotServed {
		t.Errorf("got states %v and %v", things.State(), labels.State())
	}
}
