//go:build linux

package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/netns"
)

// podPort is where pods serve.
const podPort = 8080

// firstPod is the number, within its node's podCIDRs, of the first pod.
const firstPod = 10

// pod is a Pod with a network namespace of its own, which is plugged into its node's bridge, and a web server.
type pod struct {
	*netns.Namespace
	node      *node
	role      string // its name as a Pod
	addresses netns.Host
	writing   sync.Mutex // of its readiness, by the test or its kubelet
	ready     bool       // what its kubelet says; guarded by writing
	server    http.Server
	serve     sync.WaitGroup
}

// greeting is what a pod's server answers: who it is, and who it has to do with.
type greeting struct {
	Pod    string         `json:"pod"`
	Client netip.AddrPort `json:"client"`
	Server netip.AddrPort `json:"server"`
}

// startPod runs a pod which is ready once it serves.
func (l *lab) startPod(t *testing.T, name, app, nodeName string) *pod {
	t.Helper()
	n := l.nodes[nodeName]
	p := &pod{node: n, role: name, addresses: n.address(firstPod + l.pods), ready: true}
	l.pods++
	must(t, l.plug(p))
	must(t, p.listen())
	t.Cleanup(func() { must(t, p.remove(context.WithoutCancel(t.Context()))) })
	must(t, l.cluster.Pod(t.Context(), cluster.PodSpec{
		Name:   name,
		Labels: map[string]string{"app": app},
		Node:   nodeName,
		IPs:    []string{p.addresses.V4.String(), p.addresses.V6.String()},
		Ports:  []corev1.ContainerPort{{Name: "http", ContainerPort: podPort}},
	}))
	n.mu.Lock()
	n.pods[name] = p
	n.mu.Unlock()
	return p
}

// plug makes the pod's namespace, as a CNI does.
func (l *lab) plug(p *pod) (err error) {
	if p.Namespace, err = l.Add("pod-" + p.role); err != nil {
		return err
	}
	cable := fmt.Sprintf("pod%d", l.pods)
	if err := p.node.IP(
		fmt.Sprintf("link add %s type veth peer name eth0 netns %s", cable, p.Name),
		fmt.Sprintf("link set %s master cni0 up", cable),
	); err != nil {
		return err
	}
	return p.IP(
		"link set eth0 up",
		fmt.Sprintf("addr add %s/%d dev eth0", p.addresses.V4, p.node.podCIDRs[0].Bits()),
		fmt.Sprintf("addr add %s/%d dev eth0", p.addresses.V6, p.node.podCIDRs[1].Bits()),
		fmt.Sprintf("route add default via %s", p.node.gateway.V4),
		fmt.Sprintf("route add default via %s", p.node.gateway.V6),
	)
}

// listen starts the pod's server.
func (p *pod) listen() error {
	listener, err := p.Namespace.Listen(context.Background(), fmt.Sprintf(":%d", podPort))
	if err != nil {
		return err
	}
	p.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, _ := netip.ParseAddrPort(r.RemoteAddr)
		local, _ := netip.ParseAddrPort(r.Context().Value(http.LocalAddrContextKey).(net.Addr).String())
		_ = json.NewEncoder(w).Encode(greeting{p.role, unmap(client), unmap(local)})
	})
	p.serve.Go(func() { _ = p.server.Serve(listener) })
	return nil
}

func unmap(addr netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}

// setReady has the pod's readiness probe succeed or fail. Its server serves either way.
func (p *pod) setReady(ctx context.Context, ready bool) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.ready = ready
	return p.node.lab.cluster.SetReady(ctx, "", p.role, ready)
}

// drain ends a pod as its deletion does: while the preStop hook sleeps it serves, then its server
// is told to end, and then it is gone. The hook sleeps for so long from when the pod has left the
// answers to name, which may take a busy machine a while. It returns when that was.
func (p *pod) drain(ctx context.Context, name string, preStop time.Duration) (left time.Time, err error) {
	if err := p.node.lab.cluster.Terminate(ctx, "", p.role); err != nil {
		return left, err
	}
	if err := cluster.Wait(ctx, 10*time.Second, func() error { return p.unanswered(ctx, name) }); err != nil {
		return left, err
	}
	left = time.Now()
	select {
	case <-time.After(preStop):
	case <-ctx.Done():
		return left, ctx.Err()
	}
	return left, p.remove(ctx)
}

// unanswered returns an error while the pod is among those that a name stands for. It asks for the
// names of its addresses below that: an answer need not have all that there are.
func (p *pod) unanswered(ctx context.Context, name string) error {
	for _, family := range families {
		endpoint := strings.NewReplacer(".", "-", ":", "-").Replace(p.addresses.Of(family).String()) + "." + name
		if _, err := p.node.lab.resolve(ctx, endpoint, family); !errors.Is(err, rcodeError(dns.RcodeNameError)) {
			return fmt.Errorf("%s is still answered: %v", endpoint, err)
		}
	}
	return nil
}

// remove ends a pod at once, gracefully to those that are being served. One that is gone is no error.
func (p *pod) remove(ctx context.Context) error {
	p.node.mu.Lock()
	present := p.node.pods[p.role] == p
	delete(p.node.pods, p.role)
	p.node.mu.Unlock()
	if !present {
		return nil
	}
	err := p.server.Shutdown(ctx)
	p.serve.Wait()
	return errors.Join(err, p.node.lab.cluster.RemovePod(ctx, "", p.role), p.node.lab.Set.Remove(p.Namespace))
}

// createService makes a Service of ours with both families for the pods of an app, and returns
// its name in DNS. Its port is podPort if none is given.
func (l *lab) createService(t *testing.T, app string, ports ...corev1.ServicePort) string {
	t.Helper()
	if len(ports) == 0 {
		ports = []corev1.ServicePort{{Name: "http", Port: podPort}}
	}
	both, class := corev1.IPFamilyPolicyRequireDualStack, lb.DefaultClass
	services := l.cluster.Client.CoreV1().Services(metav1.NamespaceDefault)
	_, err := services.Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: app},
		Spec: corev1.ServiceSpec{
			Type:              corev1.ServiceTypeLoadBalancer,
			LoadBalancerClass: &class,
			IPFamilyPolicy:    &both,
			Selector:          map[string]string{"app": app},
			Ports:             ports,
		},
	}, metav1.CreateOptions{})
	must(t, err)
	t.Cleanup(func() {
		must(t, services.Delete(context.WithoutCancel(t.Context()), app, metav1.DeleteOptions{}))
	})
	return app + ".default.minilb."
}
