package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/minilb/minilb/cmd/minilb/routes"
	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
	"github.com/minilb/minilb/plugin/minilb/informer"
)

// TestMain keeps client-go from streaming lists, which its fakes cannot and typed ones do not say.
func TestMain(m *testing.M) {
	os.Setenv("KUBE_FEATURE_WatchListClient", "false")
	os.Exit(m.Run())
}

// noResources are the clients of an API server that serves nothing of CNIs.
var noResources = &podnetworks.Clients{Served: func(context.Context) (informer.Served, error) { return informer.Served{}, nil }}

// lan is a cluster with one node, and with an endpoint that its route does not lead to.
func lan(t *testing.T) (*fake.Clientset, *watch.FakeWatcher) {
	return lanOf(t, *lanNode("a", "10.244.1.0/24", "192.168.1.31"))
}

// lanOf is a cluster with these nodes, and with an endpoint on the node "a".
func lanOf(t *testing.T, nodes ...corev1.Node) (*fake.Clientset, *watch.FakeWatcher) {
	handlers := utilruntime.ErrorHandlers // one takes a bubble's clock for one that goes wrong
	utilruntime.ErrorHandlers = nil
	t.Cleanup(func() { utilruntime.ErrorHandlers = handlers })
	client, events := fake.NewClientset(), watch.NewFake()
	client.PrependReactor("list", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, &corev1.NodeList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}, Items: nodes}, nil
	})
	client.PrependReactor("list", "endpointslices", func(clienttesting.Action) (bool, runtime.Object, error) {
		name := "a"
		return true, &discoveryv1.EndpointSliceList{Items: []discoveryv1.EndpointSlice{{
			AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, NodeName: &name}},
		}}}, nil
	})
	client.PrependWatchReactor("nodes", func(clienttesting.Action) (bool, watch.Interface, error) { return true, events, nil })
	return client, events
}

func lanNode(name, cidr, ip string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: ip}}}}
	if cidr != "" {
		n.Spec.PodCIDRs = []string{cidr}
	}
	return n
}

// R3, R21: the routes are printed and then what changes, and pods that they do not reach are warned of
// once.
func TestWatchRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, events := lan(t)
		format, err := routes.FormatByName("ip")
		if err != nil {
			t.Fatal(err)
		}
		var stdout, stderr strings.Builder
		r := &routesRun{clients: noResources, format: format, stdout: &stdout, stderr: &stderr}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := r.watch(ctx, client); err != nil {
				t.Error(err)
			}
		})
		for _, step := range []struct {
			name   string
			change func()
			stdout string
			warns  bool
		}{
			{"the first", func() {}, "ip route replace 10.244.1.0/24 via 192.168.1.31\n", true},
			{"another node", func() { events.Add(lanNode("b", "10.244.2.0/24", "192.168.1.32")) }, "ip route replace 10.244.2.0/24 via 192.168.1.32\n", false},
			{"another address", func() { events.Modify(lanNode("a", "10.244.1.0/24", "192.168.1.41")) }, "ip route replace 10.244.1.0/24 via 192.168.1.41\n", false},
			{"a node without podCIDRs", func() { events.Add(lanNode("c", "", "192.168.1.33")) }, "# node c: no podCIDRs: nothing has set any\n", false},
			{"one that goes", func() { events.Delete(lanNode("b", "10.244.2.0/24", "192.168.1.32")) }, "ip route del 10.244.2.0/24 via 192.168.1.32\n", false},
		} {
			step.change()
			time.Sleep(3 * time.Second)
			synctest.Wait()
			const warning = "minilb: pod networks: podcidrs: nothing else says which networks pods have; 0 of 1 pod IPs are in its networks of their nodes\n" +
				"warning: pod IP outside podCIDRs; routes printed will not work: node a: 1 of 1\n"
			if stdout.String() != step.stdout || strings.HasPrefix(stderr.String(), warning) != step.warns || step.warns != strings.Contains(stderr.String(), "\nhint: the CNI") || (stderr.Len() > 0) != step.warns {
				t.Errorf("%s: got %q and %q, want %q", step.name, &stdout, &stderr, step.stdout)
			}
			stdout.Reset()
			stderr.Reset()
		}
		cancel()
		running.Wait()
	})
}

// Standard output that is gone ends it, and so does a format that has no lines.
func TestWatchRoutesFails(t *testing.T) {
	for name, want := range map[string]string{"ip": "print routes: io: read/write on closed pipe", "netplan": "-watch prints a line for each change"} {
		synctest.Test(t, func(t *testing.T) {
			client, _ := lan(t)
			format, err := routes.FormatByName(name)
			if err != nil {
				t.Fatal(err)
			}
			reader, writer := io.Pipe()
			reader.Close()
			r := &routesRun{clients: noResources, format: format, stdout: writer, stderr: io.Discard}
			if err := r.watch(t.Context(), client); err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", name, err, want)
			}
		})
	}
}

// R3: nodes or endpoints that cannot be read are no reason to end, and no word of pods is said at the end.
func TestCompareRoutes(t *testing.T) {
	for _, tc := range []struct {
		name, refused string
		ended         bool
		want          string
	}{
		{"nodes", "nodes", false, ""},
		{"endpoints", "endpointslices", false, "warning: pod IPs not compared with podCIDRs: cannot reach the API server: connection refused\n"},
		{"the end", "endpointslices", true, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			client, _ := lan(t)
			client.PrependReactor("list", tc.refused, func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, errors.New("connection refused")
			})
			ctx, cancel := context.WithCancel(t.Context())
			var stderr strings.Builder
			r := &routesRun{clients: noResources, stderr: &stderr}
			var running sync.WaitGroup
			running.Go(func() {
				err := r.watchNodes(ctx, client, func([]routes.Entry) error {
					if tc.ended {
						cancel()
					}
					return nil
				})
				if err != nil {
					t.Errorf("%s: got %v", tc.name, err)
				}
			})
			time.Sleep(3 * time.Second)
			cancel()
			running.Wait()
			if strings.Contains(stderr.String(), "pod IPs") != (tc.want != "") || !strings.Contains(stderr.String(), tc.want) {
				t.Errorf("%s: got %q, want %q", tc.name, &stderr, tc.want)
			}
		})
	}
}

// What becomes no route is told, once for as long as it is so, and the rest is kept in the kernel.
func TestApplyProblems(t *testing.T) {
	var stderr strings.Builder
	r := &routesRun{clients: noResources, stderr: &stderr}
	of := func(nodes ...*corev1.Node) []routes.Entry {
		lan, assigned, _ := routes.LAN{}.Assign(routes.ReadNodes(nodes), podnetworks.Found{}, nil)
		return lan.FromNodes(assigned)
	}
	a, bare, six := lanNode("a", "10.244.1.0/24", "192.168.1.31"), lanNode("bare", "", "192.168.1.32"), lanNode("six", "fd00:1::/64", "192.168.1.33")
	const noCIDR, noIP = "minilb: node bare: no podCIDRs: nothing has set any\n", "minilb: node six: no IPv6 InternalIP for fd00:1::/64\n"
	var last []routes.Entry
	for _, step := range []struct {
		entries []routes.Entry
		want    string
	}{{of(a), ""}, {of(a, bare), noCIDR}, {of(bare, six), noIP}, {of(six, bare), ""}, {of(six), ""}, {of(six, bare), noCIDR}} {
		stderr.Reset()
		r.warnSkipped(routes.Changes(last, step.entries))
		if last = step.entries; stderr.String() != step.want {
			t.Errorf("got %q, want %q", &stderr, step.want)
		}
	}
	all := tableRoutes(of(a, bare, six))
	if len(all) != 1 || all[0].Node != "a" || all[0].Destination.String() != "10.244.1.0/24" || fmt.Sprint(all[0].Gateways) != "[192.168.1.31]" {
		t.Errorf("got %+v", all)
	}
}
