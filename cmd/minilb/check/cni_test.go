package check

import (
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
)

// beside is what a cluster has beside the sound one, whose node has the pod 10.244.1.7.
const (
	ciliumNode = `
---
apiVersion: cilium.io/v2
kind: CiliumNode
metadata: {name: n1}
spec: {ipam: {podCIDRs: [CIDR], pools: {}}}
`
	blockAffinity = `
---
apiVersion: crd.projectcalico.org/v1
kind: BlockAffinity
metadata: {name: n1-10-244-1-0-26}
spec: {cidr: CIDR, deleted: "false", node: n1, state: confirmed, type: host}
`
	ipPool = `
---
apiVersion: crd.projectcalico.org/v1
kind: IPPool
metadata: {name: default-ipv4-ippool}
spec: {cidr: 10.244.0.0/16, blockSize: 26, ipipMode: Never, vxlanMode: Always, natOutgoing: true, nodeSelector: all()}
`
	ciliumConfig = `
---
apiVersion: v1
kind: ConfigMap
metadata: {namespace: kube-system, name: cilium-config}
data: {ipam: cluster-pool, routing-mode: MODE, tunnel-protocol: vxlan, enable-ipv4: "true", enable-ipv6: "false", enable-ipv4-masquerade: "MASQUERADE", enable-ipv6-masquerade: "true"}
`
	flannelConfig = `
---
apiVersion: v1
kind: ConfigMap
metadata: {namespace: kube-flannel, name: kube-flannel-cfg}
data: {net-conf.json: '{"Network": "10.244.0.0/16", "EnableNFTables": false, "Backend": {"Type": "BACKEND"}}'}
`
)

// R4, R5, R20: who assigns pod networks, and what keeps that from being known.
func TestProviders(t *testing.T) {
	without := strings.Replace(sound, "spec: {podCIDRs: [10.244.1.0/24]}", "spec: {}", 1)
	for _, tc := range []struct {
		name, manifest string
		want           []string // each a part of a line
	}{
		{"Cilium", without + strings.Replace(ciliumNode, "[CIDR]", "[10.244.1.0/24]", 1), nil},
		{"Cilium beside podCIDRs", strings.Replace(sound, "10.244.1.0/24", "10.9.9.0/24", 1) + strings.Replace(ciliumNode, "[CIDR]", "[10.244.1.0/24]", 1), nil},
		{"Calico", without + strings.Replace(blockAffinity, "CIDR", "10.244.1.0/26", 1), nil},
		{"Calico without a pod on the node", strings.NewReplacer("spec: {podCIDRs: [10.244.1.0/24]}", "spec: {}", "10.244.1.7", "192.168.1.31").Replace(sound) +
			strings.Replace(strings.Replace(blockAffinity, "CIDR", "10.244.1.0/26", 1), "node: n1", "node: n2", 1), []string{
			"warning PodNetworks calico NotProven: taken for what assigns pod networks: it has networks, and no pod proves them or others; name what"}},
		{"a stale CiliumNode", sound + strings.Replace(ciliumNode, "[CIDR]", "[10.0.0.0/24]", 1), nil},
		{"neither", strings.Replace(sound, "10.244.1.0/24", "10.9.9.0/24", 1) + strings.Replace(ciliumNode, "[CIDR]", "[10.0.0.0/24]", 1), []string{
			"error Node n1 PodOutsidePodCIDR: 1 of 1 pod IPs are outside its 10.0.0.0/24, for example 10.244.1.7: the routes to the node do not lead to them; these pods do not get their addresses from cilium",
			"warning PodNetworks cilium NotProven"}},
		{"malformed", without + strings.Replace(ciliumNode, "[CIDR]", "[10.244.1.0/24, $(reboot)]", 1), []string{
			`warning CiliumNode n1 InvalidObject: podCIDR "??reboot?" is malformed: there is no route for it; correct what writes it`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			expect(t, mustRun(t, ofCluster(t, ". {\n minilb minilb\n}", tc.manifest)).Problems, tc.want)
		})
	}
}

// R5: tunnels and masquerading, by what the CNI's configuration says.
func TestCNI(t *testing.T) {
	cilium := func(mode, masquerade string) string {
		return sound + strings.NewReplacer("MODE", mode, "MASQUERADE", masquerade).Replace(ciliumConfig)
	}
	flannel := func(backend string) string { return sound + strings.Replace(flannelConfig, "BACKEND", backend, 1) }
	for _, tc := range []struct {
		name, manifest string
		want           []string
	}{
		{"Cilium", cilium("native", "false"), nil},
		{"Cilium, tunnel", cilium("tunnel", "false"), []string{"notice ConfigMap kube-system/cilium-config TunnelBetweenNodes: Cilium's routing-mode tunnel has packets between nodes in a tunnel"}},
		{"Cilium before 1.14", strings.Replace(cilium("", "false"), "routing-mode: ,", "tunnel: geneve,", 1), []string{"notice ConfigMap kube-system/cilium-config TunnelBetweenNodes: Cilium's routing-mode geneve"}},
		{"Cilium before 1.14, native", strings.Replace(cilium("", "false"), "routing-mode: ,", "tunnel: disabled,", 1), nil},
		{"Cilium, masquerading", cilium("native", "true"), []string{"notice ConfigMap kube-system/cilium-config PodsMasqueraded"}},
		{"Calico", sound + ipPool, []string{
			"notice IPPool default-ipv4-ippool PodsMasqueraded", "notice IPPool default-ipv4-ippool TunnelBetweenNodes: Calico's encapsulation VXLAN Always"}},
		{"Calico without", sound + strings.NewReplacer("Always", "CrossSubnet", "natOutgoing: true", "natOutgoing: false").Replace(ipPool), nil},
		{"Calico, disabled", sound + strings.Replace(ipPool, "spec: {", "spec: {disabled: true, ", 1), nil},
		{"flannel", flannel("vxlan"), []string{"notice ConfigMap kube-flannel/kube-flannel-cfg TunnelBetweenNodes: flannel's backend vxlan"}},
		{"flannel, host-gw", flannel("host-gw"), nil},
		{"flannel, malformed", flannel(`"`), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			expect(t, mustRun(t, ofCluster(t, ". {\n minilb minilb\n}", tc.manifest)).Problems, tc.want)
		})
	}
}

// Calico's own API server may be away, and an account may not read its pools: that is said, and the rest is checked.
func TestPoolsUnread(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{apierrors.NewForbidden(schema.GroupResource{}, "", errors.New("no")), "notice APIResource configmaps Unread: this account may not read Calico's IPPools: whether"},
		{apierrors.NewServiceUnavailable("starting"), "notice APIResource ippools.projectcalico.org Unread: ippools.crd.projectcalico.org: cannot list: starting: whether Calico has tunnels"},
	} {
		c := ofCluster(t, ". {\n minilb minilb\n}", sound+ipPool)
		c.networks.Dynamic.(*dynamicfake.FakeDynamicClient).PrependReactor("list", "ippools", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, tc.err
		})
		expect(t, mustRun(t, c).Problems, []string{tc.want})
	}
}
