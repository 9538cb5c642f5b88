package podnetworks

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// readCiliumNode reads a CiliumNode, which has the name of its Node. In the mode multi-pool its pools have the networks.
func readCiliumNode(object *unstructured.Unstructured) Assignment {
	cidrs, malformed := texts(object.Object, "spec", "ipam", "podCIDRs")
	pools, _, err := unstructured.NestedSlice(object.Object, "spec", "ipam", "pools", "allocated")
	malformed = malformed || err != nil
	for i, pool := range pools {
		fields, _ := pool.(map[string]any)
		more, wrong := texts(fields, "cidrs")
		malformed = malformed || wrong || fields == nil
		if i == 0 {
			cidrs = nil // of another mode, before
		}
		cidrs = append(cidrs, more...)
	}
	assignment := list(Cilium, object.GetName(), cidrs)
	assignment.Moves = len(pools) > 0
	if malformed {
		assignment.Malformed = append(assignment.Malformed, "spec.ipam is malformed")
	}
	return assignment
}

// texts returns a list of texts, and whether it is something else.
func texts(object map[string]any, path ...string) (list []string, malformed bool) {
	list, _, err := unstructured.NestedStringSlice(object, path...)
	return list, err != nil
}
