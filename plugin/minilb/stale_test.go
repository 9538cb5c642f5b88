package minilb

import (
	"testing"
	"time"

	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/records"
)

// extended returns the code of a reply's extended error, -1 for none.
func extended(t *testing.T, m *dns.Msg) int {
	t.Helper()
	opt := m.IsEdns0()
	if opt == nil {
		return -1
	}
	if len(opt.Option) != 1 || opt.Option[0].Option() != dns.EDNS0EDE {
		t.Fatalf("got the options %v", opt.Option)
	}
	ede := opt.Option[0].(*dns.EDNS0_EDE)
	if ede.ExtraText == "" {
		t.Error("it is not explained")
	}
	return int(ede.InfoCode)
}

// D74, D75, D78: why there is no answer, or an old one, for who can be told.
func TestExtendedErrors(t *testing.T) {
	none := -1
	for _, tc := range []struct {
		about  string
		synced bool
		away   time.Duration
		edns   bool
		name   string
		qtype  uint16
		rcode  int // of what is written
		code   int
	}{
		{"not synced", false, 0, true, "web.shop.minilb.", dns.TypeA, dns.RcodeServerFailure, int(dns.ExtendedErrorCodeNotReady)},
		{"not synced, and the API server away", false, time.Hour, true, "minilb.", dns.TypeSOA, dns.RcodeServerFailure, int(dns.ExtendedErrorCodeNotReady)},
		{"an answer", true, 0, true, "web.shop.minilb.", dns.TypeA, dns.RcodeSuccess, none},
		{"an answer after a while", true, staleAfter, true, "web.shop.minilb.", dns.TypeA, dns.RcodeSuccess, none},
		{"an old answer", true, staleAfter + time.Second, true, "web.shop.minilb.", dns.TypeA, dns.RcodeSuccess, int(dns.ExtendedErrorCodeStaleAnswer)},
		{"an old answer outside the zones", true, time.Hour, true, "a.ex.org.", dns.TypeA, dns.RcodeSuccess, int(dns.ExtendedErrorCodeStaleAnswer)},
		{"an old denial", true, time.Hour, true, "nope.minilb.", dns.TypeA, dns.RcodeNameError, int(dns.ExtendedErrorCodeStaleAnswer)},
		{"an old answer, without EDNS", true, time.Hour, false, "web.shop.minilb.", dns.TypeA, dns.RcodeSuccess, none},
	} {
		m := newMinilb(testConfig(), &records.AddressSet{})
		m.Next = passedOn
		if tc.synced {
			m = testPlugin(testConfig())
		}
		m.outage = func() time.Duration { return tc.away }
		question := new(dns.Msg).SetQuestion(tc.name, tc.qtype)
		if tc.edns {
			question.SetEdns0(1232, false)
		}
		rec := dnstest.NewRecorder(&test.ResponseWriter{})
		returned, err := m.ServeDNS(t.Context(), rec, question)
		if returned != dns.RcodeSuccess || err != nil || rec.Msg == nil {
			t.Errorf("%s: got %d, %v and %v, want it written", tc.about, returned, err, rec.Msg)
			continue
		}
		if rec.Msg.Rcode != tc.rcode {
			t.Errorf("%s: got %s", tc.about, dns.RcodeToString[rec.Msg.Rcode])
		}
		if got := extended(t, rec.Msg); got != tc.code {
			t.Errorf("%s: got the extended error %d, want %d", tc.about, got, tc.code)
		}
	}
}
