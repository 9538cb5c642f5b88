package load_test

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// TestGatewayLatency measures, with 150 routes at one Gateway (400 with MINILB_FULL=1), half of them by
// way of its ListenerSet, how long after the API server has acknowledged a write the answer follows it:
// there and back again, for each of the objects that have a say in a route's attachment.
func TestGatewayLatency(t *testing.T) {
	c := cluster.New(t, cluster.Options{})
	harness.InstallGatewayAPI(t, c, cluster.NewestGatewayAPI)
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	ctx := t.Context()
	n := size(150, 400)
	changes := size(10, 40) // of each kind, half of them back again
	median := size(500*time.Millisecond, 50*time.Millisecond)
	in := strings.NewReplacer("NS", "load")
	// The Gateway that is deleted is one of its own, so that it does not take the load with it.
	brief := harness.Manifest(harness.Gateway{Name: "brief", Addresses: "{value: 10.1.0.2}"})
	harness.Must(t, c.Apply(ctx, in.Replace(harness.Infra+harness.Object("v1", "Namespace", "NS", "")+
		"{apiVersion: v1, kind: Namespace, metadata: {name: NS-team, labels: {team: a}}}\n---\n"+
		harness.Manifest(
			harness.Gateway{Spec: harness.ListenersFrom("from: Same"), Listeners: `
				{name: all, port: 80, protocol: HTTP},
				{name: host, port: 81, protocol: HTTP, hostname: "*.in.example"},
				{name: team, port: 82, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: a}}}}}`},
			harness.ListenerSet{},
			harness.Route{Name: "edited", Hosts: "edited.in.example", Parents: "{name: gw, sectionName: host}"},
			harness.Route{Name: "listener", Hosts: "listener.in.example", Parents: "{name: gw, sectionName: host}"},
			harness.Route{Name: "label", Namespace: "NS-team", Hosts: "label.in.example", Parents: "{name: gw, namespace: NS, sectionName: team}"},
			harness.Route{Name: "deleted", Hosts: "deleted.in.example", Parents: "{name: brief}"},
			harness.Route{Name: "accepted", Hosts: "accepted.in.example"},
			harness.Route{Name: "revoked", Hosts: "revoked.in.example", Parents: harness.ToSet},
		)+brief)))
	harness.Parallel(t, n, func(i int) error {
		parent := []string{"{name: gw, sectionName: all}", harness.ToSet}[i%2]
		return c.Apply(ctx, in.Replace(harness.Manifest(harness.Route{Name: fmt.Sprintf("r%03d", i), Hosts: fmt.Sprintf("r%03d.example", i), Parents: parent})))
	})
	s := harness.StartFastCoreDNS(t, `.:PORT {
		bind 127.0.0.1
		READY
		PROM
		errors
		minilb minilb {
			kubeconfig `+kubeconfig+`
		}
	}`)
	s.WaitReady(t)
	for _, i := range []int{0, 1, n - 2, n - 1} {
		cluster.Eventually(t, 10*time.Second, func() error { return s.Expect(fmt.Sprintf("r%03d.example", i), dns.TypeA, "10.1.0.1") })
	}

	patch := func(resource schema.GroupVersionResource, namespace, name, operations string, subresources ...string) {
		t.Helper()
		_, err := c.Dynamic.Resource(resource).Namespace(namespace).Patch(ctx, name, types.JSONPatchType, []byte(operations), metav1.PatchOptions{}, subresources...)
		harness.Must(t, err)
	}
	// Each takes a host away by one write, and gives it back by another.
	for _, change := range []struct {
		what, host, addr string
		before           func(back bool) // what must be done first and is not measured
		write            func(back bool)
	}{
		{
			what: "a route whose host leaves its listener's hostname", host: "edited.in.example",
			write: func(back bool) {
				host := map[bool]string{true: "edited.in.example", false: "edited.out.example"}[back]
				patch(harness.HttpRoutes, "load", "edited", `[{"op": "replace", "path": "/spec/hostnames", "value": ["`+host+`"]}]`)
			},
		},
		{
			what: "a listener with another hostname", host: "listener.in.example",
			write: func(back bool) {
				host := map[bool]string{true: "*.in.example", false: "*.out.example"}[back]
				patch(harness.Gateways, "load", "gw", `[{"op": "test", "path": "/spec/listeners/1/name", "value": "host"}, {"op": "replace", "path": "/spec/listeners/1/hostname", "value": "`+host+`"}]`)
			},
		},
		{
			what: "a namespace that a Selector no longer selects", host: "label.in.example",
			write: func(back bool) {
				team := map[bool]string{true: "a", false: "b"}[back]
				_, err := c.Client.CoreV1().Namespaces().Patch(ctx, "load-team", types.MergePatchType, []byte(`{"metadata": {"labels": {"team": "`+team+`"}}}`), metav1.PatchOptions{})
				harness.Must(t, err)
			},
		},
		{
			what: "a Gateway that is deleted", host: "deleted.in.example", addr: "10.1.0.2",
			before: func(back bool) {
				if back { // all but its status, without which it has no address
					bare, _, _ := strings.Cut(brief, "\nstatus:")
					harness.Must(t, c.Apply(ctx, in.Replace(bare)))
				}
			},
			write: func(back bool) {
				if back {
					patch(harness.Gateways, "load", "brief", `[{"op": "add", "path": "/status/addresses", "value": [{"type": "IPAddress", "value": "10.1.0.2"}]}]`, "status")
				} else {
					harness.Must(t, c.Dynamic.Resource(harness.Gateways).Namespace("load").Delete(ctx, "brief", metav1.DeleteOptions{}))
				}
			},
		},
		{
			what: "a route that is no longer accepted", host: "accepted.in.example",
			write: func(back bool) {
				status := map[bool]string{true: "True", false: "False"}[back]
				patch(harness.HttpRoutes, "load", "accepted", `[{"op": "replace", "path": "/status/parents/0/conditions/0/status", "value": "`+status+`"}]`, "status")
			},
		},
		{
			what: "a ListenerSet that its Gateway no longer allows", host: "revoked.in.example",
			write: func(back bool) {
				from := map[bool]string{true: "Same", false: "None"}[back]
				patch(harness.Gateways, "load", "gw", `[{"op": "replace", "path": "/spec/allowedListeners/namespaces/from", "value": "`+from+`"}]`)
			},
		},
	} {
		t.Run(change.what, func(t *testing.T) {
			addr := cmp.Or(change.addr, "10.1.0.1")
			harness.Must(t, s.Expect(change.host, dns.TypeA, addr))
			var taken, given []time.Duration
			for i := range changes {
				back := i%2 == 1
				if change.before != nil {
					change.before(back)
				}
				change.write(back)
				if back {
					given = append(given, until(t, func() error { return s.Expect(change.host, dns.TypeA, addr) }))
				} else {
					taken = append(taken, until(t, func() error { return s.ExpectRcode(change.host, dns.TypeA, dns.RcodeRefused) }))
				}
			}
			assertMedian(t, change.what, taken, median)
			assertMedian(t, change.what+", undone,", given, median)
		})
	}
}
