package events

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What the API server refuses is told once, and holds nothing else up.
func TestRecorderRefused(t *testing.T) {
	forbidden := apierrors.NewForbidden(eventsResource, "", errors.New("no"))
	quota := apierrors.NewForbidden(eventsResource, "", errors.New("exceeded quota: small"))
	leaving := apierrors.NewForbidden(eventsResource, "", errors.New("unable to create new content in namespace"))
	leaving.ErrStatus.Details = &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}}
	record(t, func(t *testing.T, r *Recorder, server *apiServer, log *buffer) {
		server.granted = map[string]bool{"full": true}
		server.turn(func(event *eventsv1.Event) error {
			return map[string]error{"denied": forbidden, "full": quota, "leaving": leaving}[event.Namespace]
		})
		for n, namespace := range []string{"denied", "full", "leaving", "shop"} {
			r.Replace(namespace, []Problem{badHost(namespace, n)})
		}
		time.Sleep(time.Minute)
		if n := server.count("shop"); n != 1 {
			t.Errorf("%d events where they may be written, want one", n)
		}
		if server.asked() != 3+1+1+1 {
			t.Errorf("%d requests, want three where it is forbidden, and one each", server.asked())
		}
		text := log.String()
		if strings.Count(text, "\n") != 2 || !strings.Contains(text, "a policy or a quota of the cluster refuses it") || !strings.Contains(text, "events.events.k8s.io: create is forbidden: apply deploy/kustomize, or grant create on events.events.k8s.io") || !strings.Contains(text, "-events=false") {
			t.Errorf("the log says %s", text)
		}
		server.turn(nil)
		time.Sleep(denialDelay)
		if n := server.count("denied"); n != 1 || !strings.Contains(log.String(), "events can be written again") {
			t.Errorf("%d events once they may be written\n%s", n, log)
		}
	})
}

// Where a quota is full, what waits is not asked for one by one, but is written when there is room again, an hour earlier
// than what has been told; and news, which nobody waits for, keep none of others.
func TestRecorderQuota(t *testing.T) {
	record(t, func(t *testing.T, r *Recorder, server *apiServer, log *buffer) {
		server.granted = map[string]bool{"full": true}
		full := func(event *eventsv1.Event) error {
			if event.Namespace == "full" {
				return apierrors.NewForbidden(eventsResource, "", errors.New("exceeded quota: small"))
			}
			return nil
		}
		server.turn(full)
		var findings []Problem
		for n := range 2 * maxOnce {
			findings = append(findings, badHost("full", n))
			r.Report(badHost("full", 1000+n))
		}
		r.Replace("claims", findings)
		time.Sleep(time.Minute)
		if got := server.asked(); got != 1 {
			t.Errorf("asked %d times where a quota is full, want once", got)
		}
		for n := range 2 * maxOnce {
			r.Report(badHost("full", 2000+n))
		}
		r.Report(badHost("shop", 1))
		time.Sleep(problemDelay)
		if got := server.count("shop"); got != 1 {
			t.Errorf("%d news elsewhere, want one", got)
		}
		time.Sleep(denialDelay)
		if got := server.asked(); got != 3 {
			t.Errorf("asked %d times, want one more", got)
		}
		server.turn(nil)
		time.Sleep(2 * denialDelay)
		if got := server.count("full"); got != len(findings) {
			t.Errorf("%d events once there is room, want %d", got, len(findings))
		}
	})
}

// One Event that a policy refuses keeps none of the others for ever.
func TestRecorderPolicy(t *testing.T) {
	record(t, func(t *testing.T, r *Recorder, server *apiServer, log *buffer) {
		server.granted = map[string]bool{"shop": true}
		server.turn(func(event *eventsv1.Event) error {
			if event.Regarding.Name == "i1" {
				return apierrors.NewForbidden(eventsResource, "", errors.New("the policy says no"))
			}
			return nil
		})
		r.Replace("first", []Problem{badHost("shop", 1)})
		time.Sleep(time.Millisecond)
		r.Replace("claims", []Problem{badHost("shop", 2), badHost("shop", 3)})
		time.Sleep(denialDelay + time.Minute)
		if got := server.count("shop"); got != 2 {
			t.Errorf("%d events beside the one that is refused, want 2", got)
		}
	})
}

// A webhook that fails for one namespace, or a policy that refuses what is said there, is no matter of
// the others.
func TestRecorderWebhook(t *testing.T) {
	record(t, func(t *testing.T, r *Recorder, server *apiServer, log *buffer) {
		server.granted = map[string]bool{"policed": true}
		server.turn(func(event *eventsv1.Event) error {
			switch {
			case strings.HasPrefix(event.Namespace, "failing"):
				return apierrors.NewInternalError(errors.New("failed calling webhook"))
			case event.Namespace == "policed":
				return apierrors.NewForbidden(eventsResource, event.Name, errors.New(`admission webhook "x" denied the request`))
			}
			return nil
		})
		all := []string{"policed", "shop", "infra"}
		for n := range 8 { // some of them come before the others
			all = append(all, fmt.Sprintf("failing%d", n))
		}
		for n, namespace := range all {
			r.Replace(namespace, []Problem{badHost(namespace, n)})
		}
		r.Replace("more", []Problem{badHost("policed", 100)}) // which is not said again
		time.Sleep(problemDelay + 2*retryDelay + time.Second)
		if server.count("shop") != 1 || server.count("infra") != 1 {
			t.Errorf("%d and %d events where they may be written, want one each", server.count("shop"), server.count("infra"))
		}
		if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "a policy or webhook of the cluster refuses it") || strings.Contains(text, "grant create") {
			t.Errorf("the log says %s", text)
		}
	})
}

// An API server that is away is asked again in a while, and no more often for there being more to say.
func TestRecorderOutage(t *testing.T) {
	record(t, func(t *testing.T, r *Recorder, server *apiServer, log *buffer) {
		server.turn(func(*eventsv1.Event) error { return errors.New("connection refused") })
		r.Replace("claims", []Problem{badHost("shop", 1), badHost("shop", 2), badHost("infra", 3)})
		time.Sleep(problemDelay + time.Minute + time.Second)
		if server.asked() != 7 {
			t.Errorf("asked %d times in a minute, want 7", server.asked())
		}
		server.turn(nil)
		time.Sleep(retryDelay)
		if n := server.count(""); n != 3 || log.String() != "" {
			t.Errorf("%d events after an outage, want three\n%s", n, log)
		}
	})
}
