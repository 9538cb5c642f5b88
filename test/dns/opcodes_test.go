package dns_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// TestOpcodes sends the real server what is no question (D29b): it answers none of it as one, and leaves NOTIFYs of
// zones that are not its own to plugin secondary behind it, though somebody claims the name.
func TestOpcodes(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	namespace := harness.NewNamespace(t, c)
	in := strings.NewReplacer("NS", namespace).Replace
	harness.Must(t, harness.Apply(c, in(harness.ExposedServiceIn(namespace, "web", "10.1.0.1", "annotations: {minilb/host: 'NS.test,host.NS.test'}"))))
	primary := harness.FreePorts(t, 1)[0] // nobody is there
	s := harness.StartCoreDNS(t, strings.Replace(harness.ResolverFor(harness.ShippedAccounts(t, c).DNS, harness.StartUpstream(t)),
		"cache\n", in("secondary NS.test {\ntransfer from "+primary+"\n}\ncache\n"), 1))
	s.WaitReady(t)
	cluster.Eventually(t, 10*time.Second, func() error { return s.Expect(in("host.NS.test"), dns.TypeA, "10.1.0.1") })

	for _, network := range []string{"udp", "tcp"} {
		for _, tc := range []struct {
			opcode int
			name   string
			qtype  uint16
			rcode  int
		}{
			{dns.OpcodeNotify, "minilb.", dns.TypeSOA, dns.RcodeNotImplemented},
			{dns.OpcodeNotify, "web.NS.minilb.", dns.TypeA, dns.RcodeNotImplemented},
			{dns.OpcodeNotify, "nope.minilb.", dns.TypeA, dns.RcodeNotImplemented},
			{dns.OpcodeNotify, "minilb.", dns.TypeAXFR, dns.RcodeNotImplemented},
			{dns.OpcodeNotify, "NS.test.", dns.TypeSOA, dns.RcodeSuccess},
			{dns.OpcodeUpdate, "minilb.", dns.TypeSOA, dns.RcodeNotImplemented},
			{dns.OpcodeStatus, "web.NS.minilb.", dns.TypeA, dns.RcodeNotImplemented},
			{dns.OpcodeIQuery, "web.NS.minilb.", dns.TypeA, dns.RcodeNotImplemented},
			{7, "host.NS.test.", dns.TypeA, dns.RcodeNotImplemented},
		} {
			m := new(dns.Msg).SetQuestion(in(tc.name), tc.qtype)
			m.Opcode = tc.opcode
			client := dns.Client{Net: network, Timeout: 5 * time.Second}
			reply, _, err := client.Exchange(m, s.Addr)
			if err != nil {
				t.Errorf("opcode %d of %s over %s: %v", tc.opcode, m.Question[0].Name, network, err)
				continue
			}
			got := fmt.Sprintf("%s with %d records", dns.RcodeToString[reply.Rcode], len(reply.Answer)+len(reply.Ns))
			if want := dns.RcodeToString[tc.rcode] + " with 0 records"; got != want || reply.Opcode != tc.opcode {
				t.Errorf("opcode %d of %s over %s: got opcode %d, %s, want %s", tc.opcode, m.Question[0].Name, network, reply.Opcode, got, want)
			}
		}
	}
	cluster.Eventually(t, 10*time.Second, func() error { // by which it is to look for news
		if lines := s.Log.Lines(in("Notify from 127.0.0.1 for NS.test.")); len(lines) == 0 {
			return fmt.Errorf("plugin secondary got no NOTIFY:\n%s", s.Log)
		}
		return nil
	})
}
