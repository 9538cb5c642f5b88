package load_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/harness"
)

// hostileMessages make what a server is sent that nobody means well with, each of one kind.
var hostileMessages = []func(random *rand.Rand, valid []byte) []byte{
	randomBytes,
	changedBytes,
	func(random *rand.Rand, valid []byte) []byte { return valid[:random.IntN(len(valid))] },
	manyQuestions,
	compressionLoop,
	hugeEDNS,
	wrongCounts,
	func(random *rand.Rand, valid []byte) []byte { // replies, and opcodes that nobody speaks
		binary.BigEndian.PutUint16(valid[2:], uint16(random.Uint32()))
		return valid
	},
	longNames,
	func(random *rand.Rand, valid []byte) []byte { // types and classes
		binary.BigEndian.PutUint32(valid[len(valid)-4:], random.Uint32()&0x03ff_00ff)
		return valid
	},
}

// hostile returns a message that may be anything.
func hostile(random *rand.Rand, names []string) []byte {
	valid, err := new(dns.Msg).SetQuestion(harness.Pick(random, names), harness.Pick(random, []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeANY})).Pack()
	if err != nil {
		panic(err) // the names are ours
	}
	return harness.Pick(random, hostileMessages)(random, valid)
}

func randomBytes(random *rand.Rand, _ []byte) []byte {
	bytes := make([]byte, random.IntN(1400))
	for i := range bytes {
		bytes[i] = byte(random.Uint32())
	}
	return bytes
}

func changedBytes(random *rand.Rand, valid []byte) []byte {
	for range 1 + random.IntN(8) {
		valid[random.IntN(len(valid))] = byte(random.Uint32())
	}
	return valid
}

func manyQuestions(random *rand.Rand, valid []byte) []byte {
	n := 2 + random.IntN(40)
	question := slices.Clone(valid[12:])
	binary.BigEndian.PutUint16(valid[4:], uint16(n))
	for range n - 1 {
		valid = append(valid, question...)
	}
	return valid
}

// compressionLoop has pointers in its question that lead to themselves, around or nowhere (RFC 1035 §4.1.4).
func compressionLoop(random *rand.Rand, valid []byte) []byte {
	message := slices.Clone(valid[:12])
	for range 1 + random.IntN(100) {
		message = binary.BigEndian.AppendUint16(message, 0xc000|uint16(harness.Pick(random, []int{12, 14, len(message), len(message) + 2, random.IntN(1 << 14)})))
	}
	return append(message, 0, 1, 0, 1)
}

// hugeEDNS has one or more OPT records with options of some kilobytes (RFC 6891).
func hugeEDNS(random *rand.Rand, valid []byte) []byte {
	n := 1 + random.IntN(3)
	binary.BigEndian.PutUint16(valid[10:], uint16(n))
	for range n {
		valid = append(valid, 0, 0, byte(dns.TypeOPT))
		valid = binary.BigEndian.AppendUint16(valid, harness.Pick(random, []uint16{0, 1, 511, 4096, 65535})) // size
		valid = binary.BigEndian.AppendUint32(valid, harness.Pick(random, []uint32{0, 0x8000, 0xff_0000, random.Uint32()}))
		options := make([]byte, 0, 4096)
		for range random.IntN(8) {
			size := random.IntN(500)
			options = binary.BigEndian.AppendUint16(options, uint16(random.IntN(20)))
			options = binary.BigEndian.AppendUint16(options, uint16(size))
			options = append(options, make([]byte, size)...)
		}
		valid = binary.BigEndian.AppendUint16(valid, uint16(len(options)))
		valid = append(valid, options...)
	}
	return valid
}

// wrongCounts says that there is more than there is.
func wrongCounts(random *rand.Rand, valid []byte) []byte {
	for at := 4; at < 12; at += 2 {
		binary.BigEndian.PutUint16(valid[at:], harness.Pick(random, []uint16{0, 1, 2, 65535}))
	}
	return valid
}

// longNames has a name that is too long, or just not, and labels of any bytes.
func longNames(random *rand.Rand, valid []byte) []byte {
	message := slices.Clone(valid[:12])
	for range 1 + random.IntN(130) {
		label := strings.Repeat(string(rune(random.IntN(128))), random.IntN(64))
		message = append(append(message, byte(len(label))), label...)
	}
	return append(message, 0, 0, 1, 0, 1)
}
