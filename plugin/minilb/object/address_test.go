package object

import (
	"net/netip"
	"testing"
)

// unusable are addresses that no name may lead to, in all spellings that an object can have.
var unusable = []string{
	"127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::ffff:0:127.0.0.1",
	"64:ff9b:1::127.0.0.1", "64:ff9b:1:2:3:4:7f00:1", "64:ff9b:1:7f00:0:100::", "64:ff9b:1::169.254.169.254", "64:ff9b:1::",
	"169.254.169.254", "169.254.0.1", "fe80::1", "febf::1", "::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::1",
	"224.0.0.1", "239.255.255.250", "ff02::1", "ff01::1", "ff05::2", "ff0e::1", "::ffff:224.0.0.1",
	"0.0.0.0", "0.0.0.1", "0.255.255.255", "::", "::ffff:0.0.0.0", "64:ff9b::",
	"255.255.255.255", "::ffff:255.255.255.255",
}

func TestUsable(t *testing.T) {
	for _, written := range unusable {
		addr := netip.MustParseAddr(written)
		if usable(addr) {
			t.Errorf("%s is usable", written)
		}
	}
	for _, written := range []string{
		"10.0.0.1", "100.64.0.1", "192.168.1.255", "1.0.0.1", "126.255.255.255", "128.0.0.1", "169.253.255.255", "223.255.255.255", "240.0.0.1",
		"fd00::1", "2001:db8::1", "fec0::1", "64:ff9b::192.0.2.1", "64:ff9b:1::192.0.2.1", "64:ff9b:1:c000:2:100::", "2002:c000:201::1", "::ffff:0:10.0.0.1",
	} {
		if !usable(netip.MustParseAddr(written)) {
			t.Errorf("%s is not usable", written)
		}
	}
	if usable(netip.Addr{}) || usable(netip.MustParseAddr("fd00::1%eth0")) {
		t.Error("no address, or one of a link, is usable")
	}
}

// D34: the property addresses names the networks of addresses that a status has.
func TestIn(t *testing.T) {
	networks := []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24"), netip.MustParsePrefix("fd00:1::/32"), netip.MustParsePrefix("127.0.0.0/8")}
	for written, want := range map[string]bool{
		"192.168.1.7": true, "192.168.2.7": false, "fd00:1::7": true, "fd00:2::7": false, "64:ff9b::192.168.1.7": true, "64:ff9b::192.168.2.7": false,
		"64:ff9b:1::192.168.1.7": true, "2002:c0a8:107::": true, "2002:c0a8:207::": false, "127.0.0.1": false, "64:ff9b::127.0.0.1": false, "2001:db8::1": false,
	} {
		if got := In(networks, netip.MustParseAddr(written)); got != want {
			t.Errorf("%s: got %v, want %v", written, got, want)
		}
		if addr := netip.MustParseAddr(written); In(nil, addr) != usable(addr) {
			t.Errorf("%s: without the property it is not as ever", written)
		}
	}
}
