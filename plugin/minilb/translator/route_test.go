package translator

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// C7: the usual redirect from http to https claims whatever its listener takes, if it names no hostnames.
func TestRedirectingRoute(t *testing.T) {
	const redirect, serve = "{filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}]}", "{backendRefs: [{name: web, port: 80}]}"
	for _, tc := range []struct {
		name, hosts, listener, rules string
		noticed                      bool
	}{
		{"a redirect of all hosts", "", "*.ex.org", redirect, true},
		{"several rules", "", "*.ex.org", redirect + ", " + redirect, true},
		{"one that serves, too", "", "*.ex.org", redirect + ", " + serve, false},
		{"one that serves", "", "*.ex.org", serve, false},
		{"no rules", "", "*.ex.org", "", false},
		{"another filter", "", "*.ex.org", "{filters: [{type: RequestHeaderModifier}]}", false},
		{"hostnames", "*.ex.org", "*.ex.org", redirect, false},
		{"a listener of one host", "", "a.ex.org", redirect, false},
	} {
		b := newAttachedBench(t, config.Options{})
		b.set(object.KindName{Kind: object.KindGateway, Namespace: "infra", Name: "gw"}, strings.Split(gatewayWith(strings.Replace(open, "protocol: HTTP", `protocol: HTTP, hostname: "`+tc.listener+`"`, 1)), "---")[1])
		hosts := ""
		if tc.hosts != "" {
			hosts = fmt.Sprintf("%q", tc.hosts)
		}
		b.set(object.KindName{Kind: object.KindHTTPRoute, Namespace: "shop", Name: "r"}, strings.Replace(routeOf(object.KindHTTPRoute, hosts, toGateway), "spec: {", "spec: {rules: ["+tc.rules+"], ", 1))
		var want []string
		if tc.noticed {
			want = []string{`I HTTPRoute shop/r: host "*.ex.org" is claimed by a route that only redirects and names no hostnames: each name below it is answered, whether anything else serves it or not; give the route the hostnames that are served, or the label minilb/ignore: "true"`}
		}
		if lines := b.publish(); !slices.Equal(lines, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.name, strings.Join(lines, "\n"), strings.Join(want, "\n"))
		}
		b.want(strings.Replace(tc.listener, "*", "any", 1)+".", "10.0.0.5")
		if got := b.tr.Stats().Rejected; len(got) > 0 {
			t.Errorf("%s: got %v refused", tc.name, got)
		}
	}
}
