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

	"github.com/minilb/minilb/cmd/minilb/routes"
)

// R3: the note says where a pod is that the routes do not lead to, and what to do about it.
func TestUnroutableNote(t *testing.T) {
	outside := routes.UnroutableEndpoint{Addr: netip.MustParseAddr("10.0.0.1"), Node: "a", PodCIDRs: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")}}
	bare := routes.UnroutableEndpoint{Addr: netip.MustParseAddr("10.0.0.2"), Node: "bare"}
	for want, e := range map[string]endpointsOf{
		"The routes do not lead to some endpoints, for example 10.0.0.1, which is outside 10.244.1.0/24 of node a: " + routes.PodCIDRHint:   {unroutable: 1, total: 2, example: outside},
		"The routes do not lead to any endpoint, for example 10.0.0.2, which is on node bare, which has no podCIDR: " + routes.AllocateHint: {unroutable: 2, total: 2, example: bare},
	} {
		if got := e.describe(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// sweeper is a Controller that looks at endpoints, and what it talks to: a cluster with a Service that
// has nothing wrong.
type sweeper struct {
	*testing.T
	*Controller
	client *fake.Clientset
	events *apiServer
	node   *corev1.Node
	slice  *discoveryv1.EndpointSlice
}

// sweeping runs f beside a sweeper, before the Service is there.
func sweeping(t *testing.T, f func(s *sweeper)) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newTest(t, func(clienttesting.PatchAction) (*corev1.Service, error) { return web(2, "web.shop.minilb"), nil })
		name, number := "http", int32(8080)
		s := &sweeper{T: t, Controller: c, client: c.client.(*fake.Clientset), events: &apiServer{}}
		s.node = &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Spec: corev1.NodeSpec{PodCIDRs: []string{"10.244.1.0/24"}}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.168.1.31"}}}}
		s.slice = &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &number}},
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.244.1.7"}, NodeName: &s.node.Name}},
		}
		s.must(s.client.Tracker().Add(s.node.DeepCopy()))
		s.must(s.client.Tracker().Add(s.slice.DeepCopy()))
		c.recorder = newRecorder(s.events.create, s.events.may, s.events.there, "test", duration(t, becoming), c.log)
		c.sweeps.delay = duration(t, sweepDelay)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { c.recorder.run(ctx) })
		running.Go(func() { c.findUnroutable(ctx) })
		running.Go(func() { c.work(ctx) })
		s.must(c.services.Replace(nil, ""))
		f(s)
		cancel()
		c.queue.ShutDown()
		running.Wait()
	})
}

func (s *sweeper) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// serve makes the Service have that port, which leads to whatever its pods call http.
func (s *sweeper) serve(version int, port int32) {
	service := web(version, "web.shop.minilb")
	service.Spec.Ports = []corev1.ServicePort{{Name: "http", Port: port, TargetPort: intstr.FromString("http")}}
	s.must(s.services.Update(service))
}

// sweepCount returns how often all endpoints were read.
func (s *sweeper) sweepCount() (n int) {
	for _, action := range s.client.Actions() {
		if action.Matches("list", "endpointslices") && action.GetNamespace() == metav1.NamespaceAll {
			n++
		}
	}
	return n
}

// swept waits for the next time that they are.
func (s *sweeper) swept() {
	for before := s.sweepCount(); s.sweepCount() == before; {
		time.Sleep(time.Second)
	}
}

// reasons returns those of the Events that were written.
func (s *sweeper) reasons() []string {
	return s.told(func(event *eventsv1.Event) string { return event.Reason })
}

// told returns something of all Events, sorted.
func (s *sweeper) told(of func(*eventsv1.Event) string) (all []string) {
	s.events.mu.Lock()
	defer s.events.mu.Unlock()
	for _, event := range s.events.events {
		all = append(all, of(event))
	}
	slices.Sort(all)
	return all
}

// R3, S5: what goes wrong with a Service that has long been there is told, too.
func TestSweepFindsLater(t *testing.T) {
	const promise = 10 * time.Minute
	soon := duration(t, sweepDelay) + settling + time.Second
	bare := func(s *sweeper) {
		s.node.Spec.PodCIDRs = nil
		_, err := s.client.CoreV1().Nodes().Update(s.Context(), s.node, metav1.UpdateOptions{})
		s.must(err)
	}
	for name, tc := range map[string]struct {
		change func(*sweeper)
		within time.Duration
		want   string
	}{
		"a node loses its podCIDRs": {bare, promise, reasonNoRoutableEndpoint},
		"a Service comes just before the next look": {func(s *sweeper) {
			bare(s)
			time.Sleep(sweepInterval - 2*time.Second)
			other := web(9, "api.shop.minilb")
			other.Name, other.UID = "api", "uid-2"
			s.must(s.services.Add(other))
		}, promise, reasonNoEndpoints + " " + reasonNoRoutableEndpoint},
		"the pods' port changes": {func(s *sweeper) {
			*s.slice.Ports[0].Port = 9090
			_, err := s.client.DiscoveryV1().EndpointSlices("shop").Update(s.Context(), s.slice, metav1.UpdateOptions{})
			s.must(err)
		}, promise, reasonTargetPortMismatch},
		"its pods go": {func(s *sweeper) {
			s.slice.Endpoints = nil
			_, err := s.client.DiscoveryV1().EndpointSlices("shop").Update(s.Context(), s.slice, metav1.UpdateOptions{})
			s.must(err)
		}, promise + time.Minute, reasonNoEndpoints},
		"the Service's port changes": {func(s *sweeper) { s.serve(2, 8888) }, soon, reasonTargetPortMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			sweeping(t, func(s *sweeper) {
				s.serve(1, 8080)
				time.Sleep(25 * time.Minute)
				if tc.within >= promise && s.sweepCount() > 1 {
					s.swept() // the worst moment is just after
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
func TestSweepsAreFew(t *testing.T) {
	most := int(time.Hour/sweepInterval) + 1
	for name, tc := range map[string]struct {
		there  bool
		took   time.Duration
		every  int // minutes
		change func(s *sweeper, i int)
		want   int
	}{
		"no Service of ours":            {false, 0, 1, func(*sweeper, int) {}, 0},
		"a Service that stays":          {true, 0, 20, func(s *sweeper, _ int) { s.must(s.services.Resync()) }, most},
		"one that changes elsewhere":    {true, 0, 20, func(s *sweeper, i int) { s.serve(i+2, 8080) }, most},
		"one that changes all the time": {true, 0, 1, func(s *sweeper, i int) { s.serve(i+2, 8080+int32(i)) }, 59},
		"one whose pods go": {true, 0, 1, func(s *sweeper, i int) {
			if i == 0 {
				s.slice.Endpoints = nil
				_, err := s.client.DiscoveryV1().EndpointSlices("shop").Update(s.Context(), s.slice, metav1.UpdateOptions{})
				s.must(err)
			}
		}, most + 3}, // a minute after that was seen, and 1, 2, 4 and 8 later
		"one that changes all the time among many": {true, time.Second, 1, func(s *sweeper, i int) { s.serve(i+2, 8080+int32(i)) }, most},
	} {
		t.Run(name, func(t *testing.T) {
			sweeping(t, func(s *sweeper) {
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
				if got := s.sweepCount(); got != tc.want {
					t.Errorf("all endpoints were read %d times in an hour, want %d", got, tc.want)
				}
			})
		})
	}
}

// What was found of a Service's endpoints is forgotten when another one has its name that is not ours.
func TestSweepForgets(t *testing.T) {
	sweeping(t, func(s *sweeper) {
		s.serve(1, 8888)
		time.Sleep(time.Minute)
		if got := s.recorder.count(); got != 1 {
			t.Fatalf("%d findings, want one", got)
		}
		foreign := web(2, "")
		*foreign.Spec.LoadBalancerClass, foreign.UID, foreign.Status.LoadBalancer.Ingress = "metallb", "uid-2", nil
		foreign.Annotations = map[string]string{"minilb/host": "a.example"}
		s.events.mu.Lock()
		s.events.gone = map[string]bool{"web": true} // the one that was told of
		s.events.mu.Unlock()
		s.must(s.services.Update(foreign))
		time.Sleep(time.Minute)
		if got := s.reasons(); !slices.Equal(got, []string{reasonAnnotationIgnored, reasonTargetPortMismatch}) || s.recorder.count() != 1 {
			t.Errorf("got events %q and %d findings, want one that is left", got, s.recorder.count())
		}
	})
}

// D18: that a Service has no address is told when it has had none for half a minute, and why; not of pods that are
// replaced, nor of what is Cilium's (E17).
func TestSweepFindsNoEndpoints(t *testing.T) {
	yes, no := true, false
	endpoint := func(ready, serving, terminating *bool) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{Addresses: []string{"10.244.1.7"}, Conditions: discoveryv1.EndpointConditions{Ready: ready, Serving: serving, Terminating: terminating}}
	}
	const no1 = "No address is answered: "
	for _, tc := range []struct {
		name   string
		change func(*sweeper, *corev1.Service)
		want   string
	}{
		{"one that is ready", func(*sweeper, *corev1.Service) {}, ""},
		{"one that serves while it ends", func(s *sweeper, _ *corev1.Service) {
			s.slice.Endpoints = []discoveryv1.Endpoint{endpoint(&no, nil, &yes)}
		}, ""},
		{"one that is not ready", func(s *sweeper, _ *corev1.Service) {
			s.slice.Endpoints = []discoveryv1.Endpoint{endpoint(&no, nil, nil)}
		},
			no1 + "its only endpoint is not ready; kubectl describe of the pod tells which probe fails"},
		{"two that are not ready", func(s *sweeper, _ *corev1.Service) {
			s.slice.Endpoints = []discoveryv1.Endpoint{endpoint(&no, nil, nil), endpoint(&no, &no, &yes)}
		}, no1 + "none of its 2 endpoints is ready; kubectl describe of a pod tells which probe fails"},
		{"no pod", func(s *sweeper, full *corev1.Service) {
			s.slice.Endpoints, full.Spec.Selector = nil, map[string]string{"app": "web"}
		}, no1 + "spec.selector matches no pod that has an address; compare it with the labels of the pods, and see that they run"},
		{"an empty slice", func(s *sweeper, _ *corev1.Service) { s.slice.Endpoints = nil },
			no1 + "it has no selector, and its EndpointSlices have no endpoints; add some, or give it a selector"},
		{"names", func(s *sweeper, _ *corev1.Service) { s.slice.AddressType = discoveryv1.AddressTypeFQDN },
			no1 + "it has no selector, and no EndpointSlice with addresses; give it a selector, or make EndpointSlices with the label kubernetes.io/service-name"},
		{"an ignored slice", func(s *sweeper, _ *corev1.Service) { s.slice.Labels["minilb/ignore"] = "true" },
			no1 + "it has no selector, and no EndpointSlice with addresses; give it a selector, or make EndpointSlices with the label kubernetes.io/service-name"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sweeping(t, func(s *sweeper) {
				full := web(1, "web.shop.minilb")
				tc.change(s, full)
				_, err := s.client.DiscoveryV1().EndpointSlices("shop").Update(s.Context(), s.slice, metav1.UpdateOptions{})
				s.must(err)
				s.must(s.services.Update(full))
				time.Sleep(duration(t, sweepDelay) - time.Second)
				if got := s.reasons(); len(got) > 0 {
					t.Errorf("got events %q before half a minute", got)
				}
				time.Sleep(settling + 3*time.Second)
				if notes := s.told(func(event *eventsv1.Event) string { return event.Note }); strings.Join(notes, "") != tc.want {
					t.Errorf("got %q, want %q", notes, tc.want)
				}
			})
		})
	}
	sweeping(t, func(s *sweeper) { // pods that come late
		ready := s.slice.Endpoints
		for _, endpoints := range [][]discoveryv1.Endpoint{nil, ready} {
			s.slice.Endpoints = endpoints
			_, err := s.client.DiscoveryV1().EndpointSlices("shop").Update(s.Context(), s.slice, metav1.UpdateOptions{})
			s.must(err)
			s.serve(1, 8080)
			time.Sleep(2 * time.Minute)
		}
		if got := s.reasons(); !slices.Equal(got, []string{reasonNoEndpoints, reasonResolved}) {
			t.Errorf("got events %q of pods that come late", got)
		}
	})
	sweeping(t, func(s *sweeper) { // a roll-out at the time of a look
		s.serve(1, 8080)
		time.Sleep(25 * time.Minute)
		s.swept()
		began := time.Now()
		time.Sleep(sweepInterval - time.Second)
		ready := s.slice.Endpoints
		for _, endpoints := range [][]discoveryv1.Endpoint{nil, ready} {
			s.slice.Endpoints = endpoints
			_, err := s.client.DiscoveryV1().EndpointSlices("shop").Update(s.Context(), s.slice, metav1.UpdateOptions{})
			s.must(err)
			time.Sleep(10 * time.Second)
		}
		time.Sleep(sweepInterval)
		if got := s.reasons(); len(got) > 0 {
			t.Errorf("got events %q %v after pods were replaced", got, time.Since(began))
		}
	})
}
