package check

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestServer(t *testing.T) {
	for written, want := range map[string]string{
		"192.0.2.1": "192.0.2.1:53", "192.0.2.1:5353": "192.0.2.1:5353", "2001:db8::1": "[2001:db8::1]:53", "[2001:db8::1]": "[2001:db8::1]:53",
		"[2001:db8::1]:5353": "[2001:db8::1]:5353", "dns.example.org": "dns.example.org:53", "localhost:1053": "localhost:1053",
		"192.0.2.1:": "", "192.0.2.1:x": "", "192.0.2.1:70000": "", ":53": "", "a b": "", "https://x": "",
	} {
		if got, err := Server(written); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", written, got, err, want)
		}
	}
}

// serve runs a DNS server on UDP and TCP until the test ends, and returns its address.
func serve(t *testing.T, handler dns.HandlerFunc) string {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", packets.LocalAddr().String())
	if err != nil {
		t.Skipf("the TCP port of the same number is taken: %v", err)
	}
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: handler}, {Listener: listener, Handler: handler}} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go server.ActivateAndServe()
		<-started
		t.Cleanup(func() { server.Shutdown() })
	}
	return packets.LocalAddr().String()
}

// What a server says is told from what it should, over TCP where it takes that.
func TestAnswers(t *testing.T) {
	server := serve(t, func(w dns.ResponseWriter, r *dns.Msg) {
		reply := new(dns.Msg).SetReply(r)
		q := r.Question[0]
		add := func(text string) {
			rr, err := dns.NewRR(q.Name + " 5 IN " + text)
			if err != nil {
				t.Error(err)
			}
			reply.Answer = append(reply.Answer, rr)
		}
		switch name, _, _ := strings.Cut(q.Name, "."); name {
		case "silent":
			return
		case "nxdomain":
			reply.Rcode = dns.RcodeNameError
		case "large":
			if w.LocalAddr().Network() == "udp" {
				reply.Truncated = true
				break
			}
			add("A 10.0.0.1")
		case "alias":
			add("CNAME Elsewhere.example.")
		case "nowhere":
			add("CNAME Elsewhere.example.")
			reply.Rcode = dns.RcodeNameError
		case "address":
			add("A 10.0.0.1")
		case "six":
			add("AAAA fd00::1")
		}
		w.WriteMsg(reply)
	})
	ten := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")}
	other := []netip.Addr{netip.MustParseAddr("10.0.0.9")}
	six := []netip.Addr{netip.MustParseAddr("fd00::1")}
	want := map[question]expected{}
	differences := map[question]string{}
	for _, tc := range []struct {
		name   string
		qtype  uint16
		want   expected
		differ string // "" for not at all
	}{
		{"address.", dns.TypeA, expected{addrs: ten}, ""},
		{"six.", dns.TypeAAAA, expected{addrs: six}, ""},
		{"large.", dns.TypeA, expected{addrs: ten}, ""},
		{"nothing.", dns.TypeA, expected{}, ""},
		{"alias.", dns.TypeA, expected{target: "elsewhere.example."}, ""},
		{"address.foreign.", dns.TypeA, expected{addrs: other}, "gives 10.0.0.1, which is not among 10.0.0.9"},
		{"address.gone.", dns.TypeA, expected{}, "gives 10.0.0.1, want no address"},
		{"nothing.want.", dns.TypeA, expected{addrs: ten}, "gives no address, want 10.0.0.1, 10.0.0.2"},
		{"nxdomain.", dns.TypeA, expected{addrs: ten}, "returns NXDOMAIN"},
		{"nowhere.", dns.TypeA, expected{target: "elsewhere.example."}, "it is an alias of elsewhere.example, for which the server returns NXDOMAIN"},
		{"nowhere.other.", dns.TypeA, expected{target: "x."}, "returns NXDOMAIN"},
		{"alias.other.", dns.TypeA, expected{target: "x."}, "gives elsewhere.example, want an alias of x"},
		{"address.alias.", dns.TypeA, expected{target: "x."}, "gives no alias, want an alias of x"},
		{"silent.", dns.TypeA, expected{addrs: ten}, "does not answer: "},
	} {
		q := question{tc.name, tc.qtype}
		want[q], differences[q] = tc.want, tc.differ
	}
	answers := askAll(t.Context(), over(server), maps.Keys(want), answerOf)
	for q, differ := range differences {
		got := difference([]expected{want[q]}, answers[q])
		if !strings.HasPrefix(got.text, differ) || (differ == "") != (got.text == "") || got.alias != (q.name == "nowhere.") {
			t.Errorf("%s: got %+v, want %q", q.name, got, differ)
		}
	}

	// What was right at one look or at another is not a difference.
	got := answers[question{"address.", dns.TypeA}]
	for _, tc := range []struct{ before, after expected }{{expected{addrs: ten}, expected{addrs: other}}, {expected{addrs: other}, expected{addrs: ten}}, {expected{}, expected{addrs: ten}}} {
		if text := difference([]expected{tc.before, tc.after}, got).text; text != "" {
			t.Errorf("from %v to %v: got %q", tc.before, tc.after, text)
		}
	}
	if text := difference([]expected{{addrs: ten}, {}, {addrs: ten}}, answer{}).text; text != "" {
		t.Errorf("addresses that come and go: got %q", text)
	}
	if text := difference([]expected{{addrs: other}, {addrs: other}}, got).text; text != "gives 10.0.0.1, which is not among 10.0.0.9" {
		t.Errorf("an address that was never there: got %q", text)
	}
}

// A few addresses stand for many.
func TestSome(t *testing.T) {
	var addrs []netip.Addr
	for _, want := range []string{"", "10.0.0.1", "10.0.0.1, 10.0.0.2", "10.0.0.1, 10.0.0.2, 10.0.0.3", "10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4",
		"10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4 and 1 more", "10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4 and 2 more"} {
		if got := some(addrs); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		addrs = append(addrs, netip.AddrFrom4([4]byte{10, 0, 0, byte(len(addrs) + 1)}))
	}
}

// A server that cannot say anything is one problem.
func TestProbeServer(t *testing.T) {
	server := serve(t, func(w dns.ResponseWriter, r *dns.Msg) {
		reply := new(dns.Msg).SetReply(r)
		switch r.Question[0].Name {
		case "good.":
			rr, _ := dns.NewRR("good. 5 IN SOA ns1.good. x.good. 1 2 3 4 5")
			reply.Answer = append(reply.Answer, rr)
		case "refused.":
			reply.Rcode = dns.RcodeRefused
		case "unsynced.":
			reply.Rcode = dns.RcodeServerFailure
		}
		w.WriteMsg(reply)
	})
	for zone, want := range map[string]string{"good.": "", "refused.": "it does not answer for the zone refused: REFUSED", "empty.": "it does not answer for the zone empty: NOERROR", "unsynced.": "it has not read the cluster yet"} {
		problem := probeServer(t.Context(), over(server), server, zone)
		if (problem == nil) != (want == "") || problem != nil && !strings.Contains(problem.Text, want) {
			t.Errorf("%s: got %+v, want %q", zone, problem, want)
		}
	}
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := packets.LocalAddr().String()
	packets.Close()
	if problem := probeServer(t.Context(), over(free), free, "good."); problem == nil || !strings.Contains(problem.Text, "it does not answer: ") || problem.Name != free {
		t.Errorf("nobody listens: got %+v", problem)
	}
}

// The end of the context ends the questions: no others are asked.
func TestAskAllEnds(t *testing.T) {
	var arrived atomic.Int32
	server := serve(t, func(dns.ResponseWriter, *dns.Msg) { arrived.Add(1) })
	var questions []question
	for i := range 1000 {
		questions = append(questions, question{fmt.Sprintf("n%d.", i), dns.TypeA})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	askAll(ctx, over(server), slices.Values(questions), answerOf)
	if got := arrived.Load(); got > askAtATime*askAttempts {
		t.Errorf("%d questions have arrived, want no more than are asked at a time", got)
	}
}
