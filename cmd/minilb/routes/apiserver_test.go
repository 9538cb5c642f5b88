package routes

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
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
