package harness

import (
	"fmt"
	"strings"
)

// CiliumNode returns the manifest of a CiliumNode, as Cilium writes it with its own IPAM, cluster-pool.
func CiliumNode(name, ip string, cidrs ...string) string {
	return fmt.Sprintf(`
apiVersion: cilium.io/v2
kind: CiliumNode
metadata: {name: %[1]s, labels: {kubernetes.io/hostname: %[1]s}}
spec:
  addresses: [{ip: %[2]s, type: InternalIP}]
  bootid: 5f0c7e0e-6f6d-4f6b-8d57-0a0d5a3a0a51
  encryption: {}
  health: {}
  ingress: {}
  ipam: {podCIDRs: ["%[3]s"], pools: {}}
status: {ipam: {operator-status: {}}}
`, name, ip, strings.Join(cidrs, `", "`))
}

// BlockAffinity returns the manifest of a confirmed BlockAffinity, as Calico writes it into crd.projectcalico.org/v1.
func BlockAffinity(node, cidr string) string {
	return fmt.Sprintf(`
apiVersion: crd.projectcalico.org/v1
kind: BlockAffinity
metadata: {name: %s-%s, annotations: {projectcalico.org/metadata: '{"creationTimestamp":null}'}}
spec: {cidr: %q, deleted: "false", node: %[1]s, state: confirmed, type: host}
`, node, blockName(cidr), cidr)
}

// IPAMBlock returns the manifest of an IPAMBlock of a node whose address of an ordinal a pod of another node has, as Calico
// writes it into crd.projectcalico.org/v1.
func IPAMBlock(node, cidr string, ordinal int, borrower, pod string) string {
	return fmt.Sprintf(`
apiVersion: crd.projectcalico.org/v1
kind: IPAMBlock
metadata: {name: %[1]s, annotations: {projectcalico.org/metadata: '{"creationTimestamp":null}'}}
spec:
  affinity: host:%[2]s
  allocations: [0, %[3]s1]
  attributes:
  - {handle_id: vxlan-tunnel-addr-%[2]s, secondary: {node: %[2]s, type: vxlanTunnelAddress}}
  - {handle_id: k8s-pod-network.9a2b, secondary: {namespace: default, node: %[4]s, pod: %[5]s, timestamp: 2026-11-20 09:12:41 UTC}}
  cidr: %[6]q
  deleted: false
  sequenceNumber: 1765432
  sequenceNumberForAllocation: {"0": 1765430}
  strictAffinity: false
  unallocated: []
`, blockName(cidr), node, strings.Repeat("null, ", ordinal-1), borrower, pod, cidr)
}

func blockName(cidr string) string {
	return strings.NewReplacer(".", "-", ":", "-", "/", "-").Replace(cidr)
}
