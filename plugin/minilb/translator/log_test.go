package translator

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minilb/minilb/plugin/minilb/object"
)

// The lines of a report do not depend on the order of the problems, nor on how often one is there.
func TestReporter(t *testing.T) {
	a, b := &object.Ref{Kind: "Service", Namespace: "shop", Name: "a"}, &object.Ref{Kind: "Service", Namespace: "shop", Name: "b"}
	log := &testLog{}
	r := newReporter(log)
	r.report([]object.Problem{{Ref: b, Reason: object.ReasonInvalid, Host: "", Text: "one", Hosts: 0}, {Ref: a, Reason: object.ReasonInvalid, Host: "", Text: "two", Hosts: 0}, {Ref: b, Reason: object.ReasonNoTarget, Host: "", Text: "more", Hosts: 0}, {Ref: a, Reason: object.ReasonInvalid, Host: "", Text: "two", Hosts: 0}, {Ref: a, Reason: "", Host: "", Text: "one", Hosts: 0}}, nil)
	want := []string{"W Service shop/a: one", "W Service shop/a: two", "I Service shop/b: more", "W Service shop/b: one"}
	if got := log.take(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	r.report([]object.Problem{{Ref: a, Reason: object.ReasonInvalid, Host: "", Text: "two", Hosts: 0}, {Ref: a, Reason: object.ReasonInvalid, Host: "", Text: "three", Hosts: 0}}, nil)
	if got, want := log.take(), []string{"W Service shop/a: three"}; !slices.Equal(got, want) {
		t.Errorf("another block: got %q, want %q", got, want)
	}
}

// What is logged about the objects of a namespace is bounded, however often one has new problems or
// however many have; the problems of others are logged none the less.
func TestReporterBudget(t *testing.T) {
	log := &testLog{}
	r := newReporter(log)
	var first, second []object.Problem
	for i := range 2 * lineBurst {
		ref := &object.Ref{Kind: "Service", Namespace: "evil", Name: fmt.Sprintf("s%04d", i)}
		first, second = append(first, object.Problem{Ref: ref, Reason: object.ReasonInvalid, Host: "", Text: "one", Hosts: 0}), append(second, object.Problem{Ref: ref, Reason: object.ReasonInvalid, Host: "", Text: "two", Hosts: 0})
	}
	r.report(first, nil)
	r.report(second, first)
	r.report(append(second, object.Problem{Ref: &object.Ref{Kind: "Service", Namespace: "shop", Name: "a"}, Reason: object.ReasonInvalid, Host: "", Text: "one", Hosts: 0}), second)
	lines := log.take()
	said := map[string]int{}
	for _, line := range lines {
		words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '/' || r == ':' })
		said[words[1]+" "+words[2]]++
	}
	if said["Service evil"] < lineBurst || said["Service evil"] > lineBurst+lineRate*60 || said["Namespace evil"] != 1 || said["Service shop"] != 1 {
		t.Errorf("got %v lines, want %d about evil, one that there are more, and one about shop", said, lineBurst)
	}
}

// Namespaces that come and go with something wrong in each leave nothing, and none has all of its
// lines again because others came.
func TestReporterForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const half = lineBurst / 2
		r := newReporter(&testLog{})
		for range lineBurst {
			r.budget.allows("evil")
		}
		time.Sleep(half / lineRate * time.Second)
		for i := range 2 * maxBudgets {
			r.budget.allows(fmt.Sprintf("preview-%d", i))
		}
		n := 0
		for r.budget.allows("evil") {
			n++
		}
		if n != half {
			t.Errorf("%d more lines in the time of %d", n, half)
		}
		time.Sleep(lineBurst/lineRate*time.Second + 1)
		r.budget.allows("another")
		if n := len(r.budget.byNamespace); n != 1 {
			t.Errorf("%d namespaces are remembered, want one", n)
		}
	})
}
