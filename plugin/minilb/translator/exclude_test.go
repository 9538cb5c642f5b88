package translator

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/endpoint"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// excluding are the options that exclude nodes with the label "vps".
func excluding(t *testing.T) config.Options {
	selector, err := labels.Parse("vps")
	if err != nil {
		t.Fatal(err)
	}
	return config.Options{ExcludeNodes: selector}
}

func testNode(name string, labels ...string) *corev1.Node {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
	for _, label := range labels {
		key, value, _ := strings.Cut(label, "=")
		node.Labels[key] = value
	}
	return node
}

// onNodes makes a slice of a Service with endpoints "ADDRESS CONDITIONS NODE", all of one family.
func onNodes(service, name string, endpoints ...string) *discoveryv1.EndpointSlice {
	namespace, service, _ := strings.Cut(service, "/")
	obj := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: pointer("http"), Port: pointer(int32(80))}},
	}
	for _, e := range endpoints {
		fields := strings.Fields(e)
		if strings.Contains(fields[0], ":") {
			obj.AddressType = discoveryv1.AddressTypeIPv6
		}
		obj.Endpoints = append(obj.Endpoints, discoveryv1.Endpoint{Addresses: fields[:1], Conditions: conditionsOf(fields[1]), NodeName: &fields[2]})
	}
	return obj
}

// L6: endpoints on excluded nodes are answered only where there is no other that is usable, for each family by itself.
func TestExcludeNodes(t *testing.T) {
	for _, tc := range []struct {
		name   string
		slices []string // endpoints, separated by commas
		want   string
		counts endpoint.Counts
	}{
		{"others are there", []string{"10.0.1.1 RSt home1, 10.0.9.1 RSt vps1, 10.0.9.2 RSt vps2"}, "10.0.1.1", endpoint.Counts{Ready: 1, Excluded: 2}},
		{"no other", []string{"10.0.9.1 RSt vps1, 10.0.9.2 RSt vps2"}, "10.0.9.1 10.0.9.2", endpoint.Counts{Ready: 2}},
		{"none excluded", []string{"10.0.1.1 RSt home1, 10.0.1.2 RSt home2"}, "10.0.1.1 10.0.1.2", endpoint.Counts{Ready: 2}},
		{"the other is not usable", []string{"10.0.1.1 rst home1, 10.0.9.1 RSt vps1"}, "10.0.9.1", endpoint.Counts{Ready: 1, NotReady: 1}},
		{"the other terminates (E3)", []string{"10.0.1.1 rST home1, 10.0.9.1 RSt vps1"}, "10.0.9.1", endpoint.Counts{Ready: 1, Terminating: 1}},
		{"all terminate", []string{"10.0.1.1 rST home1, 10.0.9.1 rST vps1"}, "10.0.1.1", endpoint.Counts{Terminating: 1, Excluded: 1}},
		{"another family", []string{"10.0.1.1 RSt home1, 10.0.9.1 RSt vps1", "fd00::9 RSt vps1"}, "10.0.1.1 fd00::9", endpoint.Counts{Ready: 2, Excluded: 1}},
		{"slices of several ports", []string{"10.0.9.1 RSt vps1", "10.0.1.1 RSt home1"}, "10.0.1.1", endpoint.Counts{Ready: 1, Excluded: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, excluding(t))
			b.services().Add(testService("shop/web", 1, ""))
			for i, endpoints := range tc.slices {
				b.watcher.EndpointSlices("").Add(onNodes("shop/web", "web-"+string(rune('a'+i)), strings.Split(endpoints, ", ")...))
			}
			for _, node := range []*corev1.Node{testNode("vps1", "vps"), testNode("vps2", "vps=x"), testNode("home1", "minilb/ignore=true")} {
				b.watcher.Nodes(b.tr.options.ExcludeNodes).Add(node)
			}
			b.sync()
			b.want("web.shop.minilb.", tc.want)
			if got := b.tr.services.state.states; got != tc.counts {
				t.Errorf("got %+v, want %+v", got, tc.counts)
			}
			if got := b.tr.Stats().Endpoints["excluded"]; got != tc.counts.Excluded {
				t.Errorf("%d are counted as excluded", got)
			}
			for _, e := range b.tr.View().Services()[0].Endpoints {
				if want := slices.Contains(strings.Fields(tc.want), e.Addr.String()); e.Answered != want || e.Excluded != strings.HasPrefix(e.Node, "vps") {
					t.Errorf("reported as %+v", e)
				}
			}
		})
	}
}

// A large Service, which is merged aside, is no other.
func TestExcludeNodesAside(t *testing.T) {
	b := newBench(t, excluding(t))
	b.services().Add(testService("shop/web", 1, ""))
	endpoints := []string{"10.1.0.1 RSt home1"}
	for i := range atOnce {
		endpoints = append(endpoints, netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}).String()+" RSt vps1")
	}
	b.watcher.EndpointSlices("").Add(onNodes("shop/web", "web-1", endpoints...))
	b.watcher.Nodes(b.tr.options.ExcludeNodes).Add(testNode("vps1", "vps"))
	b.sync()
	b.want("web.shop.minilb.", "10.1.0.1")
}

// L6: a host that leads to several Services is answered with those that have others.
func TestExcludeNodesOfHost(t *testing.T) {
	b := newBench(t, excluding(t))
	b.services().Add(testService("shop/a", 1, "a.org"))
	b.services().Add(testService("shop/b", 1, "a.org"))
	for service, endpoint := range map[string]string{"shop/a": "10.0.9.1 RSt vps1", "shop/b": "10.0.1.1 RSt home1"} {
		b.watcher.EndpointSlices("").Add(onNodes(service, service[5:]+"-1", endpoint))
	}
	b.sync()
	nodes := b.watcher.Nodes(b.tr.options.ExcludeNodes)
	b.want("a.org.", "10.0.1.1 10.0.9.1")
	nodes.Add(testNode("vps1", "vps"))
	b.want("a.org.", "10.0.1.1")
	b.want("a.shop.minilb.", "10.0.9.1")
	nodes.Add(testNode("home1", "vps"))
	b.want("a.org.", "10.0.1.1 10.0.9.1")
}

// L6: suspicion leaves out what exclusion has left, and does not bring excluded endpoints back, for which no probe is sent.
func TestExcludedAndSuspect(t *testing.T) {
	p := newProbed(t, excluding(t))
	p.services().Add(testService("shop/a", 1, "a.org"))
	p.services().Add(testService("shop/b", 1, "a.org"))
	ports := []object.Port{{Proto: "_tcp", Service: "_http", Number: p.port}}
	p.tr.onNode(nil, &object.Node{Meta: object.Meta{Name: "vps1"}})
	p.tr.onSlice(nil, p.slice("shop/a", "a-1", ports, "127.0.0.2 home1", "127.0.0.3 home1", "127.0.0.9 vps1"))
	p.tr.onSlice(nil, p.slice("shop/b", "b-1", ports, "127.0.0.8 vps1"))
	p.listen("127.0.0.9")
	p.listen("127.0.0.8")
	good := p.listen("127.0.0.2")
	p.sync()
	p.eventually("a.shop.minilb.", "127.0.0.2")
	p.eventually("a.org.", "127.0.0.2")
	p.want("b.shop.minilb.", "127.0.0.8")
	good.Close()
	p.eventually("a.shop.minilb.", "127.0.0.2 127.0.0.3")
	p.stays("a.org.", "127.0.0.2 127.0.0.3")
	if p.tr.services.probedAt(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), p.port)) != nil {
		t.Error("an endpoint that is left out is probed")
	}
}

// excludingAPI is an API server with a Service on two nodes, one of which is excluded.
func excludingAPI() *fakeAPI {
	api := newFakeAPI()
	api.objects = map[string][]runtime.Object{
		"services":       {testService("shop/web", 1, "")},
		"endpointslices": {onNodes("shop/web", "web-1", "10.0.1.1 RSt home1", "10.0.9.1 RSt vps1")},
		"nodes":          {testNode("vps1", "vps")},
	}
	return api
}

// L6: only Nodes with the label are asked for, and a node that gets it or loses it makes a difference within the event.
func TestExcludedNodesChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := excludingAPI()
		b, stop := runBench(t, api, excluding(t))
		defer stop()
		synctest.Wait()
		b.want("web.shop.minilb.", "10.0.1.1")
		if api.selectors["nodes"] != "vps" {
			t.Errorf("asked for the nodes of %q", api.selectors["nodes"])
		}
		for _, step := range []struct {
			event watch.EventType
			node  *corev1.Node
			want  string
		}{
			{watch.Added, testNode("home1", "vps"), "10.0.1.1 10.0.9.1"},
			{watch.Modified, testNode("vps1"), "10.0.9.1"}, // which an API server reports as deleted
			{watch.Deleted, testNode("home1"), "10.0.1.1 10.0.9.1"},
			{watch.Added, testNode("vps1", "vps"), "10.0.1.1"},
		} {
			api.send("nodes", step.event, step.node)
			synctest.Wait()
			b.want("web.shop.minilb.", step.want)
		}
	})
}

// G7: the zones wait for the Nodes, and not for ever. Without the right to read them, nothing is left out, which is logged.
func TestExcludedNodesForbidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := excludingAPI()
		api.refuse("nodes", apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "", errRefused))
		b, stop := runBench(t, api, excluding(t))
		defer stop()
		synctest.Wait()
		if got := b.tr.Unsynced(); !slices.Equal(got, []string{"nodes"}) || b.index.Synced() {
			t.Errorf("waiting for %q, synced %v", got, b.index.Synced())
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		b.want("web.shop.minilb.", "10.0.1.1 10.0.9.1")
		if lines := b.log.take(); !slices.ContainsFunc(lines, func(line string) bool {
			return strings.HasPrefix(line, "W nodes: list and watch is forbidden: ") && strings.HasSuffix(line, "; exclude_nodes has no effect")
		}) {
			t.Errorf("got the log %q", lines)
		}
		api.refuse("nodes", nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		b.want("web.shop.minilb.", "10.0.1.1")
	})
}

// L6, D78: a snapshot gives the same answers. One that was written without the property, or for another selector, gives all
// endpoints.
func TestExcludedNodesRestored(t *testing.T) {
	other := excluding(t)
	other.ExcludeNodes, _ = labels.Parse("vps=other")
	for _, tc := range []struct {
		name    string
		written config.Options
		want    string
	}{{"alike", excluding(t), "10.0.1.1"}, {"without", config.Options{}, "10.0.1.1 10.0.9.1"}, {"another selector", other, "10.0.1.1 10.0.9.1"}} {
		t.Run(tc.name, func(t *testing.T) {
			api := excludingAPI()
			path := keptState(t, api, tc.written)
			api.refuse("nodes", errRefused)
			restoring(t, api, excluding(t), path, func(t *testing.T, b *bench) {
				b.want("web.shop.minilb.", tc.want)
				b.log.take()
				maps.Copy(api.objects, map[string][]runtime.Object{"nodes": {testNode("home1", "vps")}})
				api.refuse("nodes", nil)
				api.answer(nil)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				b.want("web.shop.minilb.", "10.0.9.1")
			})
		})
	}
}
