package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
	"github.com/minilb/minilb/plugin/minilb/translator"
)

// A DryRun shows what is answered, of which Services, and what is refused.
func TestDryRun(t *testing.T) {
	i := objectsOf(t, options(true), state(t)...)
	if got, want := strings.Join(i.Names(), " "), "*.ex.org. a.ex.org. http.org. s.ex.org. tls.org. twice.shop.minilb. web.ex.org. web.late.minilb. web.shop.minilb. x.ex.org."; got != want {
		t.Errorf("got names %s\nwant      %s", got, want)
	}
	for name, want := range map[string]string{"a.ex.org.": " 0", "web.shop.minilb.": "minilb. 0"} {
		zone, result, node := i.Lookup(name)
		if got := fmt.Sprint(zone, " ", int(result-records.Found)); got != want || node == nil {
			t.Errorf("%s: got %q with node %v, want %q", name, got, node, want)
		}
	}

	var services []string
	for _, s := range i.Services() {
		services = append(services, s.Namespace+"/"+s.Name)
	}
	if want := []string{"late/web", "shop/twice", "shop/web"}; !slices.Equal(services, want) {
		t.Errorf("got Services %q, want %q", services, want)
	}
	web, found := i.Service("shop", "web")
	want := []translator.Endpoint{
		{Service: "shop/web", Addr: netip.MustParseAddr("10.0.0.1"), State: object.StateReady, Answered: true},
		{Service: "shop/web", Addr: netip.MustParseAddr("10.0.0.2"), Hostname: "db-0", Node: "n1", State: object.StateNotReady},
		{Service: "shop/web", Addr: netip.MustParseAddr("10.0.0.3"), State: object.StateServing},
		{Service: "shop/web", Addr: netip.MustParseAddr("10.0.0.4"), State: object.StateTerminating},
	}
	if !found || !slices.Equal(web.Endpoints, want) || len(web.Problems) != 1 || !strings.HasPrefix(web.Problems[0], "EndpointSlice shop/web-2: ") {
		t.Errorf("got %+v, found %v, want endpoints %+v and a problem", web, found, want)
	}
	if _, found := i.Service("shop", "off"); found {
		t.Error("M8: a Service that is to be ignored is exposed")
	}

	var refusals []string
	for _, p := range i.Problems() {
		refusals = append(refusals, fmt.Sprintf("%s %s/%s %s %s", p.Ref.Kind, p.Ref.Namespace, p.Ref.Name, p.Host, p.Reason))
	}
	if want := []string{
		"EndpointSlice shop/web-2  endpoint",
		"Ingress shop/idle a.ex.org. dead",
		"Service late/web web.ex.org. conflict",
		"Service shop/web  invalid",
	}; !slices.Equal(config.Distinct(refusals), want) {
		t.Errorf("got refusals\n%s\nwant\n%s", strings.Join(refusals, "\n"), strings.Join(want, "\n"))
	}
	if got := i.Unavailable(); len(got) > 0 {
		t.Errorf("unread are %v", got)
	}
}

// C7: who claims nothing but what he is refused outside the zones is none of those who claim hosts there.
func TestClaiming(t *testing.T) {
	o := options(false)
	o.ReverseZones = []string{"10.in-addr.arpa."}
	var objects []runtime.Object
	for id, hosts := range map[string]string{"shop/i": "a.ex.org", "later/i": "a.ex.org", "wide/i": "*.org, wpad.org, 1.10.in-addr.arpa", "within/i": "within.minilb", "both/i": "*.org, b.ex.org"} {
		objects = append(objects, testIngress(id, strings.Split(hosts, ", ")...))
	}
	i := objectsOf(t, o, objects...)
	if got, want := i.Claiming(), []string{"both", "later", "shop"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// An API server is read as it answers, and whatever goes wrong is told.
func TestCluster(t *testing.T) {
	service, list := testService("shop/web", 1, "web.ex.org"), metav1.ListMeta{ResourceVersion: "1"}
	lists := map[string]any{
		"/api/v1/services":                         &corev1.ServiceList{ListMeta: list, Items: []corev1.Service{*service}},
		"/apis/discovery.k8s.io/v1/endpointslices": &discoveryv1.EndpointSliceList{ListMeta: list, Items: []discoveryv1.EndpointSlice{*sliceObject("shop/web", "web-1", "10.0.0.1")}},

		"/api/v1/namespaces/shop/services":                         &corev1.ServiceList{ListMeta: list},
		"/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices": &discoveryv1.EndpointSliceList{ListMeta: list},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Query().Get("sendInitialEvents") != "":
			w.WriteHeader(http.StatusUnprocessableEntity)
			_ = json.NewEncoder(w).Encode(&metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonInvalid, Code: http.StatusUnprocessableEntity})
		case r.URL.Query().Get("watch") != "":
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		default:
			_ = json.NewEncoder(w).Encode(lists[r.URL.Path])
		}
	}))
	defer server.Close()
	options := options(false)
	options.Ingresses = false
	other := options
	other.Zones, other.Namespaces = []string{"lan."}, []string{"shop"}
	all, err := Cluster(t.Context(), &rest.Config{Host: server.URL}, nil, options, other)
	if err != nil {
		t.Fatal(err)
	}
	i := all[0]
	if got := strings.Join(all[1].Names(), " "); got != "web.ex.org. web.shop.lan." {
		t.Errorf("names of the other block are %q", got)
	}
	if got := strings.Join(i.Names(), " "); got != "web.ex.org. web.shop.minilb." {
		t.Errorf("names are %q", got)
	}
	expectClaims(t, i, "web.ex.org.", "Service shop/web web.ex.org -> Service shop/web (shop/web)")
	if unread := i.Unavailable(); len(unread) > 0 {
		t.Errorf("of what nobody asks for: got %v", unread)
	}

	invalid := &rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{CAData: []byte("none")}}
	if i, err := Cluster(t.Context(), invalid, nil, options); i != nil || err == nil {
		t.Errorf("a client that cannot be made: got %v, %v", i, err)
	}
	refusing := &rest.Config{Host: server.URL, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("connection refused") }}
	var failure *kube.Error
	if i, err := Cluster(t.Context(), refusing, nil, options); i != nil || !errors.As(err, &failure) || failure.Kind != kube.Unreachable {
		t.Errorf("no server: got %v, %v", i, err)
	}
}
