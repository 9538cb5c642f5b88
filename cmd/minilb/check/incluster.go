package check

import (
	"fmt"

	"github.com/minilb/minilb/plugin/minilb/lb"
)

// inCluster returns the Gateways and Ingresses that lead to addresses that only the cluster reaches: some
// controllers publish their Service's ClusterIP, or its name in the cluster's own DNS.
func (c *checker) inCluster() []Problem {
	known := lb.NewInCluster(c.services)
	var problems []Problem
	for _, i := range c.runs {
		for _, at := range i.Addresses() {
			if what := known.Describe(at.Address); what != "" {
				problems = append(problems, Problem{Warning, at.Kind, at.Namespace, at.Name, "InClusterAddress",
					fmt.Sprintf("its status address %s is %s: clients outside of the cluster do not reach hosts that lead there", at.Address, what),
					"let its controller publish a Service of type LoadBalancer and of our class, or name one by the annotation " + lb.ServiceAnnotation + ": <namespace>/<service>"})
			}
		}
	}
	return problems
}
