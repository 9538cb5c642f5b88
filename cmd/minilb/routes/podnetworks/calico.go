package podnetworks

import (
	"context"
	"fmt"
	"math/big"
	"net/netip"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// maxBlock is how many addresses a block has at most: a /20, or a /116.
const maxBlock = 1 << 12

// readBlockAffinity reads a BlockAffinity: a block is a node's from when that is confirmed until it is deleted. In
// crd.projectcalico.org/v1 deleted is a text. Blocks of the type virtual are addresses of Services, which no node has.
func readBlockAffinity(object *unstructured.Unstructured) Assignment {
	spec, _ := object.Object["spec"].(map[string]any)
	state, _ := spec["state"].(string)
	kind, _ := spec["type"].(string)
	if state != "confirmed" || fmt.Sprint(spec["deleted"]) == "true" || kind == "virtual" {
		return Assignment{}
	}
	node, _ := spec["node"].(string)
	cidr, _ := spec["cidr"].(string)
	if node == "" {
		return Assignment{Malformed: []string{"it has no spec.node"}}
	}
	assignment := list(Calico, node, []string{cidr})
	assignment.Moves = true
	return assignment
}

// readIPAMBlock reads the addresses that an IPAMBlock has lent to pods of other nodes than its own, or that of a block without
// a node all pods have. Attributes say which node an address is on.
func readIPAMBlock(object *unstructured.Unstructured) Assignment {
	spec, _ := object.Object["spec"].(map[string]any)
	if spec["deleted"] == true {
		return Assignment{}
	}
	cidr, _ := spec["cidr"].(string)
	block, err := netip.ParsePrefix(cidr)
	allocations, are := spec["allocations"].([]any)
	if err != nil || !are || block.Addr().Is4In6() {
		return Assignment{Malformed: []string{fmt.Sprintf("block %q is malformed", Legible(cidr))}}
	}
	affinity, _ := spec["affinity"].(string)
	owner, _ := strings.CutPrefix(affinity, "host:")
	attributes, _ := spec["attributes"].([]any)
	if size := block.Addr().BitLen() - block.Bits(); size < 12 {
		allocations = allocations[:min(len(allocations), 1<<size)] // what is beyond has no address of the block
	}
	allocations = allocations[:min(len(allocations), maxBlock)]
	var assignment Assignment
	for ordinal, allocation := range allocations {
		index, is := allocation.(int64)
		if !is || index < 0 || index >= int64(len(attributes)) {
			continue // it is free
		}
		attribute, _ := attributes[index].(map[string]any)
		secondary, _ := attribute["secondary"].(map[string]any)
		node, _ := secondary["node"].(string)
		if _, pod := secondary["pod"].(string); !pod || node == "" || node == owner {
			continue // reserved, of a tunnel, or its own
		}
		addr := nth(block, ordinal)
		assignment.Networks = append(assignment.Networks, Network{node, netip.PrefixFrom(addr, addr.BitLen()), true})
	}
	return assignment
}

// nth returns an address of a block by its ordinal, from 0.
func nth(block netip.Prefix, ordinal int) netip.Addr {
	first := block.Masked().Addr().AsSlice()
	sum := new(big.Int).Add(new(big.Int).SetBytes(first), big.NewInt(int64(ordinal)))
	addr, _ := netip.AddrFromSlice(sum.FillBytes(first))
	return addr
}

// Pool is what is read of an IPPool of Calico.
type Pool struct {
	Name        string
	IPIP, VXLAN string // "IPIP Always" or "VXLAN Always" if packets between all nodes are in a tunnel, else ""
	NATOutgoing bool
}

// Pools lists Calico's IPPools but those that are disabled, none where it serves none. Its error is a *kube.Error.
func (c *Clients) Pools(ctx context.Context) ([]Pool, error) {
	served, err := c.Served(ctx)
	if err != nil {
		return nil, kube.Classify("discover", apiGroups, err)
	}
	resource := served.First([]schema.GroupVersionResource{calico(calicoGroup, "v1", "ippools"), calico(calicoAPIGroup, "v3", "ippools")})
	if resource.Empty() {
		return nil, nil
	}
	var pools []Pool
	_, err = kube.ListReduced(ctx, metav1.ListOptions{}, c.Dynamic.Resource(resource).List, func(full runtime.Object) runtime.Object {
		object := full.(*unstructured.Unstructured)
		spec, _ := object.Object["spec"].(map[string]any)
		mode := func(name, field string) string {
			if mode, _ := spec[field].(string); mode == "Always" {
				return name + " " + mode
			}
			return ""
		}
		if spec["disabled"] != true && len(validation.IsDNS1123Subdomain(object.GetName())) == 0 {
			pools = append(pools, Pool{object.GetName(), mode("IPIP", "ipipMode"), mode("VXLAN", "vxlanMode"), spec["natOutgoing"] == true})
		}
		return nil
	})
	if err != nil {
		return nil, kube.Classify("list", resource.GroupResource().String(), err)
	}
	return pools, nil
}
