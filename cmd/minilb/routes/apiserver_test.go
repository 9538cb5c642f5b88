package routes

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"
)

func addrs(list string) (all []netip.Addr) {
	for text := range strings.FieldsSeq(list) {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

// R7b: the API server is where clients outside are told that it is, and where the API servers say that they are;
// nobody else says so.
func TestLocate(t *testing.T) {
	slice := func(namespace, name, addresses string) *discoveryv1.EndpointSlice {
		s := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: "kubernetes"}}}
		for text := range strings.FieldsSeq(addresses) {
			s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{text}})
		}
		return s
	}
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "endpointslices"}, "", nil)
	for _, tc := range []struct {
		name, server string
		slices       []runtime.Object
		refused      error
		want, err    string
	}{
		{"a pod's", "", []runtime.Object{slice("default", "kubernetes", "192.168.1.30 192.168.1.10 192.168.1.30")}, nil, "[192.168.1.10 192.168.1.30]", ""},
		{"an address", "192.168.1.9", []runtime.Object{slice("default", "kubernetes", "192.168.1.30")}, nil, "[192.168.1.9 192.168.1.30]", ""},
		{"of IPv6", "fd00::9", nil, nil, "[fd00::9]", ""},
		{"a name", "localhost", nil, nil, "127.0.0.1", ""},
		{"somebody's slices", "192.168.1.9", []runtime.Object{slice("default", "kubernetes-1", "10.244.1.1"), slice("web", "kubernetes", "10.244.1.2"), slice("default", "kubernetes", "malformed")}, nil, "[192.168.1.9]", ""},
		{"forbidden", "192.168.1.9", nil, forbidden, "[192.168.1.9]", ""},
		{"forbidden to a pod", "", nil, forbidden, "[192.168.1.8]", "podCIDRs are not compared with the API server's own addresses: endpointslices: list is forbidden"},
		{"away", "192.168.1.9", nil, apierrors.NewServiceUnavailable("starting"), "[192.168.1.8 192.168.1.9]", "podCIDRs are not compared with the API server's own addresses: endpointslices: cannot list: starting"},
		{"no such name", "api.invalid", []runtime.Object{slice("default", "kubernetes", "192.168.1.30")}, nil, "[192.168.1.8 192.168.1.30]", "podCIDRs are not compared with the API server's address: resolve \"api.invalid\": "},
	} {
		client := fake.NewClientset(tc.slices...)
		if tc.refused != nil {
			client.PrependReactor("list", "endpointslices", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, tc.refused })
		}
		lan, err := LAN{Server: tc.server, servers: addrs("192.168.1.8")}.Locate(t.Context(), client)
		if got := fmt.Sprint(lan.servers); !strings.Contains(got, tc.want) || (err == nil) != (tc.err == "") || err != nil && !strings.HasPrefix(err.Error(), tc.err) {
			t.Errorf("%s: got %s, %v", tc.name, got, err)
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A resolver that does not answer keeps nobody from hearing what the API servers publish, and the other way round.
func TestLocateSlow(t *testing.T) {
	resolver := net.DefaultResolver
	defer func() { net.DefaultResolver = resolver }()
	for _, tc := range []struct {
		name, server string
		answers      bool // the API server does
		want, err    string
	}{
		{"the resolver", "api.example.org", true, "[192.168.1.30]", "resolve \"api.example.org\""},
		{"the API server", "192.168.1.9", false, "[192.168.1.9]", "the API server's own addresses: "},
		{"both", "api.example.org", false, "[]", "resolve "},
	} {
		synctest.Test(t, func(t *testing.T) {
			net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}}
			client := kubernetes.NewForConfigOrDie(&rest.Config{Host: "http://192.168.1.9", QPS: -1, Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				if !tc.answers {
					<-r.Context().Done()
				}
				if err := r.Context().Err(); err != nil {
					return nil, err
				}
				const list = `{"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1","items":[{"metadata":{"namespace":"default","name":"kubernetes"},"endpoints":[{"addresses":["192.168.1.30"]}]}]}`
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(list)), Request: r}, nil
			})})
			start := time.Now()
			lan, err := LAN{Server: tc.server}.Locate(t.Context(), client)
			if got := fmt.Sprint(lan.servers); got != tc.want || err == nil || !strings.Contains(err.Error(), tc.err) || time.Since(start) > 2*locateTimeout {
				t.Errorf("%s: got %s, %v after %v", tc.name, got, err, time.Since(start))
			}
		})
	}
}
