package stanza

import (
	"slices"
	"strings"
	"testing"
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
    minilb minilb 244.10.in-addr.arpa {
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
	if len(all) != 2 {
		t.Fatalf("got %d stanzas", len(all))
	}
	first, second := all[0], all[1]
	if o := first.Options; !slices.Equal(o.Zones, []string{"minilb.", "home.example.org."}) || o.Class != "example.org/lb" || len(o.Claims) != 1 || !o.Ingresses {
		t.Errorf("got %+v", o)
	}
	if o := second.Options; !slices.Equal(o.Zones, []string{"minilb."}) || !slices.Equal(o.ReverseZones, []string{"244.10.in-addr.arpa."}) ||
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
		if i, elsewhere := For(all, name); all[i].Options.Class != want || elsewhere != "" {
			t.Errorf("%s: got the stanza of class %q and %q, want %q", name, all[i].Options.Class, elsewhere, want)
		}
	}
	if _, elsewhere := For(all, "www.example.com."); elsewhere != "example.com." {
		t.Errorf("a name of a server block without the plugin is answered in %q", elsewhere)
	}
	if !first.Options.Reachable("anything.") {
		t.Error("a name is not reachable, although the second block is for all")
	}
}

func TestReadErrors(t *testing.T) {
	for corefile, want := range map[string]string{
		". {\n forward . 9.9.9.9\n}":         "Corefile: no server block has the plugin minilb",
		". {\n minilb\n}":                    "minilb has no zone for the Services",
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
	if err != nil || !slices.Equal(s.Options.Zones, []string{"home.example.org."}) || !s.Options.DefaultClass || !s.Options.Gateways {
		t.Errorf("got %+v, %v", s, err)
	}
	if _, err := Default("192.0.2.1", "minilb", false); err == nil || !strings.HasPrefix(err.Error(), "-domain: ") {
		t.Errorf("got %v", err)
	}
	if _, err := Default("minilb", "a b", false); err == nil || !strings.HasPrefix(err.Error(), "-class: ") {
		t.Errorf("got %v", err)
	}
}
