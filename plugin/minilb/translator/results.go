package translator

import (
	"iter"

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// results yields what became of all claims: first the problems, then the claims that count (C1–C3), then what is to be
// said of annotations.
func (t *Translator) results() iter.Seq[claim.Result] {
	return func(yield func(claim.Result) bool) {
		for p := range t.problems() {
			if !yield(result(p.Ref, p.Host, p.Reason, p.Text)) {
				return
			}
		}
		for _, p := range t.last.slices {
			if !yield(result(p.Ref, p.Host, p.Reason, p.Text)) {
				return
			}
		}
		for host := range t.resolver.Resolutions() {
			for _, e := range t.resolver.Counting(host) {
				if !yield(result(&e.Ref, host, "", "")) {
					return
				}
			}
		}
		for p := range t.cluster.Lint() {
			if !yield(result(p.Ref, p.Host, p.Reason, p.Text)) {
				return
			}
		}
	}
}

func result(o *object.Ref, host string, reason object.Reason, text string) claim.Result {
	return claim.Result{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name, UID: o.UID, Generation: o.Generation, Host: host, Reason: reason, Text: text}
}
