package check

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// cni finds what the network plugin does to packets that are routed to pods (R5): tunnels between nodes, and masquerading. Neither
// keeps packets from a pod that come by way of its own node, nor what answers them. What this account may not read is said once.
func (c *checker) cni(ctx context.Context) error {
	var unread []string
	for _, of := range []struct {
		namespace, name string
		judge           func(namespace, name string, data map[string]string)
	}{
		{"kube-system", "cilium-config", c.cilium},
		{"kube-flannel", "kube-flannel-cfg", c.flannel},
		{"kube-system", "kube-flannel-cfg", c.flannel},
	} {
		configMap, err := c.client.CoreV1().ConfigMaps(of.namespace).Get(ctx, of.name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
		case apierrors.IsForbidden(err):
			unread = append(unread, fmt.Sprintf("the ConfigMap %s/%s", of.namespace, of.name))
		case err != nil:
			return kube.Classify("get", "configmaps", err)
		default:
			of.judge(of.namespace, of.name, configMap.Data)
		}
	}
	pools, err := c.networks.Pools(ctx)
	switch {
	case apierrors.IsForbidden(err):
		unread = append(unread, "Calico's IPPools")
	case err != nil: // Calico's own API server may be away
		c.add(Problem{Notice, "APIResource", "", "ippools.projectcalico.org", "Unread", err.Error() + ": whether Calico has tunnels between nodes is not known",
			"mend Calico's API server, and run this again"})
	}
	if len(unread) > 0 {
		c.add(Problem{Notice, "APIResource", "", "configmaps", "Unread",
			"this account may not read " + strings.Join(unread, ", ") + ": whether the network plugin has tunnels between nodes, or masquerades, is not known",
			"run this with an account that may"})
	}
	for _, pool := range pools {
		if mode := cmp.Or(pool.VXLAN, pool.IPIP); mode != "" {
			c.overlay("IPPool", "", pool.Name, fmt.Sprintf("Calico's encapsulation %s", mode), "spec.ipipMode and spec.vxlanMode: Never")
		}
		if pool.NATOutgoing {
			c.masquerade("IPPool", "", pool.Name, "spec.natOutgoing: false")
		}
	}
	return nil
}

func (c *checker) cilium(namespace, name string, data map[string]string) {
	// Before 1.14 the key tunnel had both.
	if mode := cmp.Or(data["routing-mode"], data["tunnel"], "tunnel"); !slices.Contains([]string{"native", "disabled"}, mode) {
		c.overlay("ConfigMap", namespace, name, "Cilium's routing-mode "+mode, "routing-mode: native, and auto-direct-node-routes where all nodes are in one network")
	}
	var families []string
	for _, key := range []string{"enable-ipv4-masquerade", "enable-ipv6-masquerade"} {
		if data[key] == "true" && data[strings.TrimSuffix(key, "-masquerade")] != "false" {
			families = append(families, key+": false")
		}
	}
	if len(families) > 0 {
		c.masquerade("ConfigMap", namespace, name, strings.Join(families, ", ")+", or ipv4-native-routing-cidr with the LAN in it")
	}
}

// flannel masquerades by a flag that is not in its ConfigMap.
func (c *checker) flannel(namespace, name string, data map[string]string) {
	var config struct{ Backend struct{ Type string } }
	if json.Unmarshal([]byte(data["net-conf.json"]), &config) != nil {
		return
	}
	switch backend := config.Backend.Type; strings.ToLower(backend) {
	case "vxlan", "udp", "ipip", "wireguard":
		c.overlay("ConfigMap", namespace, name, "flannel's backend "+strings.ToLower(backend), "host-gw as Backend.Type where all nodes are in one network")
	}
}

func (c *checker) overlay(kind, namespace, name, what, fix string) {
	c.add(Problem{Notice, kind, namespace, name, "TunnelBetweenNodes",
		what + " has packets between nodes in a tunnel: a pod is reached by way of its own node, as by the routes that \"minilb routes\" prints, " +
			"and not by any other, so that neither a route to one node for all pods nor proxy ARP on the nodes does",
		"nothing, if each pod network has its route; else set " + fix})
}

func (c *checker) masquerade(kind, namespace, name, fix string) {
	c.add(Problem{Notice, kind, namespace, name, "PodsMasqueraded",
		"what pods send to the LAN has the address of their node, unless it answers a connection that the node has seen begin: " +
			"clients get answers from the pod's address, but not what a pod sends of its own accord, nor over UDP after a pause of minutes",
		"nothing, if pods only answer; else set " + fix})
}
