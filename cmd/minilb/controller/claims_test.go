package controller

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"

	"github.com/minilb/minilb/plugin/minilb/source"
)

// Nothing is read for Events before the Services are known, whose statuses come first.
func TestClaimsAtLeisure(t *testing.T) {
	handlers := utilruntime.ErrorHandlers
	utilruntime.ErrorHandlers = nil // they sleep by a clock that is not the bubble's
	t.Cleanup(func() { utilruntime.ErrorHandlers = handlers })
	synctest.Test(t, func(t *testing.T) {
		c, log := newTest(t, func(clienttesting.PatchAction) (*corev1.Service, error) {
			return nil, errors.New("there is no Service to write")
		})
		var known, read atomic.Bool
		c.client.(*fake.Clientset).PrependReactor("list", "services", func(clienttesting.Action) (bool, runtime.Object, error) {
			if !known.Load() {
				return true, nil, apierrors.NewServiceUnavailable("starting")
			}
			return true, &corev1.ServiceList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}, nil
		})
		config := &rest.Config{Host: "http://192.0.2.1", Dial: func(context.Context, string, string) (net.Conn, error) {
			read.Store(true)
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		}}
		if err := c.WriteEvents(config, []source.Options{{Zones: []string{"minilb."}}}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- c.Run(ctx) }()
		time.Sleep(time.Minute)
		if read.Load() {
			t.Error("the rest was read before Services were known")
		}
		known.Store(true)
		time.Sleep(time.Minute)
		if !read.Load() {
			t.Errorf("nothing is read for Events\n%s", log)
		}
		cancel()
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

// Claims are judged as a DNS server judges them, without what only answers take, and not all the time.
func TestJudgingOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newTest(t, func(clienttesting.PatchAction) (*corev1.Service, error) { return nil, nil })
		stopping := make(chan struct{})
		c.stopping, c.recorder = stopping, newRecorder((&apiServer{}).create, "test", duration(t, becoming), c.log)
		given := source.Options{Zones: []string{"minilb."}, Class: "x", HTTPS: true, Probe: time.Second, Reachable: func(string) bool { return false }}
		got := c.judgingOptions("claims 0", given)
		if !got.Unaddressed || got.HTTPS || got.Probe != 0 || !got.Reachable("a.example.") || got.Class != "x" || len(got.Zones) != 1 {
			t.Errorf("got %+v", got)
		}
		got.Observe(time.Second)
		refused := source.Verdict{Kind: "Ingress", Namespace: "shop", Name: "i", Host: "a.ex.org.", Reason: source.ReasonConflict, Text: "it is refused"}
		began := time.Now()
		got.Judged(slices.Values([]source.Verdict{refused}))
		if c.recorder.count() != 1 || time.Since(began) != judging {
			t.Errorf("%d findings after %v, want one after %v", c.recorder.count(), time.Since(began), judging)
		}
		c.judgingOptions("claims 1", given).Judged(slices.Values([]source.Verdict{refused}))
		close(stopping)
		began = time.Now()
		got.Judged(slices.Values([]source.Verdict{}))
		if c.recorder.count() != 1 || time.Since(began) != 0 {
			t.Errorf("%d findings after %v at the end, want that of the other stanza at once", c.recorder.count(), time.Since(began))
		}
	})
}

// Each reason has its Event, with what to do, and an object one for each reason. C2, C6, D17, I10, M2, S17
func TestFindingsOf(t *testing.T) {
	verdict := func(name, reason, text string) source.Verdict {
		return source.Verdict{Kind: "Ingress", Namespace: "shop", Name: name, UID: "uid", Generation: 3, Reason: reason, Text: text}
	}
	for _, tc := range []struct {
		name     string
		verdicts []source.Verdict
		want     []string
	}{
		{"none", nil, nil},
		{"one that counts", []source.Verdict{verdict("i", "", ""), verdict("i", "", "host is answered otherwise")}, nil},
		{"conflict", []source.Verdict{verdict("i", source.ReasonConflict, "host \"a\" is refused: another namespace claimed it earlier")}, []string{
			`i HostConflict Host "a" is refused: another namespace claimed it earlier; choose another host, or have the other claim removed`}},
		{"reserved", []source.Verdict{verdict("i", source.ReasonReserved, "host is refused")}, []string{
			"i HostReserved Host is refused; choose a host that lies below the namespace's own name there, or outside of the zone"}},
		{"not allowed", []source.Verdict{verdict("i", source.ReasonNotAllowed, "host is refused")}, []string{
			"i HostNotAllowed Host is refused; choose another host, or have the namespace added to the claim line"}},
		{"invalid host", []source.Verdict{verdict("i", source.ReasonInvalid, "host \"a b\" is refused: it is no name")}, []string{
			`i InvalidHost Host "a b" is refused: it is no name; correct it, hosts beside it are served`}},
		{"invalid object", []source.Verdict{verdict("i", source.ReasonObject, "it is refused, as its kind should be otherwise: x")}, []string{
			"i InvalidObject It is refused, as its kind should be otherwise: x; correct the field"}},
		{"dead", []source.Verdict{verdict("i", source.ReasonDead, "host is not served: its status has no address yet")}, []string{
			"i HostNotServed Host is not served: its status has no address yet"}},
		{"notice", []source.Verdict{verdict("i", source.ReasonNotice, "host means another"), verdict("i", source.ReasonReserved, "host is refused")}, []string{
			"i HostNotice Host means another", "i HostReserved Host is refused; choose a host that lies below the namespace's own name there, or outside of the zone"}},
		{"annotation", []source.Verdict{verdict("i", source.ReasonAnnotation, "annotation x has no effect")}, []string{"i AnnotationIgnored Annotation x has no effect"}},
		{"several", []source.Verdict{
			verdict("j", source.ReasonDead, "host c is not served"), verdict("i", source.ReasonDead, "host b is not served"),
			verdict("i", source.ReasonConflict, "host d is refused"), verdict("i", source.ReasonDead, "host a is not served"), verdict("i", source.ReasonDead, "host a is not served")}, []string{
			"i HostConflict Host d is refused; choose another host, or have the other claim removed", "i HostNotServed Host a is not served, host b is not served", "j HostNotServed Host c is not served"}},
	} {
		var got []string
		for _, f := range findingsOf(slices.Values(tc.verdicts)) {
			if f.kind != "Ingress" || f.namespace != "shop" || f.uid != "uid" || f.generation != 3 || f.normal != (f.reason == reasonHostNotice) || f.aspect != "" {
				t.Errorf("%s: got %+v", tc.name, f)
			}
			got = append(got, f.name+" "+f.reason+" "+f.note)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.name, strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
		}
	}

	// A note that is too long keeps what to do; one that just fits is whole.
	const fix = "; correct it, hosts beside it are served"
	for _, n := range []int{maxNote - len(fix), maxNote - len(fix) + 1, 2 * maxNote} {
		got := note([]string{strings.Repeat("x", n)}, strings.TrimPrefix(fix, "; "))
		if len(got) > maxNote || !strings.HasSuffix(got, fix) || strings.Contains(got, "…") != (n > maxNote-len(fix)) {
			t.Errorf("%d bytes: got %d of them: %s", n, len(got), got[len(got)-60:])
		}
	}
}

// What the watch of claims says of kinds is told, and what the controller's own watch tells is not told
// twice.
func TestClaimsLog(t *testing.T) {
	for _, tc := range []struct {
		name string
		log  func(claimsLog)
		want string
	}{
		{"news", func(l claimsLog) { l.Infof("ingresses: %s", "can be read again") }, `level=DEBUG msg="ingresses: can be read again"`},
		{"services", func(l claimsLog) { l.Warningf("services: list and watch is forbidden: %s", "x") }, `level=DEBUG msg="services: list and watch is forbidden: x"`},
		{"unauthorized", func(l claimsLog) { l.Warningf("the API server does not accept our credentials") }, `level=DEBUG msg="the API server does not accept our credentials"`},
		{"away", func(l claimsLog) { l.Warningf("cannot reach the API server at x") }, `level=DEBUG msg="cannot reach the API server at x"`},
		{"another kind", func(l claimsLog) { l.Warningf("ingresses: list and watch is forbidden; serving the last known state") },
			`level=INFO msg="no events of some hosts: ingresses: list and watch is forbidden"`},
		{"services elsewhere", func(l claimsLog) { l.Warningf("listenersets: services: x") }, `level=INFO msg="no events of some hosts: listenersets: services: x"`},
		{"an error", func(l claimsLog) { l.Errorf("%s failed", "it") }, `level=ERROR msg="it failed"`},
	} {
		var out buffer
		tc.log(claimsLog{slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		if got := out.String(); strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, tc.want+"\n") {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

// What hosts are judged by must be a cluster that can be talked to.
func TestWriteEventsFails(t *testing.T) {
	c, _ := newTest(t, func(clienttesting.PatchAction) (*corev1.Service, error) { return nil, nil })
	if err := c.WriteEvents(&rest.Config{Host: "http://192.0.2.1", TLSClientConfig: rest.TLSClientConfig{CAFile: "missing"}}, nil); err == nil || !strings.HasPrefix(err.Error(), "configure the client: ") {
		t.Errorf("got error %v", err)
	}
}
