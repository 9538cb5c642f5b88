package inspect

import (
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/minilb/minilb/plugin/minilb/config"
)

// C3, C6, D10, D12, D17, G44: of objects that ask for a name, or for a wildcard that covers it, those answer
// that do; others say what hides them, or which of their targets are left out. Who has nothing to do with
// the answer is not told of.
func TestClaimsHidden(t *testing.T) {
	at := func(id, host string, addresses ...string) runtime.Object {
		i := testIngress(id, host)
		for _, address := range addresses {
			entry := networkingv1.IngressLoadBalancerIngress{IP: address}
			if strings.Contains(address, "b.") {
				entry = networkingv1.IngressLoadBalancerIngress{Hostname: address}
			}
			i.Status.LoadBalancer.Ingress = append(i.Status.LoadBalancer.Ingress, entry)
		}
		return i
	}
	wild, below, web := at("shop/wild", "*.ex.org", "10.0.0.1"), at("shop/below", "x.dev.ex.org", "10.0.0.2"), testService("shop/web", 0, "")
	const nothing = " and a wildcard covers nothing that exists or is below that (RFC 4592); "
	for _, tc := range []claimsCase{
		{"a name below another", nil, []runtime.Object{wild, below}, "y.dev.ex.org.", []string{
			`Ingress shop/wild *.ex.org: "*.ex.org" does not count here: "dev.ex.org" exists, as "x.dev.ex.org" lies below it,` + nothing + `claim "y.dev.ex.org" as well, or "*.dev.ex.org"`}},
		{"a name above another", nil, []runtime.Object{wild, below}, "dev.ex.org.", []string{
			`Ingress shop/wild *.ex.org: "*.ex.org" does not count here: "dev.ex.org" exists, as "x.dev.ex.org" lies below it,` + nothing + `claim "dev.ex.org" as well`}},
		{"a name beside", nil, []runtime.Object{wild, below}, "y.prod.ex.org.", []string{"Ingress shop/wild *.ex.org -> address 10.0.0.1"}},
		{"a name that is claimed", nil, []runtime.Object{wild, below}, "y.x.dev.ex.org.", []string{
			`Ingress shop/wild *.ex.org: "*.ex.org" does not count here: "x.dev.ex.org" exists, and a wildcard covers nothing below that (RFC 4592); claim "y.x.dev.ex.org" as well, or "*.x.dev.ex.org"`}},
		{"another namespace's name below", nil, []runtime.Object{wild, at("evil/below", "a.a.dev.ex.org", "6.6.6.6")}, "dev.ex.org.", []string{"Ingress shop/wild *.ex.org -> address 10.0.0.1"}}, // C7b
		{"names below of both", nil, []runtime.Object{wild, below, at("evil/below", "a.a.dev.ex.org", "6.6.6.6")}, "y.a.dev.ex.org.", []string{
			`Ingress shop/wild *.ex.org: "*.ex.org" does not count here: "dev.ex.org" exists, as "x.dev.ex.org" lies below it,` + nothing + `claim "y.a.dev.ex.org" as well, or "*.dev.ex.org"`}},
		{"a closer wildcard", nil, []runtime.Object{wild, at("shop/closer", "*.dev.ex.org", "10.0.0.2")}, "y.dev.ex.org.", []string{
			"Ingress shop/closer *.dev.ex.org -> address 10.0.0.2", `Ingress shop/wild *.ex.org: "*.ex.org" does not count here: "*.dev.ex.org" is closer`}},
		{"the name of a Service", nil, []runtime.Object{web, at("shop/wild", "*.shop.minilb", "10.0.0.1")}, "x.web.shop.minilb.", []string{
			`Ingress shop/wild *.shop.minilb: "*.shop.minilb" does not count here: "web.shop.minilb" exists, and a wildcard covers nothing below that (RFC 4592); claim "x.web.shop.minilb" as well, or "*.web.shop.minilb"`}},
		{"a claim line", func(o *config.Options) {
			o.Claims = []config.ClaimRule{{Suffix: "ex.org.", Namespaces: []string{"shop"}}, {Suffix: "pay.ex.org.", Namespaces: []string{"pay"}}}
		}, []runtime.Object{wild}, "x.pay.ex.org.", []string{
			`Ingress shop/wild *.ex.org: "*.ex.org" does not count here: a claim line of the Corefile gives "pay.ex.org" to other namespaces`}},
		{"a name that no wildcard covers", nil, []runtime.Object{wild}, "wpad.dev.ex.org.", []string{ // C7
			`Ingress shop/wild *.ex.org: "*.ex.org" does not count here: clients ask for such names by themselves, and no wildcard covers them`}},
		{"a zone", func(o *config.Options) { o.Zones = append(o.Zones, "lan.ex.org.") }, []runtime.Object{wild}, "x.lan.ex.org.", []string{
			`Ingress shop/wild *.ex.org: "*.ex.org" does not count here: the name lies in the zone "lan.ex.org", which is answered for by itself`}},
		{"a wildcard that is refused, of a name that is there", nil, []runtime.Object{web, at("evil/all", "*.minilb", "6.6.6.6")}, "web.shop.minilb.", nil},
		{"a wildcard that is refused, of a name that is not", nil, []runtime.Object{web, at("evil/all", "*.minilb", "6.6.6.6")}, "nobody.minilb.", []string{
			`Ingress evil/all *.minilb: host "*.minilb" is refused: it would cover every namespace of zone minilb`}},
		{"a wildcard that is refused, of a Service that is not", nil, []runtime.Object{web, at("evil/all", "*.minilb", "6.6.6.6")}, "other.shop.minilb.", nil},
		{"a wildcard that is refused, of a name that is refused", nil, []runtime.Object{at("evil/all", "*.ex.org"), at("shop/a", "a.ex.org")}, "a.ex.org.", []string{
			`Ingress shop/a a.ex.org: host "a.ex.org" is not served: its status has no address yet; is its ingress controller running and publishing one?`}},
		{"a wildcard without an address, of a name that is answered", nil, []runtime.Object{below, at("evil/all", "*.ex.org")}, "x.dev.ex.org.", []string{"Ingress shop/below x.dev.ex.org -> address 10.0.0.2"}},
		{"its own Service's name", nil, []runtime.Object{web, at("evil/own", "web.shop.minilb", "web.shop.minilb")}, "web.shop.minilb.", []string{
			"Ingress evil/own web.shop.minilb -> Service shop/web (shop/web): it is the name of Service shop/web anyway"}},
		{"who leads it there as well", nil, []runtime.Object{web, at("shop/a", "a.ex.org", "web.shop.minilb"), at("store/a", "a.ex.org", "web.shop.minilb")}, "a.ex.org.", []string{
			"Ingress shop/a a.ex.org -> Service shop/web (shop/web)", "Ingress store/a a.ex.org -> Service shop/web (shop/web)"}},
		{"an address and a hostname", nil, []runtime.Object{at("shop/a", "a.ex.org", "10.0.0.1", "lb.aws.com"), at("shop/b", "a.ex.org", "lb.aws.com")}, "a.ex.org.", []string{
			`Ingress shop/a a.ex.org -> address 10.0.0.1: its hostname "lb.aws.com" is left out: a name that has addresses cannot be an alias`,
			`Ingress shop/b a.ex.org: its hostname "lb.aws.com" is left out: a name that has addresses cannot be an alias`}},
		{"hostnames", nil, []runtime.Object{at("shop/a", "a.ex.org", "b.aws.com", "lb.aws.com", "b.gone.minilb")}, "a.ex.org.", []string{
			`Ingress shop/a a.ex.org -> host b.aws.com: host "a.ex.org" has several hostnames as its addresses; only "b.aws.com" is answered; ` +
				`its hostname "lb.aws.com" is left out: a name is an alias of one, here of "b.aws.com"; its hostname "b.gone.minilb" is left out: it is in our zone, but nothing of ours has that name`}},
	} {
		t.Run(tc.name, tc.run)
	}
}
