package source

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/tools/cache"
)

// testClaim makes a claim of an owner "Kind namespace/name created" on hosts, which leads to
// targets: addresses, "svc:namespace/name", or host names.
func testClaim(ownedBy, hosts string, targets ...string) *claim {
	c := &claim{}
	var id string
	fmt.Sscan(ownedBy, &c.kind, &id, &c.created)
	c.namespace, c.name, _ = strings.Cut(id, "/")
	c.hosts = strings.Fields(hosts)
	for _, written := range targets {
		if service, ok := strings.CutPrefix(written, "svc:"); ok {
			namespace, name, _ := strings.Cut(service, "/")
			c.targets = append(c.targets, target{service: cache.NewObjectName(namespace, name)})
		} else if addr, err := netip.ParseAddr(written); err == nil {
			c.targets = append(c.targets, target{addr: addr})
		} else {
			c.targets = append(c.targets, target{host: written})
		}
	}
	return c
}

// render writes an outcome as the targets it came from.
func (o outcome) render() string {
	var parts []string
	for _, addr := range o.addrs {
		parts = append(parts, addr.String())
	}
	for _, service := range o.services {
		parts = append(parts, "svc:"+service.String())
	}
	parts = append(parts, o.external...)
	slices.Sort(parts)
	return strings.Join(slices.Compact(parts), " ")
}

func TestResolve(t *testing.T) {
	exposed := []string{"shop/web", "infra/gw"}
	tests := []struct {
		name     string
		rules    []ClaimRule
		claims   []*claim
		want     map[string]string // by host
		rejected string            // "reason host" of each refused claim
	}{
		{
			name:   "M1, M3: a status hostname of ours becomes the Service",
			claims: []*claim{testClaim("Ingress shop/i 1", "a.ex.org.", "gw.infra.minilb."), testClaim("Ingress shop/j 1", "b.ex.org.", "web.shop.lan.minilb.")},
			want:   map[string]string{"a.ex.org.": "svc:infra/gw", "b.ex.org.": "svc:shop/web"},
		},
		{
			name:     "M2, M7: nothing behind it",
			claims:   []*claim{testClaim("Ingress shop/i 1", "a.ex.org."), testClaim("Ingress shop/j 1", "b.ex.org.", "svc:shop/gone"), testClaim("Ingress shop/k 1", "c.ex.org.", "gone.shop.minilb.")},
			want:     map[string]string{"a.ex.org.": "", "b.ex.org.": "", "c.ex.org.": ""},
			rejected: "dead a.ex.org., dead b.ex.org., dead c.ex.org.",
		},
		{
			name:     "M6: a loop is dead",
			claims:   []*claim{testClaim("Ingress shop/a 1", "a.ex.org.", "b.ex.org."), testClaim("Ingress shop/b 1", "b.ex.org.", "a.ex.org."), testClaim("Ingress shop/c 1", "c.ex.org.", "c.ex.org.")},
			want:     map[string]string{"a.ex.org.": "", "b.ex.org.": "", "c.ex.org.": ""},
			rejected: "dead a.ex.org., dead b.ex.org., dead c.ex.org.",
		},
		{
			name:   "M6: only the looping target is dropped",
			claims: []*claim{testClaim("Ingress shop/a 1", "a.ex.org.", "b.ex.org."), testClaim("Ingress shop/b 1", "b.ex.org.", "a.ex.org.", "10.0.0.1")},
			want:   map[string]string{"a.ex.org.": "10.0.0.1", "b.ex.org.": "10.0.0.1"},
		},
		{
			name:   "M6: hosts lead on, through wildcards too",
			claims: []*claim{testClaim("Ingress shop/a 1", "a.ex.org.", "x.w.ex.org."), testClaim("Service shop/web 1", "*.w.ex.org.", "svc:shop/web")},
			want:   map[string]string{"a.ex.org.": "svc:shop/web", "*.w.ex.org.": "svc:shop/web"},
		},
		{
			name:   "D10: but not where a closer name exists",
			claims: []*claim{testClaim("Ingress shop/a 1", "a.ex.org.", "x.y.w.ex.org."), testClaim("Service shop/web 1", "*.w.ex.org. z.y.w.ex.org.", "svc:shop/web")},
			want:   map[string]string{"a.ex.org.": "x.y.w.ex.org."},
		},
		{
			name:   "D30, G44: external names, the smallest of several",
			claims: []*claim{testClaim("Ingress shop/a 1", "a.ex.org.", "lb2.aws.com.", "lb1.aws.com."), testClaim("Ingress shop/b 1", "b.ex.org.", "lb1.aws.com.", "10.0.0.1")},
			want:   map[string]string{"a.ex.org.": "lb1.aws.com.", "b.ex.org.": "10.0.0.1"},
		},
		{
			name:     "D27: no alias at the apex",
			claims:   []*claim{testClaim("Ingress shop/a 1", "minilb.", "lb.aws.com."), testClaim("Ingress shop/b 1", "lan.minilb.", "10.0.0.1")},
			want:     map[string]string{"minilb.": "", "lan.minilb.": "10.0.0.1"},
			rejected: "dead minilb.",
		},
		{
			name: "C2, C3, I9: the oldest claim's namespace has it all",
			claims: []*claim{
				testClaim("Ingress evil/x 20", "a.ex.org.", "6.6.6.6"),
				testClaim("Ingress shop/b 30", "a.ex.org.", "10.0.0.2"),
				testClaim("Ingress shop/a 10", "a.ex.org.", "10.0.0.1"),
			},
			want:     map[string]string{"a.ex.org.": "10.0.0.1 10.0.0.2"},
			rejected: "conflict a.ex.org.",
		},
		{
			name:     "C2: of the same second, namespace/name decides, then the kind",
			claims:   []*claim{testClaim("Ingress b/a 10", "a.ex.org.", "10.0.0.2"), testClaim("Ingress a/z 10", "a.ex.org.", "10.0.0.1")},
			want:     map[string]string{"a.ex.org.": "10.0.0.1"},
			rejected: "conflict a.ex.org.",
		},
		{
			name:     "C2: a dead claim holds nothing",
			claims:   []*claim{testClaim("Ingress shop/a 10", "a.ex.org."), testClaim("Ingress prod/b 20", "a.ex.org.", "10.0.0.1")},
			want:     map[string]string{"a.ex.org.": "10.0.0.1"},
			rejected: "dead a.ex.org.",
		},
		{
			name: "D17, C8: the structure of the zone",
			claims: []*claim{
				testClaim("Ingress evil/i 1", "web.shop.minilb. other.shop.minilb. x.y.shop.minilb. *.minilb. ns1.minilb. *.shop.minilb. NS1.lan.minilb.", "6.6.6.6"),
				testClaim("Ingress shop/i 1", "home.minilb. minilb. other.shop.minilb. *.shop.minilb. x.y.shop.minilb. web.shop.minilb.", "10.0.0.1"),
			},
			want: map[string]string{
				"home.minilb.": "10.0.0.1", "minilb.": "10.0.0.1", "other.shop.minilb.": "10.0.0.1", "*.shop.minilb.": "10.0.0.1", "x.y.shop.minilb.": "10.0.0.1",
				"web.shop.minilb.": "", "*.minilb.": "", "ns1.minilb.": "",
			},
			rejected: "reserved *.minilb., reserved *.shop.minilb., reserved ns1.lan.minilb., reserved ns1.minilb., reserved other.shop.minilb., reserved web.shop.minilb., reserved web.shop.minilb., reserved x.y.shop.minilb.",
		},
		{
			name:   "D17: a Service may claim the name it has",
			claims: []*claim{testClaim("Service shop/web 1", "web.shop.minilb. web.ex.org.", "svc:shop/web")},
			want:   map[string]string{"web.shop.minilb.": "", "web.ex.org.": "svc:shop/web"},
		},
		{
			name:  "C6: claim rules, the longest suffix",
			rules: []ClaimRule{{Suffix: "ex.org.", Namespaces: []string{"prod"}}, {Suffix: "dev.ex.org.", Namespaces: []string{"dev", "prod"}}, {Suffix: "open.org."}, {Suffix: "minilb.", Namespaces: []string{"prod"}}},
			claims: []*claim{
				testClaim("Ingress evil/i 1", "a.ex.org. *.dev.ex.org. any.open.org. elsewhere.net. *.org. home.minilb. x.evil.minilb.", "6.6.6.6"),
				testClaim("Ingress prod/i 2", "a.ex.org. *.dev.ex.org. minilb.", "10.0.0.1"),
				testClaim("Ingress dev/i 2", "b.ex.org. b.dev.ex.org.", "10.0.0.2"),
			},
			want: map[string]string{
				"a.ex.org.": "10.0.0.1", "*.dev.ex.org.": "10.0.0.1", "any.open.org.": "6.6.6.6", "elsewhere.net.": "", "*.org.": "", "minilb.": "10.0.0.1",
				"home.minilb.": "", "x.evil.minilb.": "6.6.6.6", "b.ex.org.": "", "b.dev.ex.org.": "10.0.0.2",
			},
			rejected: "not_allowed *.dev.ex.org., not_allowed *.org., not_allowed a.ex.org., not_allowed b.ex.org., not_allowed elsewhere.net., not_allowed home.minilb.",
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			for _, c := range tc.claims {
				for i := range c.hosts {
					c.hosts[i] = strings.ToLower(c.hosts[i])
				}
			}
			for range 10 { // C5: in any order
				rand.Shuffle(len(tc.claims), func(i, j int) { tc.claims[i], tc.claims[j] = tc.claims[j], tc.claims[i] })
				options := &Options{Zones: []string{"minilb.", "lan.minilb."}, Class: "minilb", Claims: tc.rules}
				r := newResolver(options, tc.claims, func(name cache.ObjectName) bool { return slices.Contains(exposed, name.String()) })
				for host := range r.claims {
					if _, expected := tc.want[host]; !expected {
						tc.want[host] = "-"
					}
				}
				for host, want := range tc.want {
					if got := r.resolve(host).render(); got != want && want != "-" {
						t.Errorf("%s: got %q, want %q", host, got, want)
					}
				}
				var rejected []string
				for _, p := range r.problems {
					if p.reason != "" {
						rejected = append(rejected, string(p.reason)+" "+strings.Split(p.text, `"`)[1])
					}
					if strings.Contains(p.text, "evil") && p.owner.namespace != "evil" {
						t.Errorf("C3: %s is told of another namespace: %s", p.owner, p.text)
					}
				}
				slices.SortFunc(rejected, cmp.Compare[string])
				if got := strings.Join(rejected, ", "); got != tc.rejected {
					t.Errorf("got refusals %q, want %q", got, tc.rejected)
				}
			}
		})
	}
}

// M6: a chain of eight hosts is followed, a longer one is not.
func TestResolveDepth(t *testing.T) {
	var claims []*claim
	for i := range 12 {
		next := fmt.Sprintf("h%d.ex.org.", i+1)
		if i == 11 {
			next = "10.0.0.1"
		}
		claims = append(claims, testClaim(fmt.Sprintf("Ingress shop/i%02d 1", i), fmt.Sprintf("h%d.ex.org.", i), next))
	}
	r := newResolver(&Options{}, claims, func(cache.ObjectName) bool { return false })
	for i := range 12 {
		want := "10.0.0.1"
		if 11-i > maxDepth {
			want = ""
		}
		if got := r.resolve(fmt.Sprintf("h%d.ex.org.", i)).render(); got != want {
			t.Errorf("a chain of %d further hosts: got %q, want %q", 11-i, got, want)
		}
	}
}

// A tangle that could be followed in more ways than there is time for must not be.
func TestResolveTangle(t *testing.T) {
	var hosts []string
	for i := range 40 {
		hosts = append(hosts, fmt.Sprintf("h%d.ex.org.", i))
	}
	var claims []*claim
	for i, host := range hosts {
		claims = append(claims, testClaim(fmt.Sprintf("Ingress shop/i%02d 1", i), host, hosts...))
	}
	r := newResolver(&Options{}, claims, func(cache.ObjectName) bool { return false })
	for _, host := range hosts {
		if got := r.resolve(host).render(); got != "" {
			t.Errorf("%s: got %q, want nothing", host, got)
		}
	}
}
