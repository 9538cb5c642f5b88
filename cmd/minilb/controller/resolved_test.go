package controller

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// resolutions returns the Events that say that something was put right.
func (a *apiServer) resolutions() (all []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, event := range a.events {
		if event.Reason == reasonResolved {
			all = append(all, event.Regarding.Name+" "+event.Note)
		}
	}
	slices.Sort(all)
	return all
}

// expectNothing fails the test if something is remembered.
func (r *recorder) expectNothing(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.troubles)+len(r.told)+len(r.namespaces)+len(r.topics)+r.news != 0 {
		t.Errorf("%d troubles, %d findings, %d namespaces, %d topics and %d news are remembered", len(r.troubles), len(r.told), len(r.namespaces), len(r.topics), r.news)
	}
}

// What was told and is none any more is told to be none, as its Event stays; when it comes back it is told again, later
// than that, and both no more than once an hour.
func TestRecorderResolved(t *testing.T) {
	record(t, func(t *testing.T, r *recorder, server *apiServer, log *buffer) {
		f, fleeting, notice := badHost("shop", 1), badHost("shop", 2), badHost("shop", 3)
		notice.normal = true
		r.replace("claims", []finding{f, notice})
		time.Sleep(2 * settling)
		r.replace("claims", []finding{f, notice, fleeting})
		time.Sleep(settling / 2)
		for n := range 3 {
			r.replace("claims", nil)
			time.Sleep(r.becoming - time.Second)
			if got, want := server.count(""), 2+2*n; got != want {
				t.Fatalf("%d events just after it was put right, want %d", got, want)
			}
			time.Sleep(2 * time.Second)
			if got, want := server.count(""), 2+1+2*n; got != want {
				t.Fatalf("%d events once it was put right, want %d", got, want)
			}
			f.generation++ // or not
			r.replace("claims", []finding{f})
			r.replace("claims", []finding{f})
			time.Sleep(2 * settling)
			if got, want := server.count(""), 2+2+2*n; got != want {
				t.Fatalf("%d events once it was back, want %d", got, want)
			}
			time.Sleep(renewal)
		}
		for _, event := range server.events {
			if resolved := event.Reason == reasonResolved; resolved && (event.Type != corev1.EventTypeNormal || event.Note != "InvalidHost: no longer so" || event.Regarding.Name != "i1") {
				t.Errorf("got %+v", event)
			}
		}
		again := f
		again.generation++
		r.replace("claims", []finding{again})
		time.Sleep(2 * settling)
		if got := server.count(""); got != 9 {
			t.Errorf("%d events of another generation, want 9: nothing was put right", got)
		}
		r.replace("claims", nil)
		time.Sleep(2 * renewal)
		r.expectNothing(t)
	})
}

// What changes of that which is wrong for one reason puts nothing right.
func TestRecorderStillSo(t *testing.T) {
	texts := func(all ...string) []finding { return badHost("shop", 1).each(all, "") }
	unread := badHost("shop", 1)
	unread.unsure = true
	for name, next := range map[string][]finding{
		"another text":                    texts("b"),
		"one goes":                        texts("a", "c"),
		"a sixth that comes first":        texts("0", "a", "b", "c", "d", "e"),
		"nobody can tell":                 {unread},
		"of another one, nobody can tell": append(texts("x"), unread),
	} {
		record(t, func(t *testing.T, r *recorder, server *apiServer, log *buffer) {
			r.replace("claims", texts("a", "b", "c", "d", "e"))
			time.Sleep(2 * settling)
			r.replace("claims", next)
			time.Sleep(2 * renewal)
			if got := server.resolutions(); len(got) > 0 {
				t.Errorf("%s: got %q", name, got)
			}
			r.replace("claims", nil)
			time.Sleep(2 * time.Minute)
			if got := server.resolutions(); len(got) != 1 {
				t.Errorf("%s: got %q at the end", name, got)
			}
		})
	}
	record(t, func(t *testing.T, r *recorder, server *apiServer, log *buffer) { // for a moment
		for range 3 {
			r.replace("claims", texts("a"))
			time.Sleep(time.Minute)
			r.replace("claims", nil)
			time.Sleep(r.becoming - time.Second)
		}
		r.replace("claims", texts("a"))
		time.Sleep(2 * time.Minute)
		if got := server.count(""); got != 1 || r.count() != 1 {
			t.Errorf("%d events and %d findings of what was right for a moment, want one", got, r.count())
		}
	})
	record(t, func(t *testing.T, r *recorder, server *apiServer, log *buffer) { // where there is no room for more
		var findings []finding
		for n := range maxNamespaceFindings {
			findings = append(findings, badHost("shop", n))
		}
		r.replace("claims", findings)
		time.Sleep(maxNamespaceFindings * time.Second)
		before := server.count("")
		findings[0].note = "Another host is refused"
		r.replace("claims", findings)
		time.Sleep(2 * time.Minute)
		if got := server.resolutions(); len(got) > 0 || server.count("") != before+1 || before != len(findings) {
			t.Errorf("%d and %d events, %q", before, server.count("")-before, got)
		}
	})
	record(t, func(t *testing.T, r *recorder, server *apiServer, log *buffer) {
		r.replace("claims", []finding{unread})
		time.Sleep(time.Minute)
		if server.asked() != 0 || r.count() != 0 {
			t.Errorf("%d events and %d findings of what nobody can tell", server.asked(), r.count())
		}
	})
}

// What comes and goes is told once an hour, each.
func TestRecorderFlapping(t *testing.T) {
	record(t, func(t *testing.T, r *recorder, server *apiServer, log *buffer) {
		f := badHost("shop", 1)
		for range 28 {
			r.replace("claims", []finding{f})
			time.Sleep(time.Minute)
			r.replace("claims", nil)
			time.Sleep(time.Minute)
		}
		if got := server.resolutions(); len(got) != 1 || server.count("") != 3 {
			t.Errorf("got %d events in an hour, %q", server.count(""), got)
		}
		time.Sleep(10 * time.Minute)
		if got := server.resolutions(); len(got) != 2 {
			t.Errorf("got %q after an hour", got)
		}
	})
}

// Of many that are put right at once each is told, and more than one reason of an object, though both have more than is
// named; what is news finds room after that.
func TestRecorderResolvedMany(t *testing.T) {
	record(t, func(t *testing.T, r *recorder, server *apiServer, log *buffer) {
		const objects = 2 * maxNews
		var findings []finding
		for n := range objects {
			for _, reason := range []string{reasonInvalidHost, reasonHostReserved} {
				f := badHost(fmt.Sprintf("ns%d", n), n)
				f.reason = reason
				findings = append(findings, f.each(strings.Split("abcdef", ""), "")...)
			}
		}
		r.replace("claims", findings)
		time.Sleep(5 * time.Minute)
		r.replace("claims", nil)
		time.Sleep(renewal)
		if got := len(server.resolutions()); got != 2*objects {
			t.Errorf("%d of %d were told", got, 2*objects)
		}
		time.Sleep(renewal)
		r.expectNothing(t)
	})
}

// Nobody has put right what is gone.
func TestRecorderResolvedGone(t *testing.T) {
	record(t, func(t *testing.T, r *recorder, server *apiServer, log *buffer) {
		r.replace("claims", []finding{badHost("shop", 1), badHost("shop", 2)})
		time.Sleep(2 * settling)
		server.mu.Lock()
		server.gone, server.away = map[string]bool{"i1": true}, errors.New("connection refused")
		server.mu.Unlock()
		r.replace("claims", nil)
		time.Sleep(2 * time.Minute)
		if got := server.resolutions(); len(got) > 0 || r.count() != 2 {
			t.Errorf("got %q and %d findings before that can be told", got, r.count())
		}
		server.mu.Lock()
		server.away = nil
		server.mu.Unlock()
		time.Sleep(time.Minute)
		if got := server.resolutions(); !slices.Equal(got, []string{"i2 InvalidHost: no longer so"}) || r.count() != 0 {
			t.Errorf("got %q and %d findings", got, r.count())
		}
	})
}

// What changes while its Event is being written is told as it is.
func TestRecorderResolvedMeanwhile(t *testing.T) {
	record(t, func(t *testing.T, r *recorder, server *apiServer, log *buffer) {
		f := badHost("shop", 1)
		meanwhile := map[string][]finding{reasonInvalidHost: nil, reasonResolved: {f}}
		server.turn(func(event *eventsv1.Event) error {
			next, any := meanwhile[event.Reason]
			if delete(meanwhile, event.Reason); any {
				r.replace("claims", next)
			}
			return nil
		})
		r.replace("claims", []finding{f})
		time.Sleep(r.becoming + 2*settling)
		if got := server.resolutions(); len(got) != 1 {
			t.Fatalf("got %q of what was put right meanwhile", got)
		}
		r.replace("claims", []finding{f}) // as the next look at it finds
		time.Sleep(time.Minute)
		if got := server.count(""); got != 3 || r.count() != 1 {
			t.Errorf("%d events and %d findings of what came back meanwhile, want 3 and 1", got, r.count())
		}
	})
}

// That of an end which is refused is told later.
func TestRecorderResolvedRefused(t *testing.T) {
	record(t, func(t *testing.T, r *recorder, server *apiServer, log *buffer) {
		r.replace("claims", []finding{badHost("shop", 1)})
		time.Sleep(2 * settling)
		server.granted = map[string]bool{"shop": true}
		server.turn(func(*eventsv1.Event) error {
			return apierrors.NewForbidden(eventsResource, "", errors.New("exceeded quota"))
		})
		r.replace("claims", nil)
		time.Sleep(time.Minute)
		server.turn(nil)
		time.Sleep(2 * renewal)
		if got := server.resolutions(); len(got) != 1 || r.count() != 0 {
			t.Errorf("got %q and %d findings", got, r.count())
		}
	})
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
		sweeping(t, func(s *sweeper) {
			s.recorder.there = s.isThere
			full := near(func(*corev1.Service) {})
			s.must(s.services.Add(full))
			time.Sleep(2 * settling)
			if got := s.reasons(); !slices.Equal(got, []string{reasonWrongClass}) {
				t.Fatalf("%s: got events %q", name, got)
			}
			if tc.now != nil {
				s.must(s.client.Tracker().Add(tc.now))
			}
			s.must(s.services.Delete(full))
			time.Sleep(time.Minute)
			if got := len(s.events.resolutions()); got != tc.want || s.recorder.count() != 0 {
				t.Errorf("%s: got events %q and %d findings", name, s.reasons(), s.recorder.count())
			}
		})
	}
}

// What is wrong with the pods of a Service, or with how they are reached, is so while it has none.
func TestSweepStillSo(t *testing.T) {
	for name, lose := range map[string]func(s *sweeper){
		"none": func(s *sweeper) { s.slice.Endpoints = nil },
		"not ready": func(s *sweeper) {
			no := false
			s.slice.Endpoints[0].Conditions.Ready = &no
		},
	} {
		sweeping(t, func(s *sweeper) {
			update := func() {
				_, err := s.client.DiscoveryV1().EndpointSlices("shop").Update(s.Context(), s.slice, metav1.UpdateOptions{})
				s.must(err)
			}
			s.slice.Endpoints[0].Addresses[0] = "10.0.0.9"
			update()
			s.serve(1, 8888)
			time.Sleep(2 * time.Minute)
			want := []string{reasonNoRoutableEndpoint, reasonTargetPortMismatch}
			if got := s.reasons(); !slices.Equal(got, want) {
				t.Fatalf("%s: got events %q", name, got)
			}
			before := s.slice.DeepCopy()
			lose(s)
			update()
			time.Sleep(2 * sweepInterval)
			if got := s.events.resolutions(); len(got) > 0 || s.recorder.count() != 3 {
				t.Errorf("%s: got %q, findings %q", name, got, s.recorder.found())
			}
			s.slice = before
			update()
			time.Sleep(sweepInterval + time.Minute)
			if got := s.events.resolutions(); !slices.Equal(got, []string{"web NoEndpoints: no longer so"}) {
				t.Errorf("%s: got %q", name, got)
			}
			s.slice.Endpoints[0].Addresses[0], *s.slice.Ports[0].Port = "10.244.1.7", 8888
			update()
			time.Sleep(sweepInterval + time.Minute)
			if got := s.events.resolutions(); len(got) != 3 {
				t.Errorf("%s: got %q at the end", name, got)
			}
		})
	}
}
