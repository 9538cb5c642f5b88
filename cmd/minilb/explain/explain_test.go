package explain

import (
	"testing"

	"github.com/minilb/minilb/cmd/minilb/inspect"
)

// Routes are missed where the Gateway API is installed in part.
func TestUnserved(t *testing.T) {
	for _, tc := range []struct {
		served []inspect.ServedKind
		want   string
	}{
		{nil, ""},
		{[]inspect.ServedKind{{Kind: "GRPCRoute"}, {Kind: "Gateway"}, {Kind: "HTTPRoute"}, {Kind: "TLSRoute"}}, ""},
		{[]inspect.ServedKind{{Kind: "GRPCRoute", Version: "v1"}, {Kind: "HTTPRoute", Version: "v1"}, {Kind: "TLSRoute", Version: "v1"}, {Kind: "XListenerSet"}}, ""},
		{[]inspect.ServedKind{{Kind: "GRPCRoute", Version: "v1"}, {Kind: "HTTPRoute", Version: "v1"}, {Kind: "TLSRoute"}},
			"the API server does not serve TLSRoute: hosts of such routes cannot be found"},
		{[]inspect.ServedKind{{Kind: "GRPCRoute"}, {Kind: "Gateway", Version: "v1"}, {Kind: "HTTPRoute", Version: "v1"}, {Kind: "TLSRoute"}},
			"the API server does not serve GRPCRoute or TLSRoute: hosts of such routes cannot be found"},
	} {
		if got := unserved(tc.served); got != tc.want {
			t.Errorf("%v: got %q, want %q", tc.served, got, tc.want)
		}
	}
}

// D8: a server block without the plugin answers for its zone, whatever the cluster has.
func TestExplainElsewhere(t *testing.T) {
	x := newCluster(t, ". {\n minilb minilb\n}\nshop.minilb ex.org {\n whoami\n}", web).explain(t, "web.shop.minilb")
	if x.Summary != "minilb is not asked for it: the Corefile's server block of shop.minilb answers, and has no minilb." || x.Answer.Rcode != "" || len(x.Answer.A) > 0 {
		t.Errorf("got %+v", x)
	}
}
