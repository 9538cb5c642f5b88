package check

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"k8s.io/client-go/util/workqueue"
)

const (
	askTimeout  = 2 * time.Second
	askAttempts = 2  // a packet may get lost
	askAtATime  = 16 // questions
)

// Server returns the address and port of a DNS server that is written as either "address",
// "address:port" or "[address]:port"; the port is 53 without one. The address may be a name.
func Server(written string) (string, error) {
	host, port, err := net.SplitHostPort(written)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(written, "["), "]"), "53"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || host == "" || strings.ContainsAny(host, " /[]") {
		return "", fmt.Errorf("%q: want an ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT", written)
	}
	return net.JoinHostPort(host, port), nil
}

type question struct {
	name  string // with its final dot
	qtype uint16
}

type answer struct {
	problem string // one clause, "" if there is none
	target  string // of the first alias, "" for none
	addrs   []netip.Addr
}

// askAll asks the server all questions, until the context ends, and returns what its replies amount to.
func askAll[T any](ctx context.Context, ask asker, questions iter.Seq[question], of func(*dns.Msg, error) T) map[question]T {
	all := slices.Collect(questions)
	var mu sync.Mutex
	answers := map[question]T{}
	workqueue.ParallelizeUntil(ctx, askAtATime, len(all), func(i int) {
		got := of(ask(ctx, all[i]))
		mu.Lock()
		defer mu.Unlock()
		answers[all[i]] = got
	})
	return answers
}

func answerOf(reply *dns.Msg, err error) answer {
	if err != nil {
		return answer{problem: "does not answer: " + err.Error()}
	}
	var got answer
	if reply.Rcode != dns.RcodeSuccess {
		got.problem = "returns " + dns.RcodeToString[reply.Rcode] // of what an alias leads to, if there is one (RFC 6604)
	}
	add := func(ip net.IP) {
		addr, _ := netip.AddrFromSlice(ip)
		got.addrs = append(got.addrs, addr.Unmap())
	}
	for _, rr := range reply.Answer {
		switch rr := rr.(type) {
		case *dns.CNAME:
			got.target = cmp.Or(got.target, dns.CanonicalName(rr.Target))
		case *dns.A:
			add(rr.A)
		case *dns.AAAA:
			add(rr.AAAA)
		}
	}
	return got
}

// asker asks a DNS server.
type asker func(context.Context, question) (*dns.Msg, error)

// over returns the asker of the server at an address: over UDP, and over TCP what does not fit there.
func over(server string) asker {
	return func(ctx context.Context, q question) (reply *dns.Msg, err error) {
		message := new(dns.Msg).SetQuestion(q.name, q.qtype).SetEdns0(1232, false)
		for range askAttempts {
			client := dns.Client{Net: "udp", Timeout: askTimeout}
			if reply, _, err = client.ExchangeContext(ctx, message, server); err == nil && reply.Truncated {
				client.Net = "tcp"
				reply, _, err = client.ExchangeContext(ctx, message, server)
			}
			if err == nil || ctx.Err() != nil {
				break
			}
		}
		return reply, err
	}
}
