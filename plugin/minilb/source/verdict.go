package source

import (
	"iter"

	"k8s.io/apimachinery/pkg/types"

	"github.com/minilb/minilb/plugin/minilb/object"
)

// Verdict is what became of one host that an object claims, or of the object as a whole.
type Verdict struct {
	// Kind is "Service", "EndpointSlice", "Ingress" or one of the Gateway API. The UID and the
	// generation are those of the form of the object that was judged, or of a later one, which is
	// judged in a moment. They are not known of EndpointSlices and GatewayClasses.
	Kind, Namespace, Name string
	UID                   types.UID
	Generation            int64 // 0 of a Service, which has none
	// Host is canonical, and a wildcard begins with "*."; empty if the verdict is on several or none,
	// or on what is no host name.
	Host string
	// Reason is one of those below, or empty if the claim counts.
	Reason object.Reason
	// Text says in one line what is wrong and what follows. It may be there for a claim that counts,
	// too, which is not answered quite as asked.
	Text string
}

// verdicts yields all verdicts on what the resolver was given: first those who lose, or have other
// problems, then the claims that count (C1–C3), then what is to be said of annotations.
func (t *Translator) verdicts(r *resolver, problems []object.Problem) iter.Seq[Verdict] {
	return func(yield func(Verdict) bool) {
		for i := range problems {
			p := &problems[i]
			if !yield(t.verdict(p.Ref, p.Host, p.Reason, p.Text)) {
				return
			}
		}
		for host, claims := range r.claims {
			_, answered := r.outcomes[host]
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

func (t *Translator) verdict(o *object.Ref, host string, reason object.Reason, text string) Verdict {
	v := Verdict{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name, Host: host, Reason: reason, Text: text}
	for _, of := range t.watcher.stored {
		if e, there := of.edition(o.Kind, o.Namespace, o.Name); there {
			v.UID, v.Generation = e.uid, e.generation
		}
	}
	return v
}
