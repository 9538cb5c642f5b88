package routes

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/watch"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
	"github.com/minilb/minilb/plugin/minilb/informer"
)

var (
	ciliumNodes     = schema.GroupVersionResource{Group: "cilium.io", Version: "v2", Resource: "ciliumnodes"}
	blockAffinities = schema.GroupVersionResource{Group: "crd.projectcalico.org", Version: "v1", Resource: "blockaffinities"}
)

func ciliumNode(name string, cidrs ...any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "cilium.io/v2", "kind": "CiliumNode", "metadata": map[string]any{"name": name}, "spec": map[string]any{"ipam": map[string]any{"podCIDRs": cidrs}},
	}}
}

// ciliumLAN is a cluster of two nodes, a with the podCIDR 10.244.0.0/24 and b with 10.244.1.0/24, and with an endpoint on each.
// Its parts change between steps.
type ciliumLAN struct {
	mu     sync.Mutex
	served bool
	calico bool // its resource is served, and cannot be listed
	refuse error
	unseen error // of the EndpointSlices
	items  []unstructured.Unstructured
	pods   map[string]string // addresses by node
	events *watch.FakeWatcher
}

func (l *ciliumLAN) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func (l *ciliumLAN) clients() (*fake.Clientset, *podnetworks.Clients) {
	client := fake.NewClientset()
	client.PrependReactor("list", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, &corev1.NodeList{ListMeta: listed, Items: []corev1.Node{*node("a", "10.244.0.0/24", "192.168.1.30"), *node("b", "10.244.1.0/24", "192.168.1.31")}}, nil
	})
	client.PrependReactor("list", "endpointslices", func(clienttesting.Action) (bool, runtime.Object, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.unseen != nil {
			return true, nil, l.unseen
		}
		slice := discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4}
		for node, addr := range l.pods {
			slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{addr}, NodeName: &node})
		}
		return true, &discoveryv1.EndpointSliceList{Items: []discoveryv1.EndpointSlice{slice}}, nil
	})
	custom := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{ciliumNodes: "CiliumNodeList", blockAffinities: "BlockAffinityList"})
	custom.PrependReactor("list", "ciliumnodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.refuse != nil {
			return true, nil, l.refuse
		}
		list := &unstructured.UnstructuredList{Items: slices.Clone(l.items)}
		list.SetResourceVersion("1")
		return true, list, nil
	})
	custom.PrependReactor("list", "blockaffinities", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewServiceUnavailable("starting")
	})
	l.events = watch.NewFake()
	custom.PrependWatchReactor("ciliumnodes", func(clienttesting.Action) (bool, watch.Interface, error) { return true, l.events, nil })
	return client, &podnetworks.Clients{Dynamic: custom, Served: func(context.Context) (informer.Served, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return informer.Served{ciliumNodes: l.served, blockAffinities: l.calico}, nil
	}}
}

// R20, R21: what watches the routes follows the networks of a CNI, takes up one that comes, and gives none up for what it cannot read.
func TestWatchNetworks(t *testing.T) {
	handlers := utilruntime.ErrorHandlers
	utilruntime.ErrorHandlers = nil
	defer func() { utilruntime.ErrorHandlers = handlers }()
	const (
		podCIDRs = "ip route replace 10.244.0.0/24 via 192.168.1.30\nip route replace 10.244.1.0/24 via 192.168.1.31\n"
		networks = "ip route replace 10.0.0.0/24 via 192.168.1.30\nip route replace 10.0.1.0/24 via 192.168.1.31\n"
		more     = "ip route replace 10.0.0.0/24 via 192.168.1.30\nip route replace 10.0.2.0/24 via 192.168.1.30\nip route replace 10.0.1.0/24 via 192.168.1.31\n"
		moved    = "ip route replace 10.0.0.0/24 via 192.168.1.30\nip route replace 10.0.1.0/24 via 192.168.1.31\nip route replace 10.0.2.0/24 via 192.168.1.31\n"
	)
	forbidden := apierrors.NewForbidden(ciliumNodes.GroupResource(), "", errors.New("no"))
	type step struct {
		name   string
		change func(*ciliumLAN)
		within time.Duration
		want   string // the last update, "" for none
		says   []string
	}
	for _, tc := range []struct {
		name     string
		provider podnetworks.Provider
		lan      *ciliumLAN
		steps    []step
	}{
		{"auto", "", &ciliumLAN{served: true, items: []unstructured.Unstructured{*ciliumNode("a", "10.0.0.0/24"), *ciliumNode("b", "10.0.1.0/24", "$x")}, pods: map[string]string{"a": "10.0.0.7"}}, []step{
			{"the first", func(*ciliumLAN) {}, 5 * time.Second, networks, []string{
				"pod networks: cilium: 1 of 1 pod IPs are in its networks of their nodes (podcidrs 0)", `CiliumNode b: podCIDR "?x" is malformed`}},
			{"another network", func(l *ciliumLAN) { l.events.Modify(ciliumNode("a", "10.0.0.0/24", "10.0.2.0/24")) }, time.Second, more, nil},
			{"that moves", func(l *ciliumLAN) {
				l.events.Modify(ciliumNode("b", "10.0.1.0/24", "10.0.2.0/24"))
				l.events.Modify(ciliumNode("a", "10.0.0.0/24"))
			}, time.Second, moved, nil},
			{"nothing new", func(l *ciliumLAN) { l.events.Modify(ciliumNode("a", "10.0.0.0/24")) }, time.Second, "", nil},
			{"pods that are elsewhere", func(l *ciliumLAN) { l.change(func() { l.pods = map[string]string{"a": "10.0.1.7", "b": "10.0.2.7"} }) }, 11 * time.Minute,
				"ip route replace 10.0.0.0/24 via 192.168.1.30\n# node b: podCIDR 10.0.1.0/24 is not this node's: the pod 10.0.1.7 in it is on node a\nip route replace 10.0.2.0/24 via 192.168.1.31\n", nil},
			{"and come home", func(l *ciliumLAN) { l.change(func() { l.pods = map[string]string{"a": "10.0.0.7"} }) }, 2 * time.Minute, moved, nil},
		}},
		{"auto, forbidden", "", &ciliumLAN{served: true, refuse: forbidden, pods: map[string]string{"a": "10.244.0.7"}}, []step{
			{"the first", func(*ciliumLAN) {}, 10 * time.Second, podCIDRs, []string{"ciliumnodes.cilium.io: list and watch is forbidden: apply deploy/kustomize, or grant list and watch on ciliumnodes.cilium.io",
				"pod networks: podcidrs: nothing else says which networks pods have; 1 of 1 pod IPs are in its networks of their nodes, and this account may not list ciliumnodes.cilium.io"}},
		}},
		{"auto, a CNI that comes", "", &ciliumLAN{pods: map[string]string{"a": "10.244.0.7"}}, []step{
			{"the first", func(*ciliumLAN) {}, 5 * time.Second, podCIDRs, []string{"pod networks: podcidrs: nothing else"}},
			{"a definition", func(l *ciliumLAN) {
				l.change(func() {
					l.served, l.items = true, []unstructured.Unstructured{*ciliumNode("a", "10.0.0.0/24"), *ciliumNode("b", "10.0.1.0/24")}
					l.pods = map[string]string{"a": "10.0.0.7"}
				})
			}, 10 * time.Minute, networks, []string{"pod networks: cilium: 1 of 1 pod IPs"}},
		}},
		{"auto, failing", "", &ciliumLAN{served: true, refuse: apierrors.NewServiceUnavailable("starting"), items: []unstructured.Unstructured{*ciliumNode("a", "10.0.0.0/24"), *ciliumNode("b", "10.0.1.0/24")}, pods: map[string]string{"a": "10.0.0.7"}}, []step{
			{"the first", func(*ciliumLAN) {}, time.Minute, "", []string{"ciliumnodes.cilium.io: cannot list and watch: starting"}},
			{"it works", func(l *ciliumLAN) { l.change(func() { l.refuse = nil }) }, 10 * time.Second, networks, []string{"ciliumnodes.cilium.io: can be read again", "pod networks: cilium: 1 of 1"}},
		}},
		{"auto, one that goes while another fails", "", &ciliumLAN{served: true, items: []unstructured.Unstructured{*ciliumNode("a", "10.0.0.0/24"), *ciliumNode("b", "10.0.1.0/24")}, pods: map[string]string{"a": "10.0.0.7"}}, []step{
			{"the first", func(*ciliumLAN) {}, 5 * time.Second, networks, []string{"pod networks: cilium: 1 of 1"}},
			{"the routes stay", func(l *ciliumLAN) { l.change(func() { l.served, l.calico = false, true }) }, 10 * time.Minute, "",
				[]string{"blockaffinities.crd.projectcalico.org: cannot list and watch: starting"}},
		}},
		{"auto, pods that cannot be seen", "", &ciliumLAN{served: true, unseen: apierrors.NewServiceUnavailable("starting"), items: []unstructured.Unstructured{*ciliumNode("a", "10.0.0.0/24"), *ciliumNode("b", "10.0.1.0/24")}, pods: map[string]string{"a": "10.244.0.7"}}, []step{
			{"the first", func(*ciliumLAN) {}, time.Minute, "", []string{"pod IPs not compared with podCIDRs: endpointslices: cannot list: starting; the routes stay as they are"}},
			{"they can", func(l *ciliumLAN) { l.change(func() { l.unseen = nil }) }, time.Minute, podCIDRs, []string{"pod networks: podcidrs: 1 of 1"}},
		}},
		{"named, forbidden", podnetworks.Cilium, &ciliumLAN{served: true, refuse: forbidden}, []step{
			{"the first", func(*ciliumLAN) {}, time.Minute, "", []string{"ciliumnodes.cilium.io: list and watch is forbidden"}},
		}},
		{"named, before there is any", podnetworks.Cilium, &ciliumLAN{served: true, pods: map[string]string{"a": "10.0.0.7"}}, []step{
			{"the first", func(*ciliumLAN) {}, 5 * time.Second, "# node a: no podCIDRs: no CiliumNode has any for it\n# node b: no podCIDRs: no CiliumNode has any for it\n",
				[]string{"pod networks: cilium: as -pods says"}},
			{"they come", func(l *ciliumLAN) {
				l.events.Add(ciliumNode("a", "10.0.0.0/24"))
				l.events.Add(ciliumNode("b", "10.0.1.0/24"))
			}, 2 * time.Second, networks, nil},
		}},
		{"named, podCIDRs", podnetworks.PodCIDRs, &ciliumLAN{served: true, refuse: forbidden, pods: map[string]string{"a": "10.244.1.7"}}, []step{
			{"the first", func(*ciliumLAN) {}, 5 * time.Second, podCIDRs, []string{"pod networks: podcidrs: as -pods says"}},
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			client, clients := tc.lan.clients()
			var mu sync.Mutex
			var updates, said []string
			hooks := Hooks{
				Update: func(entries []Entry) error {
					mu.Lock()
					defer mu.Unlock()
					updates = append(updates, replaced(entries))
					return nil
				},
				Warn: func(line string) {
					mu.Lock()
					defer mu.Unlock()
					said = append(said, line)
				},
				Outside: func(podnetworks.Choice, []PodOutsidePodCIDR, error) {},
			}
			hooks.Chosen = func(choice podnetworks.Choice) { hooks.Warn(choice.String()) }
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() {
				if err := Watch(ctx, client, clients, LAN{Provider: tc.provider}, hooks); err != nil {
					t.Error(err)
				}
			})
			for _, step := range tc.steps {
				mu.Lock()
				updates, said = nil, nil
				mu.Unlock()
				step.change(tc.lan)
				time.Sleep(step.within)
				synctest.Wait()
				mu.Lock()
				if last := strings.Join(updates[max(len(updates)-1, 0):], ""); last != step.want {
					t.Errorf("%s: %s: got\n%swant\n%s", tc.name, step.name, strings.Join(updates, "then\n"), step.want)
				}
				slices.Sort(said)
				slices.Sort(step.says)
				if !slices.EqualFunc(said, step.says, strings.HasPrefix) {
					t.Errorf("%s: %s: it says\n%s\nwant\n%s", tc.name, step.name, strings.Join(said, "\n"), strings.Join(step.says, "\n"))
				}
				mu.Unlock()
			}
			cancel()
			running.Wait()
		})
	}
}
