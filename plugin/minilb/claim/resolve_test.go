package claim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// C2: age, then namespace/name, then the kind. It is total, so that replicas agree (C5).
func TestOlder(t *testing.T) {
	sorted := []object.Ref{
		{Kind: "Service", Namespace: "z", Name: "z", Created: 1}, {Kind: "Ingress", Namespace: "a-b", Name: "a", Created: 2}, {Kind: "Ingress", Namespace: "a", Name: "b", Created: 2}, {Kind: "Ingress", Namespace: "b", Name: "a", Created: 2},
		{Kind: "Service", Namespace: "b", Name: "a", Created: 2}, {Kind: "Ingress", Namespace: "b", Name: "b", Created: 2}, {Kind: "Ingress", Namespace: "a", Name: "a", Created: 3},
	}
	for i := range sorted {
		for j := range sorted {
			if got, want := sorted[i].Older(&sorted[j]), cmp.Compare(i, j); got != want {
				t.Errorf("%v and %v: got %d, want %d", &sorted[i], &sorted[j], got, want)
			}
		}
	}
}

func TestResolve(t *testing.T) {
	exposed := []string{"shop/web", "infra/gw", "lan/web"}
	tests := []struct {
		name     string
		rules    []config.ClaimRule
		claims   []*Claim
		want     map[string]string // by host
		rejected string            // "reason host" of each refused claim
	}{
		{
			name:   "M1, M3: a status hostname of ours becomes the Service",
			claims: []*Claim{testClaim("Ingress shop/i 1", "a.ex.org.", "gw.infra.minilb."), testClaim("Ingress shop/j 1", "b.ex.org.", "web.shop.lan.minilb.")},
			want:   map[string]string{"a.ex.org.": "svc:infra/gw", "b.ex.org.": "svc:shop/web"},
		},
		{
			name:     "M2, M7: nothing behind it",
			claims:   []*Claim{testClaim("Ingress shop/i 1", "a.ex.org."), testClaim("Ingress shop/j 1", "b.ex.org.", "svc:shop/gone"), testClaim("Ingress shop/k 1", "c.ex.org.", "gone.shop.minilb."), testClaim("Ingress shop/l 1", "d.ex.org.", "web.shop.x.minilb.")},
			want:     map[string]string{},
			rejected: "dead a.ex.org., dead b.ex.org., dead c.ex.org., dead d.ex.org.",
		},
		{
			name:   "M2: only the dead target is dropped",
			claims: []*Claim{testClaim("Ingress shop/i 1", "a.ex.org.", "svc:shop/gone", "10.0.0.1", "gone.shop.minilb.")},
			want:   map[string]string{"a.ex.org.": "10.0.0.1"},
		},
		{
			name:     "M6: a loop is dead",
			claims:   []*Claim{testClaim("Ingress shop/a 1", "a.ex.org.", "b.ex.org."), testClaim("Ingress shop/b 1", "b.ex.org.", "a.ex.org."), testClaim("Ingress shop/c 1", "c.ex.org.", "c.ex.org.")},
			want:     map[string]string{},
			rejected: "dead a.ex.org., dead b.ex.org., dead c.ex.org.",
		},
		{
			name:   "M6: only the looping target is dropped",
			claims: []*Claim{testClaim("Ingress shop/a 1", "a.ex.org.", "b.ex.org."), testClaim("Ingress shop/b 1", "b.ex.org.", "a.ex.org.", "10.0.0.1")},
			want:   map[string]string{"a.ex.org.": "10.0.0.1", "b.ex.org.": "10.0.0.1"},
		},
		{
			name:   "M6: hosts lead on, through wildcards too",
			claims: []*Claim{testClaim("Ingress shop/a 1", "a.ex.org.", "x.w.ex.org."), testClaim("Service shop/web 1", "*.w.ex.org.", "svc:shop/web")},
			want:   map[string]string{"a.ex.org.": "svc:shop/web", "*.w.ex.org.": "svc:shop/web"},
		},
		{
			name:   "D10: but not where a closer name exists",
			claims: []*Claim{testClaim("Ingress shop/a 1", "a.ex.org.", "x.y.w.ex.org."), testClaim("Service shop/web 1", "*.w.ex.org. z.y.w.ex.org.", "svc:shop/web")},
			want:   map[string]string{"a.ex.org.": "x.y.w.ex.org.", "*.w.ex.org.": "svc:shop/web", "z.y.w.ex.org.": "svc:shop/web"},
		},
		{
			name: "M2: a dead claim of another namespace diverts nobody",
			claims: []*Claim{
				testClaim("Ingress prod/a 1", "a.ex.org.", "lb.aws.com."), testClaim("Ingress evil/x 1", "lb.aws.com."),
				testClaim("Ingress prod/b 1", "b.ex.org.", "x.w.ex.org."), testClaim("Ingress prod/w 1", "*.w.ex.org.", "10.0.0.1"), testClaim("Ingress evil/y 1", "x.w.ex.org.", "nothing.evil.minilb."),
			},
			want:     map[string]string{"a.ex.org.": "lb.aws.com.", "b.ex.org.": "10.0.0.1", "*.w.ex.org.": "10.0.0.1"},
			rejected: "dead lb.aws.com., dead x.w.ex.org.",
		},
		{
			name: "M2: nor does one that leads to the dead by way of others",
			claims: []*Claim{
				testClaim("Ingress prod/b 1", "b.ex.org.", "x.w.ex.org."), testClaim("Ingress prod/w 1", "*.w.ex.org.", "10.0.0.1"),
				testClaim("Ingress evil/x 1", "x.w.ex.org.", "1.evil.minilb."), testClaim("Ingress evil/1 1", "1.evil.minilb.", "2.evil.minilb."),
				testClaim("Ingress evil/2 1", "2.evil.minilb.", "3.evil.minilb."), testClaim("Ingress evil/3 1", "3.evil.minilb.", "nothing.evil.minilb."),
			},
			want:     map[string]string{"b.ex.org.": "10.0.0.1", "*.w.ex.org.": "10.0.0.1"},
			rejected: "dead 1.evil.minilb., dead 2.evil.minilb., dead 3.evil.minilb., dead x.w.ex.org.",
		},
		{
			name:   "C6: a wildcard does not lead on for what a rule gives to others",
			rules:  []config.ClaimRule{{Suffix: "pay.ex.org.", Namespaces: []string{"pay"}}, {Suffix: "ex.org.", Namespaces: []string{"web"}}},
			claims: []*Claim{testClaim("Ingress web/w 1", "*.ex.org.", "10.0.0.1"), testClaim("Ingress web/a 1", "a.ex.org.", "x.pay.ex.org."), testClaim("Ingress web/b 1", "b.ex.org.", "x.y.ex.org.")},
			want:   map[string]string{"*.ex.org.": "10.0.0.1", "a.ex.org.": "x.pay.ex.org.", "b.ex.org.": "10.0.0.1"},
		},
		{
			name:     "C6: the root is a suffix of every name, the shortest",
			rules:    []config.ClaimRule{{Suffix: ".", Namespaces: []string{"web"}}, {Suffix: "ex.org.", Namespaces: []string{"pay"}}},
			claims:   []*Claim{testClaim("Ingress web/i 1", "a.net. a.ex.org.", "10.0.0.1"), testClaim("Ingress pay/i 1", "b.net. b.ex.org.", "10.0.0.2")},
			want:     map[string]string{"a.net.": "10.0.0.1", "b.ex.org.": "10.0.0.2"},
			rejected: "not_allowed a.ex.org., not_allowed b.net.",
		},
		{
			name:   "M3: what is in our zone and not there is no external name",
			claims: []*Claim{testClaim("Ingress shop/a 1", "a.ex.org.", "lb.aws.com.", "gone.shop.minilb.")},
			want:   map[string]string{"a.ex.org.": "lb.aws.com."},
		},
		{
			name: "M2: nor does one deeper than a wildcard hide what that covers",
			claims: []*Claim{
				testClaim("Ingress shop/a 1", "a.ex.org.", "q.y.shop.minilb."), testClaim("Ingress shop/w 1", "*.shop.minilb.", "10.0.0.1"),
				testClaim("Ingress shop/x 1", "x.y.shop.minilb."),
			},
			want:     map[string]string{"a.ex.org.": "10.0.0.1", "*.shop.minilb.": "10.0.0.1"},
			rejected: "dead x.y.shop.minilb.",
		},
		{
			name: "C3: whichever way one comes, a host is what it is",
			claims: []*Claim{
				testClaim("Ingress x/a 1", "a.ex.org.", "10.0.0.1", "b.ex.org."),
				testClaim("Ingress evil/b 1", "b.ex.org.", "a.ex.org."), testClaim("Ingress shop/b 2", "b.ex.org.", "10.0.0.9"),
			},
			want:     map[string]string{"a.ex.org.": "10.0.0.1", "b.ex.org.": "10.0.0.1"},
			rejected: "conflict b.ex.org.",
		},
		{
			name: "C2: a loop of the oldest holds nothing",
			claims: []*Claim{
				testClaim("Ingress evil/a 1", "a.ex.org.", "b.ex.org."), testClaim("Ingress evil/b 1", "b.ex.org.", "a.ex.org."),
				testClaim("Ingress shop/b 2", "b.ex.org.", "10.0.0.9"),
			},
			want:     map[string]string{"a.ex.org.": "10.0.0.9", "b.ex.org.": "10.0.0.9"},
			rejected: "dead b.ex.org.",
		},
		{
			name: "C7b: nor does it keep its namespace's wildcard off what lies above another's name",
			claims: []*Claim{
				testClaim("Ingress shop/w 1", "*.apps.ex.org.", "10.0.0.1"), testClaim("Ingress shop/z 1", "z.foo.apps.ex.org.", "z.foo.apps.ex.org."),
				testClaim("Ingress evil/z 2", "z.foo.apps.ex.org.", "10.0.0.9"), testClaim("Ingress shop/a 1", "a.ex.org.", "foo.apps.ex.org."),
			},
			want:     map[string]string{"*.apps.ex.org.": "10.0.0.1", "z.foo.apps.ex.org.": "10.0.0.9", "a.ex.org.": "10.0.0.1"},
			rejected: "dead z.foo.apps.ex.org.",
		},
		{
			name:   "D10: the name of a Service is closer than a wildcard above it",
			claims: []*Claim{testClaim("Ingress shop/a 1", "a.ex.org.", "x.web.shop.minilb."), testClaim("Ingress shop/b 1", "b.ex.org.", "x.shop.minilb."), testClaim("Service shop/web 1", "*.shop.minilb.", "svc:shop/web")},
			want:   map[string]string{"*.shop.minilb.": "svc:shop/web", "b.ex.org.": "svc:shop/web"}, rejected: "dead a.ex.org.",
		},
		{
			name:     "M3, D17: a zone in another",
			claims:   []*Claim{testClaim("Ingress shop/a 1", "a.ex.org.", "web.lan.minilb."), testClaim("Ingress evil/b 1", "web.lan.minilb.", "6.6.6.6")},
			want:     map[string]string{"a.ex.org.": "svc:lan/web"},
			rejected: "reserved web.lan.minilb.",
		},
		{
			name:   "C2: of one name, too, the kind decides",
			claims: []*Claim{testClaim("Service b/a 10", "a.ex.org.", "10.0.0.2"), testClaim("Ingress b/a 10", "a.ex.org.", "lb.aws.com.")},
			want:   map[string]string{"a.ex.org.": "10.0.0.2"},
		},
		{
			name:   "D30, G44: external names, the smallest of several",
			claims: []*Claim{testClaim("Ingress shop/a 1", "a.ex.org.", "lb2.aws.com.", "lb1.aws.com."), testClaim("Ingress shop/b 1", "b.ex.org.", "lb1.aws.com.", "10.0.0.1"), testClaim("Ingress shop/c 1", "c.ex.org.", "lb1.aws.com.", "svc:shop/web")},
			want:   map[string]string{"a.ex.org.": "lb1.aws.com.", "b.ex.org.": "10.0.0.1", "c.ex.org.": "svc:shop/web"},
		},
		{
			name:     "D27: no alias at the apex",
			claims:   []*Claim{testClaim("Ingress shop/a 1", "minilb. home.minilb.", "lb.aws.com."), testClaim("Ingress shop/b 1", "lan.minilb.", "10.0.0.1")},
			want:     map[string]string{"minilb.": "", "home.minilb.": "lb.aws.com.", "lan.minilb.": "10.0.0.1"},
			rejected: "dead minilb.",
		},
		{
			name: "C2, C3, I9: the oldest claim's namespace has it all",
			claims: []*Claim{
				testClaim("Ingress evil/x 20", "a.ex.org.", "6.6.6.6"),
				testClaim("Ingress shop/b 30", "a.ex.org.", "10.0.0.2"),
				testClaim("Ingress shop/a 10", "a.ex.org.", "10.0.0.1"),
			},
			want:     map[string]string{"a.ex.org.": "10.0.0.1 10.0.0.2"},
			rejected: "conflict a.ex.org.",
		},
		{
			name: "C3: who leads it to nothing else takes nothing over",
			claims: []*Claim{
				testClaim("HTTPRoute site/home 10", "a.ex.org.", "svc:infra/gw", "10.0.0.1"), testClaim("HTTPRoute store/store 20", "a.ex.org.", "svc:infra/gw"),
				testClaim("Ingress shop/b 30", "a.ex.org.", "gw.infra.minilb."),
				testClaim("Ingress site/x 10", "x.ex.org.", "lb.aws.com."), testClaim("Ingress store/x 20", "x.ex.org.", "lb.aws.com."),
				testClaim("Ingress site/y 10", "y.ex.org.", "a.ex.org."), testClaim("Ingress store/y 20", "y.ex.org.", "10.0.0.1"),
			},
			want: map[string]string{"a.ex.org.": "10.0.0.1 svc:infra/gw", "x.ex.org.": "lb.aws.com.", "y.ex.org.": "10.0.0.1 svc:infra/gw"},
		},
		{
			name: "C3: who leads it elsewhere, be it in part, does not count",
			claims: []*Claim{
				testClaim("HTTPRoute site/home 10", "a.ex.org.", "svc:infra/gw"), testClaim("HTTPRoute store/store 20", "a.ex.org.", "svc:infra/gw", "10.0.0.2"),
				testClaim("Ingress shop/b 30", "a.ex.org.", "lb.aws.com."), testClaim("Ingress lan/b 30", "a.ex.org.", "svc:lan/web"), testClaim("Ingress dead/b 30", "a.ex.org."),
			},
			want:     map[string]string{"a.ex.org.": "svc:infra/gw"},
			rejected: "conflict a.ex.org., conflict a.ex.org., conflict a.ex.org., dead a.ex.org.",
		},
		{
			name:     "C2: the older one, whatever the namespaces are called",
			claims:   []*Claim{testClaim("Ingress evil/a 20", "a.ex.org.", "6.6.6.6"), testClaim("Ingress shop/z 10", "a.ex.org.", "10.0.0.1")},
			want:     map[string]string{"a.ex.org.": "10.0.0.1"},
			rejected: "conflict a.ex.org.",
		},
		{
			name:     "C2: of the same second, namespace/name decides, then the kind",
			claims:   []*Claim{testClaim("Ingress two/a 10", "a.ex.org.", "10.0.0.2"), testClaim("Ingress one/z 10", "a.ex.org.", "10.0.0.1")},
			want:     map[string]string{"a.ex.org.": "10.0.0.1"},
			rejected: "conflict a.ex.org.",
		},
		{
			name:     "C2: a dead claim holds nothing",
			claims:   []*Claim{testClaim("Ingress shop/a 10", "a.ex.org."), testClaim("Ingress prod/b 20", "a.ex.org.", "10.0.0.1")},
			want:     map[string]string{"a.ex.org.": "10.0.0.1"},
			rejected: "dead a.ex.org.",
		},
		{
			name: "D17, C8: the structure of the zone",
			claims: []*Claim{
				testClaim("Ingress evil/i 1", "web.shop.minilb. other.shop.minilb. x.y.shop.minilb. *.minilb. ns1.minilb. *.shop.minilb. NS1.lan.minilb.", "6.6.6.6"),
				testClaim("Ingress shop/i 1", "home.minilb. minilb. other.shop.minilb. *.shop.minilb. x.y.shop.minilb. web.shop.shop.minilb. home.lan.minilb. web.shop.minilb.", "10.0.0.1"),
			},
			want: map[string]string{
				"home.minilb.": "10.0.0.1", "minilb.": "10.0.0.1", "other.shop.minilb.": "10.0.0.1", "*.shop.minilb.": "10.0.0.1", "x.y.shop.minilb.": "10.0.0.1", "web.shop.shop.minilb.": "10.0.0.1", "home.lan.minilb.": "10.0.0.1",
				"web.shop.minilb.": "", "*.minilb.": "", "ns1.minilb.": "",
			},
			rejected: "reserved *.minilb., reserved *.shop.minilb., reserved ns1.lan.minilb., reserved ns1.minilb., reserved other.shop.minilb., reserved web.shop.minilb., reserved web.shop.minilb., reserved x.y.shop.minilb.",
		},
		{
			name: "D12, D17: what stands above another namespace's Services",
			claims: []*Claim{
				testClaim("Ingress evil/i 1", "shop.minilb. evil.minilb. home.minilb.", "6.6.6.6"),
				testClaim("Ingress shop/i 2", "shop.minilb.", "10.0.0.1"),
			},
			want:     map[string]string{"shop.minilb.": "10.0.0.1", "evil.minilb.": "6.6.6.6", "home.minilb.": "6.6.6.6"},
			rejected: "reserved shop.minilb.",
		},
		{
			name: "D17: the name of a Service may be claimed by whoever leads it there",
			claims: []*Claim{
				testClaim("Service shop/web 1", "web.shop.minilb. web.ex.org.", "svc:shop/web"), testClaim("Ingress shop/status 1", "web.shop.minilb.", "web.shop.minilb."),
				testClaim("Ingress evil/both 1", "web.shop.minilb. web.shop.lan.minilb.", "web.shop.minilb.", "web.shop.lan.minilb."),
				testClaim("Ingress shop/more 1", "web.shop.minilb.", "web.shop.minilb.", "10.0.0.1"), testClaim("Ingress shop/other 1", "web.shop.minilb.", "svc:infra/gw", "svc:shop/web"),
				testClaim("Ingress shop/host 1", "web.shop.minilb.", "web.ex.org."), testClaim("Ingress shop/none 1", "web.shop.minilb."),
			},
			want:     map[string]string{"web.shop.minilb.": "", "web.ex.org.": "svc:shop/web"},
			rejected: "reserved web.shop.minilb., reserved web.shop.minilb., reserved web.shop.minilb., reserved web.shop.minilb.",
		},
		{
			name:  "C6: claim rules, the longest suffix",
			rules: []config.ClaimRule{{Suffix: "ex.org.", Namespaces: []string{"prod"}}, {Suffix: "dev.ex.org.", Namespaces: []string{"dev", "prod"}}, {Suffix: "open.org."}, {Suffix: "minilb.", Namespaces: []string{"prod"}}},
			claims: []*Claim{
				testClaim("Ingress evil/i 1", "a.ex.org. *.dev.ex.org. any.open.org. elsewhere.net. *.org. home.minilb. x.evil.minilb.", "6.6.6.6"),
				testClaim("Ingress prod/i 2", "a.ex.org. *.dev.ex.org. minilb.", "10.0.0.1"),
				testClaim("Ingress dev/i 2", "b.ex.org. b.dev.ex.org.", "10.0.0.2"),
			},
			want: map[string]string{
				"a.ex.org.": "10.0.0.1", "*.dev.ex.org.": "10.0.0.1", "any.open.org.": "6.6.6.6", "elsewhere.net.": "", "*.org.": "", "minilb.": "10.0.0.1",
				"home.minilb.": "", "x.evil.minilb.": "6.6.6.6", "b.ex.org.": "", "b.dev.ex.org.": "10.0.0.2",
			},
			rejected: "not_allowed *.dev.ex.org., not_allowed a.ex.org., not_allowed b.ex.org., not_allowed elsewhere.net., not_allowed home.minilb., withheld *.org.",
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			for _, c := range tc.claims {
				for i := range c.Hosts {
					c.Hosts[i] = strings.ToLower(c.Hosts[i])
				}
			}
			random := rand.New(rand.NewPCG(1, 2))
			for range 10 { // C5: in any order
				random.Shuffle(len(tc.claims), func(i, j int) { tc.claims[i], tc.claims[j] = tc.claims[j], tc.claims[i] })
				options := &config.Options{Zones: []string{"minilb.", "lan.minilb."}, Class: "minilb", Claims: tc.rules}
				r := resolve(options, tc.claims, exposures(options, exposed...))
				outcomes := resolutions(r)
				for host, want := range tc.want {
					if got := outcomes[host].render(); got != want {
						t.Errorf("%s: got %q, want %q", host, got, want)
					}
				}
				for host := range outcomes {
					if _, expected := tc.want[host]; !expected {
						t.Errorf("%s: got %q, want nothing", host, outcomes[host].render())
					}
				}
				var rejected []string
				for _, p := range r.Problems() {
					if p.Reason != "" {
						rejected = append(rejected, string(p.Reason)+" "+strings.Split(p.Text, `"`)[1]+".")
					}
					if p.Reason == object.ReasonConflict && !strings.HasSuffix(p.Text, `" is refused: another namespace claimed it earlier`) {
						t.Errorf("C3: %s is told of another namespace: %s", p.Ref, p.Text)
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

// G44: that only one of several external names is answered is told; one that came twice is not.
func TestResolveExternal(t *testing.T) {
	for targets, want := range map[string]int{"lb1.aws.com.": 0, "lb1.aws.com. lb1.aws.com.": 0, "lb2.aws.com. lb1.aws.com.": 1, "lb2.aws.com. lb1.aws.com. 10.0.0.1": 0} {
		r := resolve(&config.Options{}, []*Claim{testClaim("Ingress shop/i 1", "a.ex.org.", strings.Fields(targets)...)}, exposures(&config.Options{}))
		problems := r.Problems()
		if len(problems) != want {
			t.Errorf("%s: got problems %v, want %d", targets, problems, want)
		}
	}
}

// M6: a chain of eight hosts is followed, a longer one is not.
func TestResolveDepth(t *testing.T) {
	var claims []*Claim
	for i := range 12 {
		next := fmt.Sprintf("h%d.ex.org.", i+1)
		if i == 11 {
			next = "10.0.0.1"
		}
		claims = append(claims, testClaim(fmt.Sprintf("Ingress shop/i%02d 1", i), fmt.Sprintf("h%d.ex.org.", i), next))
	}
	outcomes := resolutions(resolve(&config.Options{}, claims, exposures(&config.Options{})))
	for i := range 12 {
		want := "10.0.0.1"
		if 11-i > maxDepth {
			want = ""
		}
		if got := outcomes[fmt.Sprintf("h%d.ex.org.", i)].render(); got != want {
			t.Errorf("a chain of %d further hosts: got %q, want %q", 11-i, got, want)
		}
	}
}

// A tangle that could be followed in more ways than there is time for must not be.
func TestResolveTangle(t *testing.T) {
	var hosts []string
	for i := range 200 {
		hosts = append(hosts, fmt.Sprintf("h%d.ex.org.", i))
	}
	var claims []*Claim
	for i, host := range hosts {
		claims = append(claims, testClaim(fmt.Sprintf("Ingress evil/i%03d 1", i), host, hosts...))
	}
	claims = append(claims, testClaim("Ingress shop/i 2", "h7.ex.org. h8.ex.org.", "10.0.0.1"), testClaim("Ingress shop/j 2", "a.ex.org.", "h7.ex.org."))
	outcomes := resolutions(resolve(&config.Options{}, claims, exposures(&config.Options{})))
	for _, host := range []string{"h7.ex.org.", "h8.ex.org.", "a.ex.org."} {
		if got := outcomes[host].render(); got != "10.0.0.1" {
			t.Errorf("%s beside a tangle of another namespace: got %q, want 10.0.0.1", host, got)
		}
	}
}

// M6: a loop is told for what it is.
func TestResolveLoop(t *testing.T) {
	r := resolve(&config.Options{}, []*Claim{testClaim("Ingress shop/i 1", "a.ex.org.", "a.ex.org.")}, exposures(&config.Options{}))
	problems := r.Problems()
	if len(problems) != 1 || !strings.Contains(problems[0].Text, `"a.ex.org" leads back to itself`) {
		t.Errorf("got %v", problems)
	}
}
