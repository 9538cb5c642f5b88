package explain

import (
	"strings"
	"testing"
)

// What people copy from their browsers and from kubectl is understood, and it is said how (I10).
func TestName(t *testing.T) {
	for _, tc := range []struct{ text, name, note string }{
		{"MQTT.example.org", "mqtt.example.org.", ""},
		{"mqtt.example.org.", "mqtt.example.org.", ""},
		{"*.example.org", "*.example.org.", ""},
		{"_http._tcp.web.shop.minilb", "_http._tcp.web.shop.minilb.", ""},
		{"nas", "nas.", ""},
		{".", ".", ""},
		{"https://shop.example.org/cart?x=1", "shop.example.org.", `of "https://shop.example.org/cart?x=1" only the host is a name of DNS`},
		{"https://admin@shop.example.org:8443", "shop.example.org.", `of "https://admin@shop.example.org:8443" only the host is a name of DNS`},
		{"shop.example.org:443", "shop.example.org.", `of "shop.example.org:443" only the host is a name of DNS`},
		{"shop.example.org/", "shop.example.org.", `of "shop.example.org/" only the host is a name of DNS`},
		{"münchen.example.org", "xn--mnchen-3ya.example.org.", `of "münchen.example.org" only the host is a name of DNS`},
		{"10.244.1.7", "7.1.244.10.in-addr.arpa.", "7.1.244.10.in-addr.arpa is the reverse name of 10.244.1.7"},
		{"::ffff:10.244.1.7", "7.1.244.10.in-addr.arpa.", "7.1.244.10.in-addr.arpa is the reverse name of 10.244.1.7"},
		{"[fd00::1]", "1." + strings.Repeat("0.", 29) + "d.f.ip6.arpa.", "1." + strings.Repeat("0.", 29) + "d.f.ip6.arpa is the reverse name of fd00::1"},
		{"shop/web", "web.shop.lan.", "web.shop.lan is the name of Service shop/web"},
	} {
		if got, err := parseName(tc.text, "lan."); got != (Name{tc.name, tc.note}) || err != nil {
			t.Errorf("%q: got %+v, %v, want %q, %q", tc.text, got, err, tc.name, tc.note)
		}
	}
	for text, want := range map[string]string{
		"": "not a DNS name", "a..b": "not a DNS name", "a b": "not a DNS name", "https://": "not a DNS name", "a b.org": "not a DNS name", strings.Repeat("a", 64) + ".org": "not a DNS name",
		"10.0.0.1:80": "not a DNS name", "https://10.0.0.1/": "not a DNS name",
	} {
		if name, err := parseName(text, "lan."); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %+v, error %v, want one that says %q", text, name, err, want)
		}
	}
}
