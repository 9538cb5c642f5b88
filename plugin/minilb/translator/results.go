package translator

import (
	"iter"

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// publish resolves the claims that have changed, and gives all results if some may be others than before.
func (c *Claims) publish() {
	all := c.unresolved.Swap(false)
	changes := c.resolve(!c.known(), c.services.takeRenamed())
	if all || len(changes.Hosts)+len(changes.Come)+len(changes.Gone) > 0 {
		c.onResolved(c.results())
	}
}

// results yields the result of each claim: first the problems, then the claims that count (C1–C3), then problems of
// annotations.
func (c *Claims) results() iter.Seq[claim.Result] {
	return func(yield func(claim.Result) bool) {
		for p := range c.problems() {
			if !yield(result(p.Ref, p.Host, p.Reason, p.Text)) {
				return
			}
		}
		for host := range c.resolver.Resolutions() {
			for _, e := range c.resolver.Counting(host) {
				if !yield(result(&e.Ref, host, "", "")) {
					return
				}
			}
		}
		for p := range c.cluster.Lint() {
			if !yield(result(p.Ref, p.Host, p.Reason, p.Text)) {
				return
			}
		}
	}
}

// problems yields those of claims, Gateways and the like.
func (c *Claims) problems() iter.Seq[*object.Problem] {
	return func(yield func(*object.Problem) bool) {
		for p := range c.resolver.Problems() {
			if !yield(p) {
				return
			}
		}
		for i := range c.objects {
			if !yield(&c.objects[i]) {
				return
			}
		}
	}
}

func result(o *object.Ref, host string, reason object.Reason, text string) claim.Result {
	return claim.Result{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name, UID: o.UID, Generation: o.Generation, Host: host, Reason: reason, Text: text}
}
