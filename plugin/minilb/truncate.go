package minilb

import (
	"net"
	"sort"

	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/records"
)

// Replies over UDP are made to fit, in place of leaving truncation to the server: a client that does not come back over TCP
// would get nothing, and some of the addresses are as good as all of them. max_answers 0 asks for all addresses (D23), and
// SRV records are always complete (D23b): these are truncated. There are no more additional records than fit.

// Sizes in bytes.
const (
	headerSize    = 12
	recordSize    = 2 + 10 // of a record without its data, whose owner is a compression pointer (RFC 1035 §4.1.4)
	srvSize       = 6      // of an SRV record's data without its target
	extendedSize  = 96     // of an extended error
	signatureSize = 320    // of an RRSIG record that plugin dnssec adds, with up to 2048 bits of RSA
)

// maxDatagram bounds replies over UDP, as the client's address may be forged. HAProxy takes as much, and ignores TC (D23b).
const maxDatagram = 8192

// size returns the largest size of a message to the client.
func size(state *request.Request) int {
	if size := state.Size(); size <= maxDatagram || state.Proto() == "tcp" {
		return size
	}
	return maxDatagram
}

// truncate truncates a reply larger than maxDatagram, but not than the client advertises, by which the server truncates (D32).
func (m *Minilb) truncate(reply *dns.Msg, state *request.Request) {
	if opt := state.Req.IsEdns0(); opt != nil && opt.UDPSize() > maxDatagram && size(state) == maxDatagram {
		reply.Truncate(m.room(state))
	}
}

// room returns the largest size of a reply, without what the server adds to it.
func (m *Minilb) room(state *request.Request) int {
	size := size(state)
	if opt := state.Req.IsEdns0(); opt != nil {
		size -= dns.Len(opt)
		if m.stale() {
			size -= extendedSize
		}
		if m.signed && opt.Do() {
			size -= signatureSize
		}
	}
	return size
}

func questionSize(reply *dns.Msg) int {
	size := headerSize
	for i := range reply.Question {
		size += len(reply.Question[i].Name) + 1 + 4
	}
	return size
}

// limit returns the number of records of the size for the answer.
func (m *Minilb) limit(state *request.Request, reply *dns.Msg, size int) int {
	if m.maxAnswers == 0 {
		return overflowing(state, size)
	}
	return max(1, min(m.maxAnswers, (m.room(state)-questionSize(reply))/size))
}

// overflowing returns how many records of at least that size do not fit a reply: enough for the server to truncate it.
func overflowing(state *request.Request, each int) int { return size(state)/each + 1 }

// targetsFit reports whether SRV records with these targets, which are not compressed (RFC 2782), fit.
func targetsFit(room int, targets []records.Target) bool {
	for i := range targets {
		room -= recordSize + srvSize + len(targets[i].Name) + 1
	}
	return room >= 0
}

// fittingPointers returns how many PTR records of these names fit, at least one.
func fittingPointers(room int, names []string) int {
	for i, name := range names {
		if room -= recordSize + len(name) + 1; room < 0 && i > 0 {
			return i
		}
	}
	return len(names)
}

// fit removes additional records until the reply fits: whole RRsets, the last ones first, or all of them if each is to be
// signed. If not even the answer fits, the server truncates the reply. dns.Msg's own Truncate would cut RRsets and set TC.
func (m *Minilb) fit(reply *dns.Msg, state *request.Request) {
	if m.signed && state.Do() {
		reply.Extra = nil
		return
	}
	room := m.room(state)
	if atMost(reply) <= room {
		return
	}
	reply.Compress = true
	all := reply.Extra
	if reply.Len() <= room {
		return
	}
	many := sort.Search(len(all), func(n int) bool {
		reply.Extra = all[:n]
		return reply.Len() > room
	})
	if reply.Extra = all; many == 0 {
		return
	}
	n := many - 1
	for n > 0 && sameRRset(all[n-1], all[n]) {
		n--
	}
	reply.Extra = all[:n]
}

// atMost returns an upper bound of the reply's size without compression, cheaply for records that have additional ones.
func atMost(reply *dns.Msg) int {
	size := questionSize(reply)
	for _, section := range [][]dns.RR{reply.Answer, reply.Ns, reply.Extra} {
		for _, rr := range section {
			switch rr := rr.(type) {
			case *dns.A:
				size += len(rr.Hdr.Name) + net.IPv4len
			case *dns.AAAA:
				size += len(rr.Hdr.Name) + net.IPv6len
			case *dns.SRV:
				size += len(rr.Hdr.Name) + srvSize + len(rr.Target) + 1
			case *dns.NS:
				size += len(rr.Hdr.Name) + len(rr.Ns) + 1
			default:
				return reply.Len()
			}
			size += recordSize // its pointer counts for the end of the owner name
		}
	}
	return size
}

func sameRRset(a, b dns.RR) bool {
	return a.Header().Rrtype == b.Header().Rrtype && a.Header().Name == b.Header().Name
}
