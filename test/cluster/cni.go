package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The module that Cilium's CRDs are published in.
const (
	cilium        = "github.com/cilium/cilium"
	ciliumRelease = "v1.20.2"
)

// CiliumNodes returns Cilium's own CRD of CiliumNodes as a manifest for Apply.
func CiliumNodes(ctx context.Context) (string, error) {
	dir, err := moduleDir(ctx, cilium+"@"+ciliumRelease)
	if err != nil {
		return "", err
	}
	content, err := os.ReadFile(filepath.Join(dir, "pkg/k8s/apis/cilium.io/client/crds/v2/ciliumnodes.yaml"))
	if err != nil {
		return "", fmt.Errorf("read the CRD of Cilium %s: %w", ciliumRelease, err)
	}
	return string(content), nil
}

// CalicoBlocks returns CRDs of Calico's BlockAffinities and IPAMBlocks as a manifest for Apply, of crd.projectcalico.org/v1 or
// of projectcalico.org/v3. The module proxy does not serve Calico: these have the names, types and required fields of its
// CRDs, and no descriptions.
func CalicoBlocks(group, version string) string {
	deleted := "string" // in v1, for compatibility
	if version == "v3" {
		deleted = "boolean"
	}
	crd := func(kind, resource, required, properties string) string {
		return fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[3]s.%[1]s}
spec:
  group: %[1]s
  names: {kind: %[4]s, listKind: %[4]sList, plural: %[3]s, singular: %[5]s}
  scope: Cluster
  versions:
  - name: %[2]s
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          apiVersion: {type: string}
          kind: {type: string}
          metadata: {type: object}
          spec: {type: object, required: [%[6]s], properties: {%[7]s}}
`, group, version, resource, kind, strings.ToLower(kind), required, properties)
	}
	return crd("BlockAffinity", "blockaffinities", "cidr, deleted, node, state",
		"cidr: {type: string}, deleted: {type: "+deleted+"}, node: {type: string}, state: {type: string}, type: {type: string}") +
		"---" + crd("IPAMBlock", "ipamblocks", "allocations, attributes, cidr, strictAffinity, unallocated",
		`affinity: {type: string}, cidr: {type: string}, deleted: {type: boolean}, strictAffinity: {type: boolean},
            sequenceNumber: {type: integer, format: int64}, unallocated: {type: array, items: {type: integer}},
            sequenceNumberForAllocation: {type: object, additionalProperties: {type: integer, format: int64}},
            allocations: {type: array, items: {type: integer, nullable: true}},
            attributes: {type: array, items: {type: object, properties: {handle_id: {type: string}, secondary: {type: object, additionalProperties: {type: string}}}}}`)
}
