package main

import (
	"net/netip"
	"testing"

	"github.com/miekg/dns"
)

// No two endpoints of the large data set have the same address, nor does a change lead to one
// that there has been.
func TestAddresses(t *testing.T) {
	seen := map[netip.Addr]bool{}
	add := func(text string) {
		addr, err := netip.ParseAddr(text)
		if err != nil || seen[addr] {
			t.Fatalf("address %q: %v, seen before: %v", text, err, seen[addr])
		}
		seen[addr] = true
	}
	for i := range large.services {
		for j := range large.endpoints {
			add(large.address(i, j, 0))
		}
	}
	last := large.endpoints - 1
	for change := 1; change < 100_000; change++ {
		add(large.address(change%large.services, last, change))
	}
	if before, after := large.slice(7, 0), large.slice(7, 1); before.Endpoints[0].Addresses[0] != after.Endpoints[0].Addresses[0] || before.Endpoints[last].Addresses[0] == after.Endpoints[last].Addresses[0] {
		t.Errorf("got %v after %v, want another last address alone", after.Endpoints, before.Endpoints)
	}
}

func TestQuestion(t *testing.T) {
	reply := new(dns.Msg).SetQuestion("s00001.large.minilb.", dns.TypeA)
	for _, addr := range []string{"10.0.0.1", "10.0.0.2"} {
		rr, err := dns.NewRR("s00001.large.minilb. 5 IN A " + addr)
		if err != nil {
			t.Fatal(err)
		}
		reply.Answer = append(reply.Answer, rr)
	}
	for _, tc := range []struct {
		question
		ok bool
	}{
		{question{qtype: dns.TypeA, answers: 2}, true},
		{question{qtype: dns.TypeA, answers: 2, has: "10.0.0.2"}, true},
		{question{qtype: dns.TypeA, answers: 2, has: "10.0.0.3"}, false},
		{question{qtype: dns.TypeA, answers: 1}, false},
		{question{qtype: dns.TypeAAAA}, true},
		{question{qtype: dns.TypeA, answers: 2, rcode: dns.RcodeNameError}, false},
	} {
		if err := tc.check(reply); (err == nil) != tc.ok {
			t.Errorf("%+v: got %v", tc.question, err)
		}
	}
}
