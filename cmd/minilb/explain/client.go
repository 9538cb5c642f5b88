package explain

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/minilb/minilb/cmd/minilb/wordwrap"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// Client is what one client gets of a name's addresses.
type Client struct {
	Network string   `json:"network"` // a single address, or that in which a resolver says that the client is
	A       []string `json:"a"`       // in their order if they have one, and then at most max_answers
	AAAA    []string `json:"aaaa"`
	Ordered bool     `json:"ordered"` // they have an order; else it is drawn anew for each answer
	Why     []string `json:"why"`     // sentences
}

// ParseClient reads the address of a client, or the network in which a resolver says that it is.
func ParseClient(text string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(text)
	if addr, isAddr := netip.ParseAddr(text); isAddr == nil {
		addr = addr.Unmap().WithZone("")
		network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err != nil || network.Addr().Is4In6() || network.Bits() == 0 {
		return netip.Prefix{}, errors.New("want an address, or a network such as 192.168.1.0/24")
	}
	return network.Masked(), nil
}

// whatGets reports what a client gets, and why (L4, L5).
func (e *explainer) whatGets(network netip.Prefix, node *records.Node) {
	c := &Client{Network: strings.TrimSuffix(network.String(), fmt.Sprintf("/%d", network.Addr().BitLen()))}
	e.Client = c
	if node == nil || node.Addrs == nil || e.Answer.Own || e.Answer.Rcode != noError {
		c.Why = append(c.Why, "It makes no difference who asks.")
		return
	}
	all, o := node.Addrs.Load(), &e.block.Options
	from, rule, near := o.NearTable().LookupPrefixLPM(network)
	switch {
	case near:
		for _, family := range []struct {
			name  string
			addrs []netip.Addr
		}{{"IPv4", all.V4}, {"IPv6", all.V6}} {
			if many := len(family.addrs); many > 0 {
				c.Why = append(c.Why, fmt.Sprintf("By the line of property near for %s, %s.", from, nearest(many, all.Near(rule, family.name == "IPv6"), family.name)))
			}
		}
	case o.Near != nil:
		c.Why, rule = append(c.Why, "No line of property near has this client: it gets all addresses."), -1
	default:
		rule = -1
	}
	limit := 0
	switch c.Ordered = all.Affinity(); {
	case c.Ordered:
		limit = e.block.MaxAnswers
		c.Why = append(c.Why, "The order is this client's own, as sessionAffinity is ClientIP.")
	case !o.Affinity:
		c.Why = append(c.Why, "The order is random: property affinity is not set.")
	default:
		c.Why = append(c.Why, "The order is random: not all of what the name leads to are Services with sessionAffinity ClientIP.")
	}
	gets := func(v6 bool) []string {
		addrs, _ := all.For(&records.Client{Network: network, Rule: rule}, v6, limit)
		if !c.Ordered {
			slices.SortFunc(addrs, netip.Addr.Compare)
		}
		return texts(addrs)
	}
	c.A, c.AAAA = gets(false), gets(true)
}

// nearest says how many of the addresses of a family are near.
func nearest(all, near int, family string) string {
	if near == 0 {
		return fmt.Sprintf("none of %s is near: it gets all", wordwrap.Count(all, family+" address"))
	}
	return fmt.Sprintf("it gets those that are near, %d of %s", near, wordwrap.Count(all, family+" address"))
}

func (p *page) client(c *Client) {
	p.paragraph("", 0, c.Network+": "+strings.Join(c.Why, " "))
	if len(c.A) > 0 {
		p.paragraph("A     ", 6, strings.Join(c.A, " "))
	}
	if len(c.AAAA) > 0 {
		p.paragraph("AAAA  ", 6, strings.Join(c.AAAA, " "))
	}
}
