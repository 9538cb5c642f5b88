package controller

import (
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// R1, R3: the routes are printed once, as soon as nodes can be read, and pods that they do not
// reach are warned of.
func TestPrintRoutes(t *testing.T) {
	for _, tc := range []struct {
		name     string
		trouble  error
		lasting  time.Duration
		warned   int           // lines of warning while it lasts
		patience time.Duration // after which its end is noticed
	}{
		{"nothing", nil, 0, 0, 0},
		{"forbidden", apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "", errors.New("no")), 10*time.Minute + time.Second, 1, time.Minute},
		{"forbidden until the roles are read", apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "", errors.New("no")), 1500 * time.Millisecond, 0, time.Second},
		{"forbidden until the roles are read, late", apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "", errors.New("no")), 5 * time.Second, 0, 2 * time.Second},
		{"away", errors.New("connection refused"), 10*time.Minute + time.Second, 0, 3 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, log := newTest(t, nil)
			var out buffer
			c.out = &out
			node, name := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, "a"
			node.Spec.PodCIDRs = []string{"10.244.1.0/24"}
			node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.168.1.31"}}
			slice := &discoveryv1.EndpointSlice{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, AddressType: discoveryv1.AddressTypeIPv4,
				Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, NodeName: &name}},
			}
			client := c.client.(*fake.Clientset)
			if err := errors.Join(client.Tracker().Add(node), client.Tracker().Add(slice)); err != nil {
				t.Fatal(err)
			}
			var troubled atomic.Bool
			troubled.Store(tc.trouble != nil)
			client.PrependReactor("list", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
				return troubled.Load(), nil, tc.trouble
			})
			printed := make(chan struct{})
			go func() {
				defer close(printed)
				c.printRoutes(t.Context())
			}()
			if tc.trouble != nil {
				time.Sleep(tc.lasting)
				synctest.Wait()
				if got := strings.Count(log.String(), "\n"); got != tc.warned || strings.Count(log.String(), "routes not printed: nodes: list is forbidden") != got || out.String() != "" {
					t.Errorf("%s: want %d lines, got %q and\n%s", tc.name, tc.warned, out.String(), log)
				}
				troubled.Store(false)
				time.Sleep(tc.patience)
			}
			synctest.Wait()
			select {
			case <-printed:
			default:
				t.Fatalf("%s: still trying", tc.name)
			}
			if got, want := out.String(), "Add the following routes to your default gateway (router):\nip route add 10.244.1.0/24 via 192.168.1.31\n"; got != want {
				t.Errorf("%s: got %q, want %q", tc.name, got, want)
			}
			if got := log.String(); strings.Count(got, "pod IP outside podCIDRs; routes printed will not work: node a") != 1 || strings.Count(got, "hint=") != 1 {
				t.Errorf("%s: want one warning with a hint, got\n%s", tc.name, got)
			}
		})
	}
}

// R3: routes are printed although it cannot be told where the pods are, which is no matter of the
// operator's; and a standard output that is gone is tried again.
func TestPrintRoutesWithoutPods(t *testing.T) {
	c, _ := newTest(t, nil)
	var out, log buffer
	c.out, c.log = &out, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c.client.(*fake.Clientset).PrependReactor("list", "endpointslices", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewServiceUnavailable("starting")
	})
	if err := c.tryPrintRoutes(t.Context()); err != nil || out.String() != "Add the following routes to your default gateway (router):\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
	if got := log.String(); strings.Count(got, "\n") != 3 || strings.Count(got, "level=INFO msg=\"pod networks: podcidrs: ") != 1 || strings.Count(got, "level=DEBUG msg=\"podCIDRs are not compared with the API server's own addresses: ") != 1 || !strings.Contains(got, `level=DEBUG msg="pod IPs not compared with podCIDRs: endpointslices: cannot list: starting"`) {
		t.Errorf("the log says %s", got)
	}
	reader, writer := io.Pipe()
	reader.Close()
	c.out = writer
	if err := c.tryPrintRoutes(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "print routes: ") {
		t.Errorf("got error %v", err)
	}
}

// R7b: what is printed, and what endpoints are told of, is limited to the networks after -within, and never holds
// the API server's address.
func TestPrintRoutesWithin(t *testing.T) {
	c, _ := newTest(t, nil)
	var out buffer
	c.out = &out
	c.options.LAN.Within = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("10.9.0.0/16")}
	objects := []runtime.Object{&discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes"}, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.9.9.30"}}}}}
	for name, cidr := range map[string]string{"a": "203.0.113.0/24", "b": "10.9.9.0/24", "c": "10.10.0.0/24"} {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{PodCIDRs: []string{cidr}}}
		node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.168.1.31"}}
		objects = append(objects, node)
	}
	for _, object := range objects {
		if err := c.client.(*fake.Clientset).Tracker().Add(object); err != nil {
			t.Fatal(err)
		}
	}
	const want = "Add the following routes to your default gateway (router):\nip route add 203.0.113.0/24 via 192.168.1.31\n" +
		"# node b: podCIDR 10.9.9.0/24 contains 10.9.9.30, the address of the API server: a route would cut it off\n" +
		"# node c: podCIDR 10.10.0.0/24 is in none of the networks after -within: add it there if pods have it\n"
	if err := c.tryPrintRoutes(t.Context()); err != nil || out.String() != want {
		t.Errorf("got %v and\n%s", err, out.String())
	}
}
