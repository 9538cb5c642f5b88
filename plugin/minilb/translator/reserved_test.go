package translator

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// C7: what clients ask for by themselves, and what is wider than anybody's domain, is refused, unless a
// claim line names that very suffix.
func TestReserved(t *testing.T) {
	for host, exception := range map[string]string{
		"*.com.": "com", "*.co.uk.": "co.uk", "*.ck.": "ck", "*.foo.ck.": "foo.ck",
		"arpa.": "arpa", "1.2.0.192.in-addr.arpa.": "arpa", "*.ip6.arpa.": "ip6.arpa",
		"localhost.": "localhost", "a.localhost.": "localhost", "*.localhost.": "localhost", "x.invalid.": "invalid", "abc.onion.": "abc.onion",
		"wpad.": "wpad", "wpad.lan.": "wpad.lan", "wpad.shop.minilb.": "wpad.shop.minilb", "isatap.ex.org.": "isatap.ex.org", "wpad.home.arpa.": "wpad.home.arpa",
		"use-application-dns.net.": "use-application-dns.net",
	} {
		o := &config.Options{Zones: []string{"minilb."}}
		if text, _ := o.Reserved(host); text == "" {
			t.Errorf("%s can be claimed", host)
		}
		o.Claims = []config.ClaimRule{{Suffix: "."}, {Suffix: "lan."}, {Suffix: "org."}, {Suffix: "minilb."}, {Suffix: "home.arpa."}}
		if text, _ := o.Reserved(host); text == "" {
			t.Errorf("%s can be claimed by a line that does not name it", host)
		}
		o.Claims = append(o.Claims, config.ClaimRule{Suffix: exception + "."})
		if text, _ := o.Reserved(host); text != "" {
			t.Errorf("%s cannot be claimed though a line names %s: %s", host, exception, text)
		}
	}
	for _, host := range []string{
		"com.", "a.com.", "*.a.com.", "*.lan.", "*.test.", "*.example.", "*.internal.", "*.github.io.", "a.test.", "nas.home.arpa.", "*.home.arpa.", "home.arpa.",
		"wpad2.lan.", "*.wpad.lan.", "mylocalhost.", "xarpa.", "a.local.", "*.minilb.", "x.use-application-dns.net.example.",
	} {
		if text, _ := (&config.Options{Zones: []string{"minilb."}}).Reserved(host); text != "" {
			t.Errorf("%s cannot be claimed: %s", host, text)
		}
	}
	if text, _ := (&config.Options{Zones: []string{"lab.arpa."}}).Reserved("nas.lab.arpa."); text != "" {
		t.Errorf("in a zone of the Corefile: %s", text)
	}
}

// C7, I10: of what is refused, and what there is to know of the rest, each host has one line.
func TestReservedClaims(t *testing.T) {
	b := newBench(t, config.Options{Gateways: true, Zones: []string{"minilb.", "lan."}})
	queueObject[*object.Namespace](b.claims)(nil, &object.Namespace{Meta: object.Meta{Name: "kube-system"}})
	queueObject[*object.Namespace](b.claims)(nil, &object.Namespace{Meta: object.Meta{Name: "shop"}})
	b.services().Update(testService("shop/web", 1, "nas, kube-system shop\n*.com, wpad, localhost, tv.local, ok.ex.org"))
	b.services().Update(testService("shop/low", 1, "kube-system.lan"))
	b.services().Update(testService("shop/old", 1, "a.lan"))
	b.sync()
	b.log.take()
	for name, want := range map[string]string{
		"nas.minilb.": "", "shop.minilb.": "", "tv.local.": "", "ok.ex.org.": "", "a.lan.": "",
		"kube-system.minilb.": "-", "kube-system.lan.": "-", "any.com.": "-", "wpad.minilb.": "-", "wpad.": "-", "localhost.": "-", "localhost.minilb.": "-", "nas.": "-",
	} {
		b.want(name, want)
	}
	var got []string
	for _, p := range b.problems() {
		got = append(got, string(p.Reason)+" "+p.Text)
	}
	slices.Sort(got)
	want := []string{
		`notice host "nas" has no dot, so it means nas.minilb; "nas." with a final dot would be the name itself`,
		`notice host "shop" has no dot, so it means shop.minilb; "shop." with a final dot would be the name itself`,
		`notice host "tv.local" lies in local, where macOS, iOS and Linux with systemd-resolved or Avahi look names up by multicast and ask no server (RFC 6762)`,
		`withheld host "*.com" is refused: it would cover all domains of the public suffix "com"; the line "claim . com" in the Corefile would allow it, and all others as before`,
		`withheld host "kube-system.lan" is refused: it is the name of namespace "kube-system"; the line "claim . kube-system.lan" in the Corefile would allow it, and all others as before`,
		`withheld host "kube-system.minilb", written as "kube-system", is refused: it is the name of namespace "kube-system"; the line "claim . kube-system.minilb" in the Corefile would allow it, and all others as before`,
		`withheld host "localhost" is refused: localhost is for whoever asks; the line "claim . localhost" in the Corefile would allow it, and all others as before`,
		`withheld host "wpad.minilb", written as "wpad", is refused: clients ask for "wpad" by themselves, to find their proxy or tunnel; the line "claim . wpad.minilb" in the Corefile would allow it, and all others as before`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if rejected := b.tr.Stats().Rejected; rejected["reserved"] != 5 || len(rejected) != 1 {
		t.Errorf("got %v, want 5 that are reserved, and no notices", rejected)
	}

	// No wildcard covers what clients ask for by themselves, whether they ask or a status has it, but a line may
	// allow a claim on it.
	wild := newBench(t, config.Options{Zones: []string{"minilb."}, Claims: []config.ClaimRule{{Suffix: "."}, {Suffix: "wpad.ex.org."}}})
	wild.services().Update(testService("shop/web", 1, "*.lan *.shop.minilb *.ex.org wpad.ex.org"))
	i := testIngress("shop/i", "a.lan")
	i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{Hostname: "wpad.x.lan"}}
	wild.watcher.Ingresses("").Update(i)
	wild.sync()
	for name, want := range map[string]string{
		"x.lan.": "", "x.shop.minilb.": "", "wpad.ex.org.": "", "wpad.lan.": "-", "wpad.x.lan.": "-", "isatap.lan.": "-", "wpad.shop.minilb.": "-", "isatap.ex.org.": "-",
		"a.lan.": "wpad.x.lan.",
	} {
		wild.want(name, want)
	}

	// The line that the text asks for allows what it says, and all else.
	for line, hosts := range map[string]string{".": "-", ". wpad.minilb com": ""} {
		with := newBench(t, config.Options{Zones: []string{"minilb."}})
		for suffix := range strings.FieldsSeq(line) {
			with.tr.options.Claims = append(with.tr.options.Claims, config.ClaimRule{Suffix: strings.TrimSuffix(suffix, ".") + "."})
		}
		with.services().Update(testService("shop/web", 1, "*.com wpad ok.ex.org"))
		with.sync()
		for name, want := range map[string]string{"any.com.": hosts, "wpad.minilb.": hosts, "ok.ex.org.": ""} {
			with.want(name, want)
		}
		problems := with.problems()
		if text := "; a claim line that names com would allow it"; hosts == "-" && !strings.HasSuffix(problems[0].Text, text) && !strings.HasSuffix(problems[1].Text, text) {
			t.Errorf("got %v, want one with %q", problems, text)
		}
	}

	// A namespace that comes later takes the name back.
	queueObject[*object.Namespace](b.claims)(nil, &object.Namespace{Meta: object.Meta{Name: "nas"}})
	b.publish()
	b.want("nas.minilb.", "-")
}

// C7: that Namespaces cannot be read is said once, though no Gateway needs them, as their names are open to claims
// then. They are taken back as soon as they can.
func TestReservedUnread(t *testing.T) {
	for _, named := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			api := newFakeAPI()
			api.objects["namespaces"] = []runtime.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "nas"}}}
			api.objects["services"] = []runtime.Object{testService("shop/web", 1, "nas")}
			api.objects["endpointslices"] = []runtime.Object{sliceObject("shop/web", "web-1", "10.0.0.1")}
			api.refuse("namespaces", errForbidden)
			api.offer()
			options := config.Options{Gateways: true}
			if !named {
				options.Zones = []string{}
			}
			b, stop := runBench(t, api, options)
			defer stop()
			time.Sleep(time.Minute)
			synctest.Wait()
			if named {
				b.want("nas.minilb.", "10.0.0.1")
			}
			var got []string
			for _, line := range b.log.take() {
				if strings.Contains(line, "namespaces") {
					got = append(got, line)
				}
			}
			if want := "W namespaces: list and watch is forbidden"; named != (len(got) == 1 && strings.HasPrefix(got[0], want) && strings.HasSuffix(got[0], "; as long as it is, others may claim the name of a namespace in a zone")) || !named && got != nil {
				t.Errorf("zones: %v: got the log %q", named, got)
			}
			api.refuse("namespaces", nil)
			time.Sleep(time.Minute)
			synctest.Wait()
			b.want("nas.minilb.", "-")
		})
	}
}

// sliceObject returns an EndpointSlice of a Service, with ready endpoints.
func sliceObject(service, name string, addrs ...string) *discoveryv1.EndpointSlice {
	namespace, service, _ := strings.Cut(service, "/")
	s := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4}
	s.Namespace, s.Name, s.Labels = namespace, name, map[string]string{discoveryv1.LabelServiceName: service}
	for _, addr := range addrs {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{addr}})
	}
	return s
}
