package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// askInterval is the time between two questions about an answer that is not yet what it
	// shall be: it is how exactly we tell when it was.
	askInterval = time.Millisecond

	askTimeout = 2 * time.Second
)

// question is what is asked and how it must be answered.
type question struct {
	name  string
	qtype uint16
	rcode int
	data  []string // of the answer's records, in any order
	zone  string   // owner of the SOA of a negative answer, empty for none
}

// answer is what we show of a reply.
type answer struct {
	rcode   int
	records []dns.RR // sorted
	zone    string
}

// showAnswers asks CoreDNS, over UDP, for something of everything.
func (p *playground) showAnswers(ctx context.Context) error {
	p.say("\nAnswers of CoreDNS at %s:\n", p.ports.dns)
	mosquitto, mosquitto6 := p.addressesOf("automation/mosquitto-0", "automation/mosquitto-1")
	proxies, _ := p.addressesOf("haproxy/kubernetes-ingress-0", "haproxy/kubernetes-ingress-1")
	radio, _ := p.addressesOf("media/radio-0")
	lan, _ := p.addressesOf("gateways/lan-0")
	for _, group := range []struct {
		about     string
		questions []question
	}{
		{"A Service is its ready pods. mosquitto-2 is not ready.", []question{
			{name: "mosquitto.automation.minilb", qtype: dns.TypeA, data: mosquitto},
			{name: "mosquitto.automation.minilb", qtype: dns.TypeAAAA, data: mosquitto6},
		}},
		{"So are the hosts in its annotation minilb/host.", []question{
			{name: "mqtt.sko.ai", qtype: dns.TypeA, data: mosquitto},
			{name: "mqtt.example.com", qtype: dns.TypeAAAA, data: mosquitto6},
		}},
		{"The hosts of an Ingress are the pods of its ingress controller.", []question{
			{name: "paperless.sko.ai", qtype: dns.TypeA, data: proxies},
			{name: "photos.sko.ai", qtype: dns.TypeA, data: proxies},
		}},
		{"Its wildcard *.apps.sko.ai covers any name below apps.sko.ai.", []question{
			{name: "wiki.apps.sko.ai", qtype: dns.TypeA, data: proxies},
		}},
		{"A route's host is the pods of its Gateway, if a listener has it, too.", []question{
			{name: "books.lan.sko.ai", qtype: dns.TypeA, data: lan},
			{name: "books.example.com", qtype: dns.TypeA, data: []string{upstreamIPv4}},
		}},
		{"While no pod is ready, one that is being deleted but still serves is used.", []question{
			{name: "radio.media.minilb", qtype: dns.TypeA, data: radio},
		}},
		{"The ingress controller has no IPv6, and zigbee2mqtt has no pods (NODATA).", []question{
			{name: "paperless.sko.ai", qtype: dns.TypeAAAA, zone: "paperless.sko.ai."},
			{name: "zigbee2mqtt.automation.minilb", qtype: dns.TypeA, zone: "minilb."},
		}},
		{"Neither a Service of another class nor one that does not exist has a name.", []question{
			{name: "jellyfin.media.minilb", qtype: dns.TypeA, rcode: dns.RcodeNameError, zone: "minilb."},
			{name: "nothing.automation.minilb", qtype: dns.TypeA, rcode: dns.RcodeNameError, zone: "minilb."},
		}},
		{"Names that nobody in the cluster claims are forwarded to the upstream.", []question{
			{name: "nas.sko.ai", qtype: dns.TypeA, data: []string{upstreamIPv4}},
			{name: "www.example.com", qtype: dns.TypeAAAA, data: []string{upstreamIPv6}},
		}},
	} {
		p.say("\n  %s\n", group.about)
		for _, question := range group.questions {
			if _, err := p.showAnswer(ctx, question); err != nil {
				return err
			}
		}
	}
	return nil
}

// showChange makes a pod unready, and ready again, and shows how soon the answer follows.
func (p *playground) showChange(ctx context.Context) error {
	p.say("\nA pod becomes unready, and ready again:\n")
	both, _ := p.addressesOf("automation/mosquitto-0", "automation/mosquitto-1")
	for _, change := range []struct {
		ready bool
		about string
		data  []string
	}{
		{false, "mosquitto-1 is not ready", both[:1]},
		{true, "mosquitto-1 is ready", both},
	} {
		if err := p.cluster.SetReady(ctx, "automation", "mosquitto-1", change.ready); err != nil {
			return err
		}
		stored := time.Now()
		p.say("\n  %s\n", change.about)
		arrived, err := p.showAnswer(ctx, question{name: "mosquitto.automation.minilb", qtype: dns.TypeA, data: change.data})
		if err != nil {
			return err
		}
		p.say("      %d ms after the API server knew it\n", arrived.Sub(stored).Milliseconds())
	}
	return nil
}

// addressesOf returns the addresses of pods, given as namespace/name, by family.
func (p *playground) addressesOf(pods ...string) (ipv4, ipv6 []string) {
	for _, pod := range pods {
		ipv4 = append(ipv4, p.pods[pod].ipv4)
		ipv6 = append(ipv6, p.pods[pod].ipv6)
	}
	return ipv4, ipv6
}

// showAnswer asks until the answer is what it must be, prints it as dig would, and returns when
// it came. An answer that stays another one is printed with a remark.
func (p *playground) showAnswer(ctx context.Context, q question) (time.Time, error) {
	got, arrived, err := p.await(ctx, q)
	if ctx.Err() != nil {
		return arrived, ctx.Err()
	}
	p.say("    ? %s %s\n", q.name, dns.TypeToString[q.qtype])
	if got.rcode != dns.RcodeSuccess || len(got.records) == 0 {
		p.say("      %s", dns.RcodeToString[got.rcode])
		if len(got.records) == 0 {
			p.say(", no records")
		}
		if got.zone != "" {
			p.say(", SOA of %s", got.zone)
		}
		p.say("\n")
	}
	for _, rr := range got.records {
		header := rr.Header()
		p.say("      %-28s %5d  IN  %-5s  %s\n", header.Name, header.Ttl, dns.TypeToString[header.Rrtype], data(rr))
	}
	p.judge(err)
	return arrived, nil
}

// await asks until the answer is what it must be, and returns when it came. After settleTimeout
// it returns the last answer with an error.
func (p *playground) await(ctx context.Context, q question) (answer, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	ticker := time.NewTicker(askInterval)
	defer ticker.Stop()
	for {
		got, err := p.ask(ctx, q)
		arrived := time.Now()
		if err == nil {
			err = q.check(got)
		}
		if err == nil {
			return got, arrived, nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return got, arrived, err
		}
	}
}

func (p *playground) ask(ctx context.Context, q question) (answer, error) {
	client := dns.Client{Net: "udp", Timeout: askTimeout}
	request := new(dns.Msg).SetQuestion(dns.Fqdn(q.name), q.qtype)
	reply, _, err := client.ExchangeContext(ctx, request, p.ports.dns)
	if err != nil {
		return answer{rcode: dns.RcodeServerFailure}, fmt.Errorf("ask coredns: %w", err)
	}
	got := answer{rcode: reply.Rcode, records: reply.Answer}
	slices.SortFunc(got.records, func(a, b dns.RR) int { return strings.Compare(a.String(), b.String()) })
	for _, rr := range reply.Ns {
		if rr.Header().Rrtype == dns.TypeSOA {
			got.zone = rr.Header().Name
		}
	}
	return got, nil
}

// check returns an error unless the question is answered as it must be.
func (q question) check(got answer) error {
	var have []string
	for _, rr := range got.records {
		have = append(have, data(rr))
	}
	slices.Sort(have)
	want := slices.Sorted(slices.Values(q.data))
	if got.rcode != q.rcode || got.zone != q.zone || !slices.Equal(have, want) {
		return fmt.Errorf("want %s %v, SOA of %q", dns.RcodeToString[q.rcode], want, q.zone)
	}
	return nil
}

// data returns a record without its header.
func data(rr dns.RR) string { return strings.TrimPrefix(rr.String(), rr.Header().String()) }
