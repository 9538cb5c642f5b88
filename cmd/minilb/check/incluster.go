package check

import (
	"fmt"

	"github.com/minilb/minilb/plugin/minilb/lb"
)

// inCluster says which Gateways and Ingresses lead to addresses that only the cluster reaches: some
// controllers publish their Service's ClusterIP, or its name in the cluster's own DNS.
func (c *checker) inCluster() []Finding {
	known := lb.NewInCluster(c.services)
	var findings []Finding
	for _, i := range c.inspections {
		for _, at := range i.Addresses() {
			if what := known.Describe(at.Address); what != "" {
				findings = append(findings, Finding{Warning, at.Kind, at.Namespace, at.Name, "InClusterAddress",
					fmt.Sprintf("its status address %s is %s: clients outside of the cluster do not reach hosts that lead there", at.Address, what),
					"let its controller publish a Service of type LoadBalancer and of our class, or name one by the annotation " + lb.ServiceAnnotation + ": <namespace>/<service>"})
			}
		}
	}
	return findings
}
