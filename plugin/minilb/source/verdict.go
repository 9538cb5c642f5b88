package source

import (
	"iter"

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// verdicts yields all verdicts on what the resolver was given: first those who lose, or have other
// problems, then the claims that count (C1–C3), then what is to be said of annotations.
func (t *Translator) verdicts(r *claim.Resolver, problems []object.Problem) iter.Seq[claim.Result] {
	return func(yield func(claim.Result) bool) {
		for i := range problems {
			p := &problems[i]
			if !yield(t.verdict(p.Ref, p.Host, p.Reason, p.Text)) {
				return
			}
		}
		for host, claims := range r.Claims {
			_, answered := r.Outcomes[host]
			for _, c := range claims {
				if answered && !yield(t.verdict(&c.Ref, host, "", "")) {
					return
				}
			}
		}
		for _, of := range t.watcher.stored {
			for v := range of.slips() {
				if !yield(v) {
					return
				}
			}
		}
	}
}

func (t *Translator) verdict(o *object.Ref, host string, reason object.Reason, text string) claim.Result {
	v := claim.Result{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name, Host: host, Reason: reason, Text: text}
	for _, of := range t.watcher.stored {
		if e, there := of.edition(o.Kind, o.Namespace, o.Name); there {
			v.UID, v.Generation = e.uid, e.generation
		}
	}
	return v
}
