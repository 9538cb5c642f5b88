package explain

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// L4, L5: what a client gets, in which order, and why.
func TestExplainClient(t *testing.T) {
	sticky := strings.Replace(web, "spec: {type", "spec: {sessionAffinity: ClientIP, type", 1)
	sticky = strings.NewReplacer("nodeName: n2", "nodeName: n2, zone: cellar", "nodeName: n1", "nodeName: n1, zone: attic").Replace(sticky)
	const near = "near 192.168.1.0/24 zone cellar\n near 192.168.2.0/24 node n1\n near 192.168.3.0/24 node n9"
	const anyone = "It makes no difference who asks."
	const random, own = "The order is random: property affinity is not set.", "The order is this client's own, as sessionAffinity is ClientIP."
	for _, tc := range []struct {
		name, properties, manifest, client string
		want                               string // addresses
		ordered                            bool
		why                                []string
	}{
		{"web.shop.minilb", "", sticky, "192.168.1.7", "10.244.1.7 10.244.1.8", false, []string{random}},
		{"web.shop.minilb", "affinity", sticky, "192.168.1.7", "10.244.1.7 10.244.1.8", true, []string{own}},
		{"web.shop.minilb", "affinity", sticky, "192.168.1.0/24", "10.244.1.8 10.244.1.7", true, []string{own}},
		{"a.ex.org", "affinity\n max_answers 1", sticky, "192.168.1.7", "10.244.1.7", true, []string{own}},
		{"web.shop.minilb", "affinity", web, "192.168.1.7", "10.244.1.7 10.244.1.8", false, []string{"The order is random: not all of what the name leads to are Services with sessionAffinity ClientIP."}},
		{"web.shop.minilb", near, sticky, "192.168.1.7", "10.244.1.8", false, []string{"By the line of property near for 192.168.1.0/24, it gets those that are near, 1 of 2 IPv4 addresses.", random}},
		{"web.shop.minilb", near, sticky, "192.168.2.7", "10.244.1.7", false, []string{"By the line of property near for 192.168.2.0/24, it gets those that are near, 1 of 2 IPv4 addresses.", random}},
		{"web.shop.minilb", near, sticky, "192.168.3.7", "10.244.1.7 10.244.1.8", false, []string{"By the line of property near for 192.168.3.0/24, none of 2 IPv4 addresses is near: it gets all.", random}},
		{"web.shop.minilb", near + "\n affinity", sticky, "fd00::7", "10.244.1.7 10.244.1.8", true, []string{"No line of property near has this client: it gets all addresses.", own}},
		{"nope.shop.minilb", near, sticky, "192.168.1.7", "", false, []string{anyone}},
		{"_http._tcp.web.shop.minilb", near, sticky, "192.168.1.7", "", false, []string{anyone}},
		{"ns1.minilb", near, sticky, "192.168.1.7", "", false, []string{anyone}},
	} {
		c := newCluster(t, ". {\n minilb minilb {\n "+tc.properties+"\n }\n}", tc.manifest)
		network, err := ParseClient(tc.client)
		if err != nil {
			t.Fatal(err)
		}
		x := c.explainFor(t, tc.name, network)
		got := x.Client
		if got.Network != tc.client || strings.Join(got.A, " ") != tc.want || len(got.AAAA) != 0 || got.AAAA == nil || got.Ordered != tc.ordered || !slices.Equal(got.Why, tc.why) {
			t.Errorf("%s for %s with %s: got %+v", tc.name, tc.client, tc.properties, got)
		}
	}
	c := newCluster(t, ". {\n minilb minilb {\n "+near+"\n affinity\n }\n}", sticky)
	network, _ := ParseClient("192.168.1.7")
	var text strings.Builder
	if err := c.explainFor(t, "web.shop.minilb", network).Text(&text, false); err != nil {
		t.Fatal(err)
	}
	const want = `Answers    A     10.244.1.7 10.244.1.8
           AAAA  NODATA
Client     192.168.1.7: By the line of property near for 192.168.1.0/24, it gets
           those that are near, 1 of 2 IPv4 addresses. The order is this
           client's own, as sessionAffinity is ClientIP.
           A     10.244.1.8
`
	if !strings.HasSuffix(text.String(), want) || !strings.Contains(text.String(), "10.244.1.8  answered  ready  n2  cellar\n") {
		t.Errorf("got\n%s\nwant at its end\n%s", &text, want)
	}
	if c.explain(t, "web.shop.minilb").Client != nil {
		t.Error("nobody asks about a client")
	}
}

func TestParseClient(t *testing.T) {
	for text, want := range map[string]string{
		"192.168.1.7": "192.168.1.7/32", "::ffff:192.168.1.7": "192.168.1.7/32", "fe80::1%eth0": "fe80::1/128", "192.168.1.7/24": "192.168.1.0/24", "2001:db8::/56": "2001:db8::/56",
		"": "", "router": "", "192.168.1.7/33": "", "0.0.0.0/0": "", "::ffff:192.168.1.0/120": "",
	} {
		got, err := ParseClient(text)
		if (err != nil) != (want == "") || err == nil && got != netip.MustParsePrefix(want) {
			t.Errorf("%q: got %s, %v, want %s", text, got, err, want)
		}
	}
}
