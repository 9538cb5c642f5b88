package routes

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// locateTimeout is how long the resolver, and then the API server, may take, each for itself.
const locateTimeout = 5 * time.Second

// Locate returns the LAN with the addresses of the API server, which no destination may contain (R7b): those of Server, and
// those that the API servers publish, which a client outside of the cluster needs no permission to read. With an error it
// returns the addresses that it has found and those that were known before.
func (lan LAN) Locate(ctx context.Context, client kubernetes.Interface) (LAN, error) {
	resolved, unresolved := resolve(ctx, lan.Server)
	published, unread := published(ctx, client)
	if apierrors.IsForbidden(unread) && lan.Server != "" {
		unread = nil
	}
	found := slices.Concat(resolved, published)
	err := cmp.Or(unresolved, unread)
	if err != nil {
		found = append(found, lan.servers...)
	}
	for i, addr := range found {
		found[i] = addr.Unmap().WithZone("")
	}
	slices.SortFunc(found, netip.Addr.Compare)
	lan.servers = slices.Compact(found)
	return lan, err
}

// resolve returns the addresses of a host, none for "".
func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if host == "" {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, locateTimeout)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("podCIDRs are not compared with the API server's address: resolve %q: %w", host, err)
	}
	return addrs, nil
}

// published returns the addresses in the API servers' own EndpointSlice. Others may be allowed to create those of other names.
func published(ctx context.Context, client kubernetes.Interface) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, locateTimeout)
	defer cancel()
	list, err := client.DiscoveryV1().EndpointSlices(corev1.NamespaceDefault).List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=kubernetes"})
	if err != nil {
		return nil, fmt.Errorf("podCIDRs are not compared with the API server's own addresses: %w", kube.Classify("list", "endpointslices", err))
	}
	var addrs []netip.Addr
	for _, slice := range list.Items {
		if slice.Namespace != corev1.NamespaceDefault || slice.Name != "kubernetes" {
			continue
		}
		for _, endpoint := range slice.Endpoints {
			for _, text := range endpoint.Addresses {
				if addr, err := netip.ParseAddr(text); err == nil {
					addrs = append(addrs, addr)
				}
			}
		}
	}
	return addrs, nil
}
