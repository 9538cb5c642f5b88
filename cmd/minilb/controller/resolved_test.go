package controller

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/cmd/minilb/controller/events"
)

// resolutions returns the Events that report the end of a problem.
func (s *scanner) resolutions() []string {
	all := s.told(func(event *eventsv1.Event) string {
		if event.Reason == events.Resolved {
			return event.Regarding.Name + " " + event.Note
		}
		return ""
	})
	return slices.DeleteFunc(all, func(text string) bool { return text == "" })
}

// A Service that is of no interest any more, as the Event advised, is told of, and one that is gone is not.
func TestServiceResolved(t *testing.T) {
	near := func(change func(*corev1.Service)) *corev1.Service {
		s := web(1, "")
		s.Status.LoadBalancer.Ingress, *s.Spec.LoadBalancerClass = nil, "mini-lb"
		change(s)
		return s
	}
	for name, tc := range map[string]struct {
		now  *corev1.Service
		want int
	}{
		"of another type": {near(func(s *corev1.Service) { s.Spec.Type, s.Spec.LoadBalancerClass = corev1.ServiceTypeClusterIP, nil }), 1},
		"gone":            {nil, 0},
		"going":           {near(func(s *corev1.Service) { s.DeletionTimestamp, s.Finalizers = &metav1.Time{}, []string{"x"} }), 0},
		"another's":       {near(func(s *corev1.Service) { s.UID = "uid-2" }), 0},
	} {
		scanning(t, func(s *scanner) {
			full := near(func(*corev1.Service) {})
			s.must(s.services[0].Add(full))
			time.Sleep(2 * problemDelay)
			if got := s.reasons(); !slices.Equal(got, []string{events.WrongClass}) {
				t.Fatalf("%s: got events %q", name, got)
			}
			if tc.now != nil {
				s.must(s.client.Tracker().Add(tc.now))
			}
			s.must(s.services[0].Delete(full))
			time.Sleep(time.Minute)
			if got := len(s.resolutions()); got != tc.want || len(s.recorder.Problems()) != 0 {
				t.Errorf("%s: got events %q and %d findings", name, s.reasons(), len(s.recorder.Problems()))
			}
		})
	}
}

// What is wrong with the pods of a Service, or with how they are reached, is so while it has none.
func TestScanStillSo(t *testing.T) {
	for name, lose := range map[string]func(s *scanner){
		"none": func(s *scanner) { s.slice.Endpoints = nil },
		"not ready": func(s *scanner) {
			no := false
			s.slice.Endpoints[0].Conditions.Ready = &no
		},
	} {
		scanning(t, func(s *scanner) {
			s.must(s.client.Tracker().Add(web(1, "")))
			update := func() {
				_, err := s.client.DiscoveryV1().EndpointSlices("shop").Update(s.Context(), s.slice, metav1.UpdateOptions{})
				s.must(err)
			}
			s.slice.Endpoints[0].Addresses[0] = "10.0.0.9"
			update()
			s.serve(1, 8888)
			time.Sleep(2 * time.Minute)
			want := []string{events.NoRoutableEndpoint, events.TargetPortMismatch}
			if got := s.reasons(); !slices.Equal(got, want) {
				t.Fatalf("%s: got events %q", name, got)
			}
			before := s.slice.DeepCopy()
			lose(s)
			update()
			time.Sleep(2 * scanInterval)
			if got := s.resolutions(); len(got) > 0 || len(s.recorder.Problems()) != 3 {
				t.Errorf("%s: got %q, findings %q", name, got, found(s.recorder))
			}
			s.slice = before
			update()
			time.Sleep(scanInterval + time.Minute)
			if got := s.resolutions(); !slices.Equal(got, []string{"web NoEndpoints: no longer so"}) {
				t.Errorf("%s: got %q", name, got)
			}
			s.slice.Endpoints[0].Addresses[0], *s.slice.Ports[0].Port = "10.244.1.7", 8888
			update()
			time.Sleep(scanInterval + time.Minute)
			if got := s.resolutions(); len(got) != 3 {
				t.Errorf("%s: got %q at the end", name, got)
			}
		})
	}
}
