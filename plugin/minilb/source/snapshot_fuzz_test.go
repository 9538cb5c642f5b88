package source

import (
	"bytes"
	"encoding/binary"
	"maps"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// Whatever a snapshot holds, reading it does not end the server, nor takes more memory than a
// multiple of it; what can be read is written as it was read.
func FuzzSnapshot(f *testing.F) {
	whole, err := os.ReadFile("testdata/snapshot-4")
	if err != nil {
		f.Fatal(err)
	}
	_, content, _ := bytes.Cut(whole, []byte("\n"))
	f.Add(uint8(0), content[:len(content)-32])
	kinds := slices.Sorted(maps.Keys(blanks))
	for i, kind := range kinds {
		f.Add(uint8(i+1), encoded(f, blanks[kind]().CodecFields))
	}
	f.Fuzz(func(t *testing.T, what uint8, content []byte) {
		if what > 0 { // one object
			kind := kinds[int(what)%len(kinds)]
			o, c := blanks[kind](), &object.Codec{In: content}
			if o.CodecFields(c); c.Err == nil {
				rewritten(t, kind, o)
			}
			return
		}
		kept, err := readContent(content)
		if err != nil {
			return
		}
		for of, objects := range kept.sections {
			for _, o := range objects {
				rewritten(t, of.kind, o)
			}
		}
	})
}

// rewritten checks that an object is read again as it is.
func rewritten(t *testing.T, kind string, o keyed) {
	t.Helper()
	before, after := encoded(t, o.CodecFields), blanks[kind]()
	c := &object.Codec{In: before}
	if after.CodecFields(c); c.Err != nil || !bytes.Equal(encoded(t, after.CodecFields), before) {
		t.Errorf("%s: %+v is read again as %+v, %v", kind, o, after, c.Err)
	}
}

// A snapshot whose checksum is right, and whose content is not, is either refused or served: it
// ends nothing, and takes no more memory than a large one would.
func TestSnapshotHostile(t *testing.T) {
	whole, err := os.ReadFile("testdata/snapshot-4")
	if err != nil {
		t.Fatal(err)
	}
	_, whole, _ = bytes.Cut(whole, []byte("\n"))
	whole = whole[:len(whole)-32]
	random := seeded(t)
	served, largest := 0, uint64(0)
	for range 5_000 {
		content := bytes.Clone(whole)
		for range 1 + random.IntN(3) {
			at := random.IntN(len(content))
			switch random.IntN(4) {
			case 0:
				content[at] = byte(random.Uint32())
			case 1: // a length of up to 2^63
				content = slices.Insert(content, at, binary.AppendUvarint(nil, random.Uint64()>>random.IntN(64))...)
			case 2:
				content = slices.Delete(content, at, min(len(content), at+1+random.IntN(8)))
			case 3:
				content = slices.Insert(content, at, content[:random.IntN(len(content))]...)
			}
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		kept, err := readContent(content)
		runtime.ReadMemStats(&after)
		largest = max(largest, (after.TotalAlloc-before.TotalAlloc)/uint64(len(content)))
		if err != nil {
			continue
		}
		served++
		b := newBench(t, config.Options{Gateways: true})
		b.watcher.Keep("snapshot", func() bool { return false })
		b.watcher.restore(kept)
		b.publish()
		b.addrs("web.shop.minilb.")
	}
	t.Logf("%d are served; reading takes %d bytes a byte at most", served, largest)
	if served < 50 || largest > 1000 {
		t.Errorf("%d are served; reading takes %d bytes a byte at most", served, largest)
	}
}
