package controller

import (
	"context"
	"errors"
	"fmt"
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

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
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
		client := &rest.Config{Host: "http://192.0.2.1", Dial: func(context.Context, string, string) (net.Conn, error) {
			read.Store(true)
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		}}
		if err := c.WriteEvents(client, []config.Options{{Zones: []string{"minilb."}}}); err != nil {
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

// What is found wrong with claims is recorded, and not all the time.
func TestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newTest(t, func(clienttesting.PatchAction) (*corev1.Service, error) { return nil, nil })
		stopping := make(chan struct{})
		c.stopping, c.recorder = stopping, newRecorder((&apiServer{}).create, (&apiServer{}).may, (&apiServer{}).there, "test", duration(t, becoming), c.log)
		record := c.record("claims 0")
		refused := claim.Result{Kind: "Ingress", Namespace: "shop", Name: "i", Host: "a.ex.org.", Reason: object.ReasonConflict, Text: "it is refused"}
		began := time.Now()
		record(slices.Values([]claim.Result{refused}))
		if c.recorder.count() != 1 || time.Since(began) != judging {
			t.Errorf("%d findings after %v, want one after %v", c.recorder.count(), time.Since(began), judging)
		}
		c.record("claims 1")(slices.Values([]claim.Result{refused}))
		close(stopping)
		began = time.Now()
		record(slices.Values([]claim.Result{}))
		if c.recorder.count() != 1 || time.Since(began) != 0 {
			t.Errorf("%d findings after %v at the end, want that of the other stanza at once", c.recorder.count(), time.Since(began))
		}
	})
}

// Each reason has its Event, with what to do, and an object one for each reason. C2, C6, D17, I10, M2, S17
func TestFindingsOf(t *testing.T) {
	verdict := func(name string, reason object.Reason, text string) claim.Result {
		return claim.Result{Kind: "Ingress", Namespace: "shop", Name: name, UID: "uid", Generation: 3, Reason: reason, Text: text}
	}
	for _, tc := range []struct {
		name     string
		verdicts []claim.Result
		want     []string
	}{
		{"none", nil, nil},
		{"one that counts", []claim.Result{verdict("i", "", ""), verdict("i", "", "host is answered otherwise")}, nil},
		{"conflict", []claim.Result{verdict("i", object.ReasonConflict, "host \"a\" is refused: another namespace claimed it earlier")}, []string{
			`i HostConflict Host "a" is refused: another namespace claimed it earlier; choose another host, or have the other claim removed`}},
		{"reserved", []claim.Result{verdict("i", object.ReasonReserved, "host is refused")}, []string{
			"i HostReserved Host is refused; choose a host that lies below the namespace's own name there, or outside of the zone"}},
		{"withheld", []claim.Result{verdict("i", object.ReasonWithheld, "host \"*.com\" is refused: a claim line that names com would allow it")}, []string{
			`i HostReserved Host "*.com" is refused: a claim line that names com would allow it; choose another host, or have the line added`}},
		{"not allowed", []claim.Result{verdict("i", object.ReasonNotAllowed, "host is refused")}, []string{
			"i HostNotAllowed Host is refused; choose another host, or have the namespace added to the claim line"}},
		{"invalid host", []claim.Result{verdict("i", object.ReasonInvalid, "host \"a b\" is refused: it is no name")}, []string{
			`i InvalidHost Host "a b" is refused: it is no name; correct it, hosts beside it are served`}},
		{"invalid object", []claim.Result{verdict("i", object.ReasonObject, "it is refused, as its kind should be otherwise: x")}, []string{
			"i InvalidObject It is refused, as its kind should be otherwise: x; correct the field"}},
		{"invalid address", []claim.Result{verdict("i", object.ReasonAddress, "status address \"x\" is refused")}, []string{
			`i InvalidObject Status address "x" is refused; have its controller publish an address that clients can reach`}},
		{"protocols", []claim.Result{verdict("i", object.ReasonALPN, "protocol \"x y\" is refused")}, []string{
			`i InvalidObject Protocol "x y" is refused; list protocols such as h2 and http/1.1, separated by commas`}},
		{"too many", []claim.Result{verdict("i", object.ReasonTooMany, "3 hosts are refused: an object may have 1024, of 64 KiB in all")}, []string{
			"i TooManyHosts 3 hosts are refused: an object may have 1024, of 64 KiB in all; remove some, or spread them over more objects and namespaces"}},
		{"what we may not read", []claim.Result{verdict("i", object.ReasonUnread, "host is not served: Gateway shop/gw cannot be read")}, []string{
			"i HostNotServed Host is not served: Gateway shop/gw cannot be read (unsure)"}},
		{"dead", []claim.Result{verdict("i", object.ReasonNoTarget, "host is not served: its status has no address yet")}, []string{
			"i HostNotServed Host is not served: its status has no address yet"}},
		{"notice", []claim.Result{verdict("i", object.ReasonNotice, "host means another"), verdict("i", object.ReasonReserved, "host is refused")}, []string{
			"i HostNotice Host means another", "i HostReserved Host is refused; choose a host that lies below the namespace's own name there, or outside of the zone"}},
		{"annotation", []claim.Result{verdict("i", object.ReasonAnnotation, "annotation x has no effect")}, []string{"i AnnotationIgnored Annotation x has no effect"}},
		{"several", []claim.Result{
			verdict("j", object.ReasonNoTarget, "host c is not served"), verdict("i", object.ReasonNoTarget, "host b is not served"),
			verdict("i", object.ReasonConflict, "host d is refused"), verdict("i", object.ReasonNoTarget, "host a is not served"), verdict("i", object.ReasonNoTarget, "host a is not served")}, []string{
			"i HostConflict Host d is refused; choose another host, or have the other claim removed", "i HostNotServed Host a is not served", "i HostNotServed Host b is not served", "j HostNotServed Host c is not served"}},
	} {
		var got []string
		for _, f := range findingsOf(slices.Values(tc.verdicts)) {
			if f.kind != "Ingress" || f.namespace != "shop" || f.uid != "uid" || f.generation != 3 || f.normal != (f.reason == reasonHostNotice) || f.aspect != "" || f.round != 0 {
				t.Errorf("%s: got %+v", tc.name, f)
			}
			line := f.name + " " + f.reason + " " + f.note
			if f.unsure {
				line += " (unsure)"
			}
			got = append(got, line)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.name, strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
		}
	}

}

// An object has a finding of each thing that is wrong, and one that counts them where there are many. What is
// added changes no other.
func TestEach(t *testing.T) {
	f := badHost("shop", 1)
	var texts []string
	for n := range 7 {
		texts = append(texts, fmt.Sprintf("host %d is refused", n))
		all := f.each(append(texts, texts[0]), "correct it")
		if want := min(n+1, maxNamed+1); len(all) != want {
			t.Errorf("%d findings of %d texts, want %d", len(all), n+1, want)
		}
		if all[0].note != "Host 0 is refused; correct it" || all[0].key() != f.each(texts, "correct it")[0].key() {
			t.Errorf("got %q", all[0].note)
		}
	}
	all, before := f.each(texts, ""), f.each(texts[:6], "")
	if last := all[maxNamed]; last.note != `There is more of this than these Events tell: "minilb check" lists all 7` || last.key() != before[maxNamed].key() {
		t.Errorf("got %q", last.note)
	}

	// A note that is too long keeps what to do; one that just fits is whole.
	const fix = "; correct it"
	for _, n := range []int{maxNote - len(fix), maxNote - len(fix) + 1, 2 * maxNote} {
		got := f.each([]string{strings.Repeat("x", n)}, "correct it")[0].note
		if len(got) > maxNote || !strings.HasSuffix(got, fix) || strings.Contains(got, "…") != (n > maxNote-len(fix)) {
			t.Errorf("%d bytes: got %d of them: %s", n, len(got), got[len(got)-60:])
		}
	}
}

// What the watch of claims says of kinds is told, and what the controller's own watch tells is not told
// twice.
func TestClaimsLogs(t *testing.T) {
	for _, tc := range []struct {
		name   string
		log    func(claims, told source.Logger)
		want   string
		silent bool // at the level that operators read
	}{
		{"news", func(l, _ source.Logger) { l.Infof("ingresses: %s", "can be read again") }, `level=DEBUG msg="ingresses: can be read again"`, true},
		{"a kind", func(l, _ source.Logger) { l.Warningf("ingresses: list and watch is %s", "forbidden") }, `level=INFO msg="no events of some hosts: ingresses: list and watch is forbidden"`, false},
		{"an error", func(l, _ source.Logger) { l.Errorf("%s failed", "it") }, `level=ERROR msg="it failed"`, false},
		{"news of Services", func(_, l source.Logger) { l.Infof("%s", "x") }, "level=DEBUG msg=x", true},
		{"Services", func(_, l source.Logger) { l.Warningf("services: %s", "x") }, `level=DEBUG msg="services: x"`, true},
		{"an error of Services", func(_, l source.Logger) { l.Errorf("%s", "x") }, "level=DEBUG msg=x", true},
	} {
		var out buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		tc.log(claimsLog{log}, toldLog{log})
		if got := out.String(); strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, tc.want+"\n") || tc.silent != strings.Contains(got, "level=DEBUG") {
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
