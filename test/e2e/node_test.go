//go:build linux

package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/connrotation"

	"github.com/minilb/minilb/test/netns"
)

// node is a host of the LAN with a bridge for its pods, and what its kubelet does: the Lease and
// the status that tell the cluster that it is alive, over its own cable.
type node struct {
	*netns.Namespace
	lab       *lab
	role      string // its name as a Node
	addresses netns.Host
	podCIDRs  []netip.Prefix // IPv4 first
	gateway   netns.Host     // of its pods, on the bridge

	client kubernetes.Interface
	conns  *connrotation.Dialer

	mu   sync.Mutex
	pods map[string]*pod

	cancel context.CancelFunc
	wait   sync.WaitGroup
}

// startNode makes a host that is a Node, with the podCIDRs that the controllers allocate.
func (l *lab) startNode(ctx context.Context, name string, addresses netns.Host) error {
	n := &node{lab: l, role: name, addresses: addresses, pods: map[string]*pod{}}
	var err error
	if n.Namespace, err = l.Attach(name, addresses, "net/ipv4/ip_forward=1", "net/ipv6/conf/all/forwarding=1"); err != nil {
		return err
	}
	if err := l.RouteToRouter(n.Namespace); err != nil {
		return err
	}
	if err := l.cluster.Node(ctx, name, addresses.V4.String(), addresses.V6.String()); err != nil {
		return err
	}
	if n.podCIDRs, err = l.cluster.NodePodCIDRs(ctx, name); err != nil {
		return err
	}
	if len(n.podCIDRs) != 2 {
		return fmt.Errorf("node %s has podCIDRs %v, want one of each family", name, n.podCIDRs)
	}
	n.gateway = n.address(1)
	if err := n.IP(
		// An address of its own, or it would be that of one of its ports, and change with the pods.
		"link add cni0 address 02:00:00:00:00:01 type bridge mcast_snooping 0",
		"link set cni0 up",
		fmt.Sprintf("addr add %s/%d dev cni0", n.gateway.V4, n.podCIDRs[0].Bits()),
		fmt.Sprintf("addr add %s/%d dev cni0", n.gateway.V6, n.podCIDRs[1].Bits()),
	); err != nil {
		return err
	}
	l.nodes[name] = n
	return n.startKubelet()
}

// address returns the addresses of a number in the podCIDRs.
func (n *node) address(number int) netns.Host {
	addresses := netns.Host{V4: n.podCIDRs[0].Addr(), V6: n.podCIDRs[1].Addr()}
	for range number {
		addresses.V4, addresses.V6 = addresses.V4.Next(), addresses.V6.Next()
	}
	return addresses
}

// cut takes the node's cable out of the switch, as a power failure does for everybody else. What
// runs on the node goes on to. heal puts it back.
func (n *node) cut() error  { return n.lab.Switch.IP("link set " + n.role + " down") }
func (n *node) heal() error { return n.lab.Switch.IP("link set " + n.role + " up") }

// startKubelet renews the node's Lease and status, and its pods', until stop.
func (n *node) startKubelet() error {
	config := rest.CopyConfig(n.lab.cluster.Config)
	config.Host = "https://" + n.lab.forwarder.Addr.String()
	config.TLSClientConfig.ServerName = "127.0.0.1"
	n.conns = connrotation.NewDialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
		return n.Dial(ctx, network, addr)
	})
	config.Dial = n.conns.DialContext
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	n.client = client
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	if err := n.heartbeat(ctx); err != nil {
		cancel()
		return err
	}
	n.wait.Go(func() {
		ticker := time.NewTicker(n.lab.timing.heartbeat)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
			if err := n.heartbeat(ctx); err != nil {
				// What the kubelet does, too (onRepeatedHeartbeatFailure).
				n.conns.CloseAll()
			}
		}
	})
	return nil
}

func (n *node) stop() {
	if n.cancel == nil {
		return
	}
	n.cancel()
	n.wait.Wait()
	n.conns.CloseAll()
}

// heartbeat renews the Lease, and sets right what the node lifecycle controller may have changed
// while it did not hear of the node.
func (n *node) heartbeat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(n.lab.timing.heartbeat, 2*time.Second))
	defer cancel()
	if err := n.renewLease(ctx); err != nil {
		return err
	}
	object, err := n.client.CoreV1().Nodes().Get(ctx, n.role, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if !nodeIsReady(object) {
		ready := corev1.NodeCondition{
			Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
			LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
		}
		patch, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": []corev1.NodeCondition{ready}}})
		if err != nil {
			return err
		}
		if _, err := n.client.CoreV1().Nodes().Patch(ctx, n.role, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
			return err
		}
	}
	return n.syncPods(ctx)
}

func nodeIsReady(object *corev1.Node) bool {
	for _, condition := range object.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

func (n *node) renewLease(ctx context.Context) error {
	now := metav1.NowMicro()
	seconds := int32(4 * n.lab.timing.heartbeat / time.Second)
	leases := n.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	lease, err := leases.Get(ctx, n.role, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = leases.Create(ctx, &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: n.role},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: &n.role, LeaseDurationSeconds: &seconds, RenewTime: &now},
		}, metav1.CreateOptions{})
		return err
	}
	if err != nil {
		return err
	}
	lease.Spec.RenewTime = &now
	_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	return err
}

// syncPods writes the readiness of the node's pods where the API server has another one.
func (n *node) syncPods(ctx context.Context) error {
	n.mu.Lock()
	pods := slices.Collect(maps.Values(n.pods))
	n.mu.Unlock()
	var errs []error
	for _, pod := range pods {
		errs = append(errs, pod.sync(ctx))
	}
	return errors.Join(errs...)
}

// sync writes the pod's readiness if the API server has another one, and undoes nothing that is
// written meanwhile.
func (p *pod) sync(ctx context.Context) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	object, err := p.node.client.CoreV1().Pods(metav1.NamespaceDefault).Get(ctx, p.role, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil // it is being made, or removed
	}
	if err != nil {
		return err
	}
	for _, condition := range object.Status.Conditions {
		if condition.Type == corev1.PodReady && (condition.Status == corev1.ConditionTrue) != p.ready {
			return p.node.lab.cluster.SetReady(ctx, "", p.role, p.ready)
		}
	}
	return nil
}
