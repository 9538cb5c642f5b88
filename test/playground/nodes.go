package main

import (
	"context"
	_ "embed"
	"fmt"
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/minilb/minilb/test/cluster"
)

// objects are all that is in the cluster but for nodes and pods.
//
//go:embed objects.yaml
var objects string

// nodes are in a LAN with both address families. A node's podCIDRs, one of each family, are
// routed to its addresses.
var nodes = []struct{ name, ipv4, ipv6 string }{
	{"node1", "192.168.1.31", "fd00:192:168:1::31"},
	{"node2", "192.168.1.32", "fd00:192:168:1::32"},
	{"node3", "192.168.1.33", "fd00:192:168:1::33"},
}

// pod is a Pod and what there is to know of it. Its container does not exist.
type pod struct {
	namespace, name, app, node string
	unready                    bool
	// terminating has it deleted; it goes on to serve.
	terminating bool
}

var pods = []pod{
	{namespace: "automation", name: "mosquitto-0", app: "mosquitto", node: "node1"},
	{namespace: "automation", name: "mosquitto-1", app: "mosquitto", node: "node2"},
	{namespace: "automation", name: "mosquitto-2", app: "mosquitto", node: "node3", unready: true},
	{namespace: "haproxy", name: "kubernetes-ingress-0", app: "kubernetes-ingress", node: "node2"},
	{namespace: "haproxy", name: "kubernetes-ingress-1", app: "kubernetes-ingress", node: "node3"},
	{namespace: "media", name: "radio-0", app: "radio", node: "node3", terminating: true},
	{namespace: "media", name: "radio-1", app: "radio", node: "node1", unready: true},
	{namespace: "gateways", name: "lan-0", app: "lan", node: "node2"},
}

// addresses are those of a pod in both families.
type addresses struct{ ipv4, ipv6 string }

// firstHost is the number, within its node's podCIDRs, of the first pod. Real pods have such
// low ones, too.
const firstHost = 10

// applyObjects fills the cluster.
func (p *playground) applyObjects(ctx context.Context) error {
	p.say("Applying the Gateway API %s, the RBAC of %s, and test/playground/objects.yaml.\n", cluster.NewestGatewayAPI, base)
	definitions, err := cluster.GatewayAPI(ctx, cluster.NewestGatewayAPI, "standard")
	if err != nil {
		return err
	}
	if err := p.cluster.Apply(ctx, definitions); err != nil {
		return err
	}
	if err := p.grantRights(ctx); err != nil {
		return err
	}
	if err := p.cluster.Apply(ctx, objects); err != nil {
		return err
	}
	p.podCIDRs = map[string][]netip.Prefix{}
	for _, node := range nodes {
		if err := p.cluster.Node(ctx, node.name, node.ipv4, node.ipv6); err != nil {
			return err
		}
		podCIDRs, err := p.cluster.NodePodCIDRs(ctx, node.name)
		if err != nil {
			return err
		}
		if len(podCIDRs) != 2 {
			return fmt.Errorf("node %s has podCIDRs %v, want one of each family", node.name, podCIDRs)
		}
		p.podCIDRs[node.name] = podCIDRs
	}
	p.pods = map[string]addresses{}
	for i, pod := range pods {
		if err := p.applyPod(ctx, pod, firstHost+i); err != nil {
			return err
		}
	}
	return nil
}

// applyPod makes a pod with the addresses of that number in the podCIDRs of its node.
func (p *playground) applyPod(ctx context.Context, pod pod, number int) error {
	podCIDRs := p.podCIDRs[pod.node]
	ips := addresses{host(podCIDRs[0], number), host(podCIDRs[1], number)}
	p.pods[pod.namespace+"/"+pod.name] = ips
	if err := p.cluster.Pod(ctx, cluster.PodSpec{
		Namespace: pod.namespace,
		Name:      pod.name,
		Labels:    map[string]string{"app": pod.app},
		Node:      pod.node,
		IPs:       []string{ips.ipv4, ips.ipv6},
		Unready:   pod.unready,
	}); err != nil {
		return err
	}
	if err := p.runContainer(ctx, pod); err != nil {
		return err
	}
	if pod.terminating {
		return p.cluster.Terminate(ctx, pod.namespace, pod.name)
	}
	return nil
}

// runContainer says that the pod's container runs, which matters to kubectl alone.
func (p *playground) runContainer(ctx context.Context, pod pod) error {
	patch := fmt.Sprintf(`{"status":{"containerStatuses":[{"name":"main","ready":%t,"started":true,
		"restartCount":0,"image":"","imageID":"","state":{"running":{}}}]}}`, !pod.unready)
	_, err := p.cluster.Client.CoreV1().Pods(pod.namespace).Patch(ctx, pod.name, types.MergePatchType,
		[]byte(patch), metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("write the status of pod %s/%s: %w", pod.namespace, pod.name, err)
	}
	return nil
}

// host returns an address of the prefix by its number.
func host(prefix netip.Prefix, number int) string {
	addr := prefix.Addr()
	for range number {
		addr = addr.Next()
	}
	return addr.String()
}
