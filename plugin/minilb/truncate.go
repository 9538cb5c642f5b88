package minilb

import (
	"net"
	"sort"

	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/records"
)

// A reply over UDP is not to need truncation: who cannot come back over TCP would get nothing,
// and a part of the addresses is as good as all of them. So it carries only as many as fit, but
// for max_answers 0, which asks for all (D23), and for SRV records, which are asked for by programs that
// want all (D23b), and no more additional records than fit.

// Bytes of a message beside what its records are for.
const (
	headerSize    = 12
	recordSize    = 2 + 10 // of a record whose owner is a pointer to a name before (RFC 1035 §4.1.4)
	srvSize       = 6      // of an SRV record's data without its target
	extendedSize  = 96     // of an extended error
	signatureSize = 320    // of an RRSIG record that plugin dnssec adds, with up to 2048 bits of RSA
)

// maxDatagram is how large an answer over UDP is at most, whatever its client claims to have room for,
// who may be someone else: as much as HAProxy can take, which does not come back over TCP (D23b).
const maxDatagram = 8192

// size returns the size that a message to the client may have.
func size(state *request.Request) int {
	if size := state.Size(); size <= maxDatagram || state.Proto() == "tcp" {
		return size
	}
	return maxDatagram
}

// truncate shortens a reply that is larger than a datagram may be, but not than the client says, which is
// all that the server looks at (D32).
func (m *Minilb) truncate(reply *dns.Msg, state *request.Request) {
	if opt := state.Req.IsEdns0(); opt != nil && opt.UDPSize() > maxDatagram && size(state) == maxDatagram {
		reply.Truncate(m.room(state))
	}
}

// room returns the size that a reply may have, without what the server adds to it.
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

// limit returns how many records of the size are to be in the answer.
func (m *Minilb) limit(state *request.Request, reply *dns.Msg, size int) int {
	if m.maxAnswers == 0 {
		return overflowing(state, size)
	}
	return max(1, min(m.maxAnswers, (m.room(state)-questionSize(reply))/size))
}

// overflowing returns how many records, each of at least so many bytes, are more than a reply can have: of
// all that there are, the server needs no more to see that it must truncate them.
func overflowing(state *request.Request, each int) int { return size(state)/each + 1 }

// targetsFit reports whether SRV records with these targets, which are not compressed (RFC 2782), have
// room.
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

// fit takes out additional records until the rest has room: whole RRsets, the last ones first, or
// all of them if each is to be signed. Where not even the answer has room, it leaves the reply to
// the server.
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

// atMost returns a size that the reply does not exceed, even without compression. It is cheap to
// see, as long as there are only such records as have additional ones.
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
			size += recordSize // which counts a pointer, too: no less than the end of a name
		}
	}
	return size
}

func sameRRset(a, b dns.RR) bool {
	return a.Header().Rrtype == b.Header().Rrtype && a.Header().Name == b.Header().Name
}
