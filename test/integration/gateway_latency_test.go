package integration_test

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
)

// TestGatewayLatency measures, with 400 routes at one Gateway, half of them by way of its
// ListenerSet, how long after the API server has acknowledged a write the answer follows it:
// there and back again, for each of the objects that have a say in a route's attachment.
func TestGatewayLatency(t *testing.T) {
	c := cluster.New(t, cluster.Options{})
	installGatewayAPI(t, c, cluster.NewestGatewayAPI)
	kubeconfig := shippedAccounts(t, c).dns
	ctx := t.Context()
	const (
		n       = 400
		changes = 40 // of each kind, half of them back again
		median  = 50 * time.Millisecond
	)
	in := strings.NewReplacer("NS", "load")
	// The Gateway that is deleted is one of its own, so that it does not take the load with it.
	brief := manifest(gateway{name: "brief", addresses: "{value: 10.1.0.2}"})
	must(t, c.Apply(ctx, in.Replace(infra+object("v1", "Namespace", "NS", "")+
		"{apiVersion: v1, kind: Namespace, metadata: {name: NS-team, labels: {team: a}}}\n---\n"+
		manifest(
			gateway{spec: listenersFrom("from: Same"), listeners: `
				{name: all, port: 80, protocol: HTTP},
				{name: host, port: 81, protocol: HTTP, hostname: "*.in.example"},
				{name: team, port: 82, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: a}}}}}`},
			listenerSet{},
			route{name: "edited", hosts: "edited.in.example", parents: "{name: gw, sectionName: host}"},
			route{name: "listener", hosts: "listener.in.example", parents: "{name: gw, sectionName: host}"},
			route{name: "label", namespace: "NS-team", hosts: "label.in.example", parents: "{name: gw, namespace: NS, sectionName: team}"},
			route{name: "deleted", hosts: "deleted.in.example", parents: "{name: brief}"},
			route{name: "accepted", hosts: "accepted.in.example"},
			route{name: "revoked", hosts: "revoked.in.example", parents: toSet},
		)+brief)))
	parallel(t, n, func(i int) error {
		parent := []string{"{name: gw, sectionName: all}", toSet}[i%2]
		return c.Apply(ctx, in.Replace(manifest(route{name: fmt.Sprintf("r%03d", i), hosts: fmt.Sprintf("r%03d.example", i), parents: parent})))
	})
	s := startFastCoreDNS(t, `.:PORT {
		bind 127.0.0.1
		READY
		PROM
		errors
		minilb minilb {
			kubeconfig `+kubeconfig+`
		}
	}`)
	s.waitReady(t)
	for _, name := range []string{"r000.example", "r001.example", "r398.example", "r399.example"} {
		cluster.Eventually(t, 10*time.Second, func() error { return s.expect(name, dns.TypeA, "10.1.0.1") })
	}

	patch := func(resource schema.GroupVersionResource, namespace, name, operations string, subresources ...string) {
		t.Helper()
		_, err := c.Dynamic.Resource(resource).Namespace(namespace).Patch(ctx, name, types.JSONPatchType, []byte(operations), metav1.PatchOptions{}, subresources...)
		must(t, err)
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
				patch(httpRoutes, "load", "edited", `[{"op": "replace", "path": "/spec/hostnames", "value": ["`+host+`"]}]`)
			},
		},
		{
			what: "a listener with another hostname", host: "listener.in.example",
			write: func(back bool) {
				host := map[bool]string{true: "*.in.example", false: "*.out.example"}[back]
				patch(gateways, "load", "gw", `[{"op": "test", "path": "/spec/listeners/1/name", "value": "host"}, {"op": "replace", "path": "/spec/listeners/1/hostname", "value": "`+host+`"}]`)
			},
		},
		{
			what: "a namespace that a Selector no longer selects", host: "label.in.example",
			write: func(back bool) {
				team := map[bool]string{true: "a", false: "b"}[back]
				_, err := c.Client.CoreV1().Namespaces().Patch(ctx, "load-team", types.MergePatchType, []byte(`{"metadata": {"labels": {"team": "`+team+`"}}}`), metav1.PatchOptions{})
				must(t, err)
			},
		},
		{
			what: "a Gateway that is deleted", host: "deleted.in.example", addr: "10.1.0.2",
			before: func(back bool) {
				if back { // all but its status, without which it has no address
					bare, _, _ := strings.Cut(brief, "\nstatus:")
					must(t, c.Apply(ctx, in.Replace(bare)))
				}
			},
			write: func(back bool) {
				if back {
					patch(gateways, "load", "brief", `[{"op": "add", "path": "/status/addresses", "value": [{"type": "IPAddress", "value": "10.1.0.2"}]}]`, "status")
				} else {
					must(t, c.Dynamic.Resource(gateways).Namespace("load").Delete(ctx, "brief", metav1.DeleteOptions{}))
				}
			},
		},
		{
			what: "a route that is no longer accepted", host: "accepted.in.example",
			write: func(back bool) {
				status := map[bool]string{true: "True", false: "False"}[back]
				patch(httpRoutes, "load", "accepted", `[{"op": "replace", "path": "/status/parents/0/conditions/0/status", "value": "`+status+`"}]`, "status")
			},
		},
		{
			what: "a ListenerSet that its Gateway no longer allows", host: "revoked.in.example",
			write: func(back bool) {
				from := map[bool]string{true: "Same", false: "None"}[back]
				patch(gateways, "load", "gw", `[{"op": "replace", "path": "/spec/allowedListeners/namespaces/from", "value": "`+from+`"}]`)
			},
		},
	} {
		t.Run(change.what, func(t *testing.T) {
			addr := cmp.Or(change.addr, "10.1.0.1")
			must(t, s.expect(change.host, dns.TypeA, addr))
			var taken, given []time.Duration
			for i := range changes {
				back := i%2 == 1
				if change.before != nil {
					change.before(back)
				}
				change.write(back)
				if back {
					given = append(given, until(t, func() error { return s.expect(change.host, dns.TypeA, addr) }))
				} else {
					taken = append(taken, until(t, func() error { return s.expectRcode(change.host, dns.TypeA, dns.RcodeRefused) }))
				}
			}
			assertMedian(t, change.what, taken, median)
			assertMedian(t, change.what+", undone,", given, median)
		})
	}
}

// Resources of the Gateway API.
var (
	gateways   = schema.GroupVersionResource{Group: group, Version: "v1", Resource: "gateways"}
	httpRoutes = schema.GroupVersionResource{Group: group, Version: "v1", Resource: "httproutes"}
)
