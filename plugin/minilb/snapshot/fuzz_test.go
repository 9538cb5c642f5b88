package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
)

// signed returns what a snapshot looks like that has this content.
func signed(content string) []byte {
	out := fmt.Appendf(nil, "%s %d\n%s", title, Version, content)
	return fmt.Appendf(out, "%s%x", sumMark, sha256.Sum256(out))
}

// Whatever a snapshot holds, reading it does not end the server; what can be read is written as it was read.
func FuzzSnapshot(f *testing.F) {
	whole, err := os.ReadFile("testdata/snapshot-5")
	if err != nil {
		f.Fatal(err)
	}
	_, content, _ := bytes.Cut(whole, []byte("\n"))
	content, _, _ = bytes.Cut(content, []byte("\n"+sumMark))
	f.Add(uint8(0), string(content)+"\n")
	kinds := slices.Sorted(maps.Keys(constructors))
	for i, kind := range kinds {
		line, err := json.Marshal(constructors[kind]())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i+1), string(line))
	}
	f.Fuzz(func(t *testing.T, what uint8, content string) {
		if what > 0 { // one object
			kind := kinds[int(what)%len(kinds)]
			if o := constructors[kind](); json.Unmarshal([]byte(content), o) == nil {
				rewritten(t, kind, o)
			}
			return
		}
		kept, err := decode(bytes.NewReader(signed(content)))
		if err != nil {
			return
		}
		for _, of := range kept.Stores {
			for _, o := range of.Objects {
				rewritten(t, of.Kind, o)
			}
		}
	})
}

// rewritten checks that an object is read again as it is.
func rewritten(t *testing.T, kind string, o Object) {
	t.Helper()
	o.Key()
	before, err := json.Marshal(o)
	if err != nil {
		t.Fatalf("%s: %+v cannot be written: %v", kind, o, err)
	}
	again := constructors[kind]()
	if err := json.Unmarshal(before, again); err != nil {
		t.Fatalf("%s: %s cannot be read again: %v", kind, before, err)
	}
	if after, err := json.Marshal(again); err != nil || !bytes.Equal(after, before) {
		t.Errorf("%s: %s is read again as %s, %v", kind, before, after, err)
	}
}
