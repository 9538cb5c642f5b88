package controller

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// Statuses and claims, of all namespaces and of some, cost the API server one watch of Services.
func TestOneWatchOfServices(t *testing.T) {
	var mu sync.Mutex
	requests := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		watching := r.URL.Query().Get("watch") != ""
		if strings.HasSuffix(r.URL.Path, "/services") {
			mu.Lock()
			requests[fmt.Sprintf("%s %s watch=%v", r.URL.Path, r.URL.Query().Get("labelSelector"), watching)]++
			mu.Unlock()
		}
		switch {
		case watching:
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case r.URL.Path == "/api/v1/services":
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}`)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	blocks := []config.Options{{Zones: []string{"minilb."}, Class: "minilb", Services: true}, {Zones: []string{"lan."}, Class: "minilb", Services: true, Namespaces: []string{"shop"}}}
	config := &rest.Config{Host: server.URL}
	c, err := New(kubernetes.NewForConfigOrDie(config), config, Options{Domain: "minilb", Class: "minilb", Claims: blocks}, slog.New(slog.DiscardHandler), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- c.Run(ctx) }()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline) && !c.services.known(); {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond)
	cancel()
	if err := <-result; err != nil {
		t.Error(err)
	}
	if want := map[string]int{
		"/api/v1/services  watch=false": 1, "/api/v1/services  watch=true": 1,
		"/api/v1/services minilb/expose=true watch=false": 1, "/api/v1/services minilb/expose=true watch=true": 1,
	}; !maps.Equal(requests, want) {
		t.Errorf("got requests %v, want %v", requests, want)
	}
}

// Whoever checks claims never waits for what is made of the results: the latest are recorded, once a second at most, of each
// plugin block by itself.
func TestRecordClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := recording(t)
		verdict := func(name string, reason object.Reason) object.Problem {
			return object.Problem{Ref: &object.Ref{Kind: "Ingress", Namespace: "shop", Name: name}, Host: "a.ex.org.", Reason: reason, Text: "it is refused"}
		}
		results, others := make(claimResults, 1), make(claimResults, 1)
		began := time.Now()
		for n := range 3 {
			results.put([]object.Problem{verdict(fmt.Sprint(n), object.ReasonConflict), verdict("counts", "")})
		}
		others.put([]object.Problem{verdict("2", object.ReasonConflict)})
		if time.Since(began) != 0 || len(results) != 1 {
			t.Errorf("waited %v for who takes the results, of which %d are left", time.Since(began), len(results))
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { c.recordClaims(ctx, "claims 0", results) })
		running.Go(func() { c.recordClaims(ctx, "claims 1", others) })
		synctest.Wait()
		expect := func(step string, want ...string) {
			t.Helper()
			synctest.Wait()
			var got []string
			for _, p := range c.recorder.Problems() {
				got = append(got, p.Name+" "+p.Reason)
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s: got %q, want %q", step, got, want)
			}
		}
		expect("at first", "2 HostConflict")
		results.put([]object.Problem{verdict("3", object.ReasonInvalid)})
		expect("at once", "2 HostConflict")
		time.Sleep(recordPause)
		expect("a second later", "2 HostConflict", "3 InvalidHost")
		others.put([]object.Problem{})
		time.Sleep(recordPause)
		expect("when the other block has none", "3 InvalidHost")
		cancel()
		running.Wait()
	})
}

// Each reason has its Event, with what to do, and an object one for each reason. C2, C6, D17, I10, M2, S17
func TestClaimProblems(t *testing.T) {
	verdict := func(name string, reason object.Reason, text string) object.Problem {
		return object.Problem{Ref: &object.Ref{Kind: "Ingress", Namespace: "shop", Name: name, UID: "uid", Generation: 3}, Reason: reason, Text: text}
	}
	for _, tc := range []struct {
		name     string
		verdicts []object.Problem
		want     []string
	}{
		{"none", nil, nil},
		{"one that counts", []object.Problem{verdict("i", "", ""), verdict("i", "", "host is answered otherwise")}, nil},
		{"conflict", []object.Problem{verdict("i", object.ReasonConflict, "host \"a\" is refused: another namespace claimed it earlier")}, []string{
			`i HostConflict Host "a" is refused: another namespace claimed it earlier; choose another host, or have the other claim removed`}},
		{"reserved", []object.Problem{verdict("i", object.ReasonReserved, "host is refused")}, []string{
			"i HostReserved Host is refused; choose a host that lies below the namespace's own name there, or outside of the zone"}},
		{"withheld", []object.Problem{verdict("i", object.ReasonWithheld, "host \"*.com\" is refused: a claim line that names com would allow it")}, []string{
			`i HostReserved Host "*.com" is refused: a claim line that names com would allow it; choose another host, or have the line added`}},
		{"not allowed", []object.Problem{verdict("i", object.ReasonNotAllowed, "host is refused")}, []string{
			"i HostNotAllowed Host is refused; choose another host, or have the namespace added to the claim line"}},
		{"invalid host", []object.Problem{verdict("i", object.ReasonInvalid, "host \"a b\" is refused: it is no name")}, []string{
			`i InvalidHost Host "a b" is refused: it is no name; correct it, hosts beside it are served`}},
		{"invalid object", []object.Problem{verdict("i", object.ReasonObject, "it is refused, as its kind should be otherwise: x")}, []string{
			"i InvalidObject It is refused, as its kind should be otherwise: x; correct the field: \"kubectl explain\" describes it"}},
		{"invalid address", []object.Problem{verdict("i", object.ReasonAddress, "status address \"x\" is refused")}, []string{
			`i InvalidObject Status address "x" is refused; have its controller publish an address that clients can reach`}},
		{"protocols", []object.Problem{verdict("i", object.ReasonALPN, "protocol \"x y\" is refused")}, []string{
			`i InvalidObject Protocol "x y" is refused; list protocols such as h2 and http/1.1, separated by commas`}},
		{"too many", []object.Problem{verdict("i", object.ReasonTooMany, "3 hosts are refused: an object may have 1024, of 64 KiB in all")}, []string{
			"i TooManyHosts 3 hosts are refused: an object may have 1024, of 64 KiB in all; remove some, or spread them over more objects and namespaces"}},
		{"what we may not read", []object.Problem{verdict("i", object.ReasonUnread, "host is not served: Gateway shop/gw cannot be read")}, []string{
			"i HostNotServed Host is not served: Gateway shop/gw cannot be read (unsure)"}},
		{"dead", []object.Problem{verdict("i", object.ReasonNoTarget, "host is not served: its status has no address yet")}, []string{
			"i HostNotServed Host is not served: its status has no address yet"}},
		{"notice", []object.Problem{verdict("i", object.ReasonNotice, "host means another"), verdict("i", object.ReasonReserved, "host is refused")}, []string{
			"i HostNotice Host means another", "i HostReserved Host is refused; choose a host that lies below the namespace's own name there, or outside of the zone"}},
		{"annotation", []object.Problem{verdict("i", object.ReasonAnnotation, "annotation x has no effect")}, []string{"i AnnotationIgnored Annotation x has no effect"}},
		{"several", []object.Problem{
			verdict("j", object.ReasonNoTarget, "host c is not served"), verdict("i", object.ReasonNoTarget, "host b is not served"),
			verdict("i", object.ReasonConflict, "host d is refused"), verdict("i", object.ReasonNoTarget, "host a is not served"), verdict("i", object.ReasonNoTarget, "host a is not served")}, []string{
			"i HostConflict Host d is refused; choose another host, or have the other claim removed", "i HostNotServed Host a is not served", "i HostNotServed Host b is not served", "j HostNotServed Host c is not served"}},
	} {
		var got []string
		results := make(claimResults, 1)
		results.put(tc.verdicts)
		for _, p := range claimProblems(<-results) {
			if p.Kind != "Ingress" || p.Namespace != "shop" || p.UID != "uid" || p.Generation != 3 || p.Normal != (p.Reason == "HostNotice") || p.Aspect != "" {
				t.Errorf("%s: got %+v", tc.name, p)
			}
			line := p.Name + " " + p.Reason + " " + p.Note
			if p.Unknown {
				line += " (unsure)"
			}
			got = append(got, line)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.name, strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
		}
	}

}

// What the watch of claims says of kinds is told, and what the controller's own watch tells is not told
// twice.
func TestClaimsLogs(t *testing.T) {
	for _, tc := range []struct {
		name   string
		log    func(claims, told informer.Logger)
		want   string
		silent bool // at the level that operators read
	}{
		{"news", func(l, _ informer.Logger) { l.Infof("ingresses: %s", "can be read again") }, `level=DEBUG msg="ingresses: can be read again"`, true},
		{"a kind", func(l, _ informer.Logger) { l.Warningf("ingresses: list and watch is %s", "forbidden") }, `level=INFO msg="no events of some hosts: ingresses: list and watch is forbidden"`, false},
		{"news of Services", func(_, l informer.Logger) { l.Infof("%s", "x") }, "level=DEBUG msg=x", true},
		{"Services", func(_, l informer.Logger) { l.Warningf("services: %s", "x") }, `level=DEBUG msg="services: x"`, true},
	} {
		var out buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		tc.log(lineLog{log, slog.LevelDebug, slog.LevelInfo, "no events of some hosts: "}, lineLog{log, slog.LevelDebug, slog.LevelDebug, ""})
		if got := out.String(); strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, tc.want+"\n") || tc.silent != strings.Contains(got, "level=DEBUG") {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

// What hosts are judged by must be a cluster that can be talked to.
func TestNewFails(t *testing.T) {
	config := &rest.Config{Host: "http://192.0.2.1", TLSClientConfig: rest.TLSClientConfig{CAFile: "missing"}}
	if _, err := New(nil, config, Options{}, slog.New(slog.DiscardHandler), io.Discard); err == nil || !strings.HasPrefix(err.Error(), "configure the client: ") {
		t.Errorf("got error %v", err)
	}
}
