package controller

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/minilb/minilb/cmd/minilb/controller/events"
	"github.com/minilb/minilb/cmd/minilb/routes"
	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
)

// R3: the note says where a pod is that the routes do not lead to, and what to do about it.
func TestUnroutableNote(t *testing.T) {
	outside := routes.UnroutableEndpoint{Addr: netip.MustParseAddr("10.0.0.1"), Node: "a", PodCIDRs: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")}}
	bare := routes.UnroutableEndpoint{Addr: netip.MustParseAddr("10.0.0.2"), Node: "bare"}
	by, calico := podnetworks.Choice{Provider: podnetworks.PodCIDRs}, podnetworks.Choice{Provider: podnetworks.Calico}
	for want, e := range map[string]serviceEndpoints{
		"The routes do not lead to some endpoints, for example 10.0.0.1, which is outside 10.244.1.0/24 of node a: " + routes.OutsideHint(by):     {unroutable: 1, total: 2, example: outside, choice: by},
		"The routes do not lead to any endpoint, for example 10.0.0.2, which is on node bare, which has no podCIDR: " + routes.AllocateHint(by):   {unroutable: 2, total: 2, example: bare, choice: by},
		"The routes do not lead to any endpoint, for example 10.0.0.2, which is on node bare, which has no block: " + routes.AllocateHint(calico): {unroutable: 2, total: 2, example: bare, choice: calico},
	} {
		if got := e.describe(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// problemDelay and noteDelay are how long a problem must last to be reported, and how long after a Service was changed
// its endpoints are read.
const problemDelay, noteDelay = 2 * time.Second, 30 * time.Second

// scanner is a Controller that reads endpoints, and what it talks to: a cluster with a Service that
// has nothing wrong.
type scanner struct {
	*testing.T
	*Controller
	client *fake.Clientset
	node   *corev1.Node
	slice  *discoveryv1.EndpointSlice
}

// sweeping runs f beside a scanner, before the Service is there.
func scanning(t *testing.T, f func(s *scanner)) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newTest(t, func(clienttesting.PatchAction) (*corev1.Service, error) { return web(2, "web.shop.minilb"), nil })
		name, number := "http", int32(8080)
		s := &scanner{T: t, Controller: c, client: c.client.(*fake.Clientset)}
		s.node = &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Spec: corev1.NodeSpec{PodCIDRs: []string{"10.244.1.0/24"}}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.168.1.31"}}}}
		s.slice = &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &number}},
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.244.1.7"}, NodeName: &s.node.Name}},
		}
		s.must(s.client.Tracker().Add(s.node.DeepCopy()))
		s.must(s.client.Tracker().Add(s.slice.DeepCopy()))
		c.recorder = newRecorder(c, c.log)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { c.recorder.Run(ctx) })
		running.Go(func() { c.scanEndpoints(ctx) })
		running.Go(func() { c.work(ctx) })
		s.must(c.services[0].Replace(nil, ""))
		f(s)
		cancel()
		c.queue.ShutDown()
		running.Wait()
	})
}

func (s *scanner) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// serve makes the Service have that port, which leads to whatever its pods call http.
func (s *scanner) serve(version int, port int32) {
	service := web(version, "web.shop.minilb")
	service.Spec.Ports = []corev1.ServicePort{{Name: "http", Port: port, TargetPort: intstr.FromString("http")}}
	s.must(s.services[0].Update(service))
}

// scanCount returns how often all endpoints were read.
func (s *scanner) scanCount() (n int) {
	for _, action := range s.client.Actions() {
		if action.Matches("list", "endpointslices") && action.GetNamespace() == metav1.NamespaceAll {
			n++
		}
	}
	return n
}

// swept waits for the next time that they are.
func (s *scanner) scanned() {
	for before := s.scanCount(); s.scanCount() == before; {
		time.Sleep(time.Second)
	}
}

// reasons returns those of the Events that were written.
func (s *scanner) reasons() []string {
	return s.told(func(event *eventsv1.Event) string { return event.Reason })
}

// told returns something of all Events, sorted.
func (s *scanner) told(of func(*eventsv1.Event) string) (all []string) {
	list, err := s.client.EventsV1().Events(metav1.NamespaceAll).List(s.Context(), metav1.ListOptions{})
	s.must(err)
	for i := range list.Items {
		all = append(all, of(&list.Items[i]))
	}
	slices.Sort(all)
	return all
}

// R3, S5: what goes wrong with a Service that has long been there is told, too.
func TestScanFindsLater(t *testing.T) {
	const promise = 10 * time.Minute
	bare := func(s *scanner) {
		s.node.Spec.PodCIDRs = nil
		_, err := s.client.CoreV1().Nodes().Update(s.Context(), s.node, metav1.UpdateOptions{})
		s.must(err)
	}
	for name, tc := range map[string]struct {
		change func(*scanner)
		within time.Duration
		want   string
	}{
		"a node loses its podCIDRs": {bare, promise, events.NoRoutableEndpoint},
		"a Service comes just before the next look": {func(s *scanner) {
			bare(s)
			time.Sleep(scanInterval - 2*time.Second)
			other := web(9, "api.shop.minilb")
			other.Name, other.UID = "api", "uid-2"
			s.must(s.services[0].Add(other))
		}, promise, events.NoEndpoints + " " + events.NoRoutableEndpoint},
		"the pods' port changes": {func(s *scanner) {
			*s.slice.Ports[0].Port = 9090
			_, err := s.client.DiscoveryV1().EndpointSlices("shop").Update(s.Context(), s.slice, metav1.UpdateOptions{})
			s.must(err)
		}, promise, events.TargetPortMismatch},
		"its pods go": {func(s *scanner) {
			s.slice.Endpoints = nil
			_, err := s.client.DiscoveryV1().EndpointSlices("shop").Update(s.Context(), s.slice, metav1.UpdateOptions{})
			s.must(err)
		}, promise + time.Minute, events.NoEndpoints},
		"the Service's port changes": {func(s *scanner) { s.serve(2, 8888) }, noteDelay + problemDelay + time.Second, events.TargetPortMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			scanning(t, func(s *scanner) {
				s.serve(1, 8080)
				time.Sleep(25 * time.Minute)
				if tc.within >= promise && s.scanCount() > 1 {
					s.scanned() // the worst moment is just after
				}
				if got := s.reasons(); len(got) > 0 {
					t.Fatalf("got events %q while nothing was wrong", got)
				}
				began := time.Now()
				tc.change(s)
				time.Sleep(tc.within - time.Since(began))
				synctest.Wait()
				if got := s.reasons(); !slices.Equal(got, strings.Fields(tc.want)) {
					t.Errorf("got events %q after %v, want %s", got, tc.within, tc.want)
				}
			})
		})
	}
}

// What is looked at costs the API server and us: not more often than it must be.
func TestScansAreFew(t *testing.T) {
	most := int(time.Hour/scanInterval) + 1
	for name, tc := range map[string]struct {
		there  bool
		took   time.Duration
		every  int // minutes
		change func(s *scanner, i int)
		want   int
	}{
		"no Service of ours":            {false, 0, 1, func(*scanner, int) {}, 0},
		"a Service that stays":          {true, 0, 20, func(s *scanner, _ int) { s.enqueueAll() }, most},
		"one that changes elsewhere":    {true, 0, 20, func(s *scanner, i int) { s.serve(i+2, 8080) }, most},
		"one that changes all the time": {true, 0, 1, func(s *scanner, i int) { s.serve(i+2, 8080+int32(i)) }, 59},
		"one whose pods go": {true, 0, 1, func(s *scanner, i int) {
			if i == 0 {
				s.slice.Endpoints = nil
				_, err := s.client.DiscoveryV1().EndpointSlices("shop").Update(s.Context(), s.slice, metav1.UpdateOptions{})
				s.must(err)
			}
		}, most + 3}, // a minute after that was seen, and 1, 2, 4 and 8 later
		"one that changes all the time among many": {true, time.Second, 1, func(s *scanner, i int) { s.serve(i+2, 8080+int32(i)) }, most},
	} {
		t.Run(name, func(t *testing.T) {
			scanning(t, func(s *scanner) {
				s.client.PrependReactor("list", "endpointslices", func(action clienttesting.Action) (bool, runtime.Object, error) {
					if action.GetNamespace() == metav1.NamespaceAll {
						time.Sleep(tc.took)
					}
					return false, nil, nil
				})
				if tc.there {
					s.serve(1, 8080)
				}
				for i := range 60 / tc.every {
					time.Sleep(time.Duration(tc.every) * time.Minute)
					tc.change(s, i)
				}
				if got := s.scanCount(); got != tc.want {
					t.Errorf("all endpoints were read %d times in an hour, want %d", got, tc.want)
				}
			})
		})
	}
}

// What was found of a Service's endpoints is forgotten when another one has its name that is not ours.
func TestScanForgets(t *testing.T) {
	scanning(t, func(s *scanner) {
		s.serve(1, 8888)
		time.Sleep(time.Minute)
		if got := len(s.recorder.Problems()); got != 1 {
			t.Fatalf("%d findings, want one", got)
		}
		foreign := web(2, "")
		*foreign.Spec.LoadBalancerClass, foreign.UID, foreign.Status.LoadBalancer.Ingress = "metallb", "uid-2", nil
		foreign.Annotations = map[string]string{"minilb/host": "a.example"}
		s.must(s.services[0].Update(foreign))
		time.Sleep(time.Minute)
		if got := s.reasons(); !slices.Equal(got, []string{events.AnnotationIgnored, events.TargetPortMismatch}) || len(s.recorder.Problems()) != 1 {
			t.Errorf("got events %q and %d findings, want one that is left", got, len(s.recorder.Problems()))
		}
	})
}

// D18: that a Service has no address is told when it has had none for half a minute, and why; not of pods that are
// replaced, nor of what is Cilium's (E17).
func TestScanFindsNoEndpoints(t *testing.T) {
	yes, no := true, false
	endpoint := func(ready, serving, terminating *bool) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{Addresses: []string{"10.244.1.7"}, Conditions: discoveryv1.EndpointConditions{Ready: ready, Serving: serving, Terminating: terminating}}
	}
	const no1 = "No address is answered: "
	for _, tc := range []struct {
		name   string
		change func(*scanner, *corev1.Service)
		want   string
	}{
		{"one that is ready", func(*scanner, *corev1.Service) {}, ""},
		{"one that serves while it ends", func(s *scanner, _ *corev1.Service) {
			s.slice.Endpoints = []discoveryv1.Endpoint{endpoint(&no, nil, &yes)}
		}, ""},
		{"one that is not ready", func(s *scanner, _ *corev1.Service) {
			s.slice.Endpoints = []discoveryv1.Endpoint{endpoint(&no, nil, nil)}
		},
			no1 + "its only endpoint is not ready; kubectl describe of the pod shows which probe fails"},
		{"two that are not ready", func(s *scanner, _ *corev1.Service) {
			s.slice.Endpoints = []discoveryv1.Endpoint{endpoint(&no, nil, nil), endpoint(&no, &no, &yes)}
		}, no1 + "none of its 2 endpoints is ready; kubectl describe of a pod shows which probe fails"},
		{"no pod", func(s *scanner, full *corev1.Service) {
			s.slice.Endpoints, full.Spec.Selector = nil, map[string]string{"app": "web"}
		}, no1 + "spec.selector matches no pod that has an address; compare it with the labels of the pods, and see that they run"},
		{"an empty slice", func(s *scanner, _ *corev1.Service) { s.slice.Endpoints = nil },
			no1 + "it has no selector, and its EndpointSlices have no endpoints; add some, or give it a selector"},
		{"names", func(s *scanner, _ *corev1.Service) { s.slice.AddressType = discoveryv1.AddressTypeFQDN },
			no1 + "it has no selector, and no EndpointSlice with addresses; give it a selector, or create EndpointSlices with the label kubernetes.io/service-name"},
		{"an ignored slice", func(s *scanner, _ *corev1.Service) { s.slice.Labels["minilb/ignore"] = "true" },
			no1 + "it has no selector, and no EndpointSlice with addresses; give it a selector, or create EndpointSlices with the label kubernetes.io/service-name"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			scanning(t, func(s *scanner) {
				full := web(1, "web.shop.minilb")
				tc.change(s, full)
				_, err := s.client.DiscoveryV1().EndpointSlices("shop").Update(s.Context(), s.slice, metav1.UpdateOptions{})
				s.must(err)
				s.must(s.services[0].Update(full))
				time.Sleep(noteDelay - time.Second)
				if got := s.reasons(); len(got) > 0 {
					t.Errorf("got events %q before half a minute", got)
				}
				time.Sleep(problemDelay + 3*time.Second)
				if notes := s.told(func(event *eventsv1.Event) string { return event.Note }); strings.Join(notes, "") != tc.want {
					t.Errorf("got %q, want %q", notes, tc.want)
				}
			})
		})
	}
	scanning(t, func(s *scanner) { // pods that come late
		s.must(s.client.Tracker().Add(web(1, "")))
		ready := s.slice.Endpoints
		for _, endpoints := range [][]discoveryv1.Endpoint{nil, ready} {
			s.slice.Endpoints = endpoints
			_, err := s.client.DiscoveryV1().EndpointSlices("shop").Update(s.Context(), s.slice, metav1.UpdateOptions{})
			s.must(err)
			s.serve(1, 8080)
			time.Sleep(2 * time.Minute)
		}
		if got := s.reasons(); !slices.Equal(got, []string{events.NoEndpoints, events.Resolved}) {
			t.Errorf("got events %q of pods that come late", got)
		}
	})
	scanning(t, func(s *scanner) { // a roll-out at the time of a look
		s.serve(1, 8080)
		time.Sleep(25 * time.Minute)
		s.scanned()
		began := time.Now()
		time.Sleep(scanInterval - time.Second)
		ready := s.slice.Endpoints
		for _, endpoints := range [][]discoveryv1.Endpoint{nil, ready} {
			s.slice.Endpoints = endpoints
			_, err := s.client.DiscoveryV1().EndpointSlices("shop").Update(s.Context(), s.slice, metav1.UpdateOptions{})
			s.must(err)
			time.Sleep(10 * time.Second)
		}
		time.Sleep(scanInterval)
		if got := s.reasons(); len(got) > 0 {
			t.Errorf("got events %q %v after pods were replaced", got, time.Since(began))
		}
	})
}
