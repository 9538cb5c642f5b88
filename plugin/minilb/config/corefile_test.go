package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/coredns/coredns/plugin"
)

func TestRead(t *testing.T) {
	const corefile = `
(common) {
    errors
}
minilb dns://home.example.org:53 10.244.0.0/16 {
    minilb {
        kubeconfig /etc/minilb/kubeconfig
        class example.org/lb
        claim example.org from shop blog
        claim *.wrong {$NOTHING}
    }
    import common
}
. {
    minilb minilb 10.244.0.0/15 {
        claim example.org from shop
        claim apps.example.org
        resources service gateway
        fallthrough example.net minilb
        ttl 3
    }
    forward . 9.9.9.9
}
example.com {
    forward . 9.9.9.9
}
`
	if _, err := Read("Corefile", strings.NewReader(corefile)); err == nil || !strings.Contains(err.Error(), "Corefile:10 - Error during parsing: claim: suffix") {
		t.Errorf("got %v", err)
	}
	all, err := Read("Corefile", strings.NewReader(strings.Replace(corefile, "claim *.wrong {$NOTHING}", "", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if len(all.Blocks) != 2 {
		t.Fatalf("got %d plugin blocks", len(all.Blocks))
	}
	first, second := all.Blocks[0], all.Blocks[1]
	if o := first.Options; !slices.Equal(o.Zones, []string{"minilb.", "home.example.org."}) || o.Class != "example.org/lb" || !slices.Equal(o.ReverseZones, []string{"244.10.in-addr.arpa."}) || len(o.Claims) != 1 || !o.Ingresses {
		t.Errorf("got %+v", o)
	}
	if o := second.Options; !slices.Equal(o.Zones, []string{"minilb."}) || !slices.Equal(o.ReverseZones, []string{"244.10.in-addr.arpa.", "245.10.in-addr.arpa."}) ||
		o.Class != "minilb" || len(o.Claims) != 2 || o.Ingresses || !o.Gateways || !o.Services {
		t.Errorf("got %+v", o)
	}
	for name, want := range map[string]bool{"a.example.net.": true, "a.b.minilb.": true, "1.244.10.in-addr.arpa.": false, "other.org.": true} {
		if got := second.Falls(name); got != want {
			t.Errorf("%s: falls is %v", name, got)
		}
	}
	if first.Falls("a.b.minilb.") {
		t.Error("without fallthrough, unknown names are passed on")
	}
	for name, want := range map[string]string{"a.b.minilb.": "example.org/lb", "example.org.": "minilb", "www.home.example.org.": "example.org/lb"} {
		if i, elsewhere := all.BlockOf(name); all.Blocks[i].Options.Class != want || elsewhere != "" {
			t.Errorf("%s: got the block of class %q and %q, want %q", name, all.Blocks[i].Options.Class, elsewhere, want)
		}
	}
	if _, elsewhere := all.BlockOf("www.example.com."); elsewhere != "example.com." {
		t.Errorf("a name of a server block without the plugin is answered in %q", elsewhere)
	}
	if !all.Covered("anything.") {
		t.Error("a name is not reachable, although the second block is for all")
	}
}

// D8, M5b: the server block with the longest zone is asked, and the first of them if none is for a name.
func TestBlockOf(t *testing.T) {
	all, err := Read("Corefile", strings.NewReader("lan:53 example.org:53 {\n minilb lan\n}\nshop.lan:53 {\n minilb shop.lan\n}\nexample.org:1053 {\n minilb minilb\n}\nweb.lan a.shop.lan {\n whoami\n}\norg {\n whoami\n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		index     int
		elsewhere string
	}{
		"lan.": {0, ""}, "a.lan.": {0, ""}, "shop.lan.": {1, ""}, "b.shop.lan.": {1, ""}, "xshop.lan.": {0, ""},
		"web.lan.": {0, "web.lan."}, "x.web.lan.": {0, "web.lan."}, "a.shop.lan.": {1, "a.shop.lan."},
		"example.org.": {0, ""}, "other.org.": {0, "org."}, "example.net.": {0, ""},
	} {
		if index, elsewhere := all.BlockOf(name); index != want.index || elsewhere != want.elsewhere {
			t.Errorf("%s: got %d, %q, want %d, %q", name, index, elsewhere, want.index, want.elsewhere)
		}
		if reachable := all.Covered(name); reachable != (name != "example.net." && name != "other.org.") {
			t.Errorf("%s: reachable is %v", name, reachable)
		}
	}
}

// D2: unknown names are passed on outside of the zones, and within those that fallthrough names.
func TestFalls(t *testing.T) {
	for _, tc := range []struct {
		line string
		want map[string]bool
	}{
		{"", map[string]bool{"a.minilb.": false, "minilb.": false, "1.10.in-addr.arpa.": false, "xminilb.": true, ".": true}},
		{"fallthrough", map[string]bool{"a.minilb.": true, "minilb.": true, "1.10.in-addr.arpa.": true, "b.org.": true}},
		{"fallthrough shop.minilb", map[string]bool{"a.minilb.": false, "a.shop.minilb.": true, "1.10.in-addr.arpa.": false}},
	} {
		all, err := Read("Corefile", strings.NewReader(". {\n minilb minilb 10.in-addr.arpa {\n"+tc.line+"\n}\n}"))
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range tc.want {
			if got := all.Blocks[0].Falls(name); got != want {
				t.Errorf("%q: %s: got %v, want %v", tc.line, name, got, want)
			}
		}
	}
	s, err := Default("minilb", "minilb", false)
	if err != nil || s.Blocks[0].Falls("a.minilb.") || !s.Blocks[0].Falls("a.org.") {
		t.Errorf("without a Corefile: %v", err)
	}
}

func TestReadErrors(t *testing.T) {
	for corefile, want := range map[string]string{
		". {\n forward . 9.9.9.9\n}":         "Corefile: no server block has the plugin minilb",
		". {\n minilb\n}":                    "Corefile:2 - Error during parsing: the root zone cannot be served",
		"10.0.0.0/8 {\n minilb\n}":           `zones ["10.in-addr.arpa."] are only reverse zones`,
		"a..b {\n minilb lan\n}":             `Corefile: "a..b" is not a zone`,
		"minilb {\n minilb {\n class\n }\n}": "class: got nothing, want NAME",
		"minilb {":                           "read the Corefile",
	} {
		if _, err := Read("Corefile", strings.NewReader(corefile)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", corefile, err, want)
		}
	}
}

func TestDefault(t *testing.T) {
	s, err := Default("Home.Example.Org.", "minilb", true)
	if err != nil {
		t.Fatal(err)
	}
	if o := s.Blocks[0].Options; !slices.Equal(o.Zones, []string{"home.example.org."}) || !o.DefaultClass || !o.Gateways {
		t.Errorf("got %+v, %v", s, err)
	}
	if _, err := Default("192.0.2.1", "minilb", false); err == nil || !strings.HasPrefix(err.Error(), "-domain: ") {
		t.Errorf("got %v", err)
	}
	if _, err := Default("minilb", "a b", false); err == nil || !strings.HasPrefix(err.Error(), "-class: ") {
		t.Errorf("got %v", err)
	}
}

// The zones of keys and arguments are those that CoreDNS makes of them.
func FuzzZoneNames(f *testing.F) {
	for _, key := range []string{
		"", ".", "minilb", "MiniLB.:53", "dns://lan:1053", "tls://lan", "https3://x", "foo://x", "a..b", "lan:", ":53", "x:y", "10.0.0.0/8", "10.244.0.0/15", "10.0.0.0/33",
		"dns://10.244.0.0/16:53", "192.0.2.128/25", "fd00::/62", "::/0", "0::/8", "0.0.0.0/0", "fd00::/8:53", "unix://a/b",
	} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if got, want := zoneNames(key), plugin.Host(key).NormalizeExact(); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", key, got, want)
		}
	})
}
