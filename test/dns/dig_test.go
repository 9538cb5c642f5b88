package dns_test

import (
	"github.com/minilb/minilb/test/harness"

	"cmp"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the transcripts of testdata/dig instead of comparing with them")

// transcript is what dig prints of a server's replies to some questions. It is compared with
// the file of its name in testdata/dig.
type transcript struct {
	name      string
	about     string   // the server and its state, for the reader
	questions []string // arguments of dig
}

// check asks the server at addr, and compares what dig prints with the file.
func (tr transcript) check(t *testing.T, addr string) {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(tr.about) {
		b.WriteString(strings.TrimSpace("# "+line) + "\n")
	}
	for _, question := range tr.questions {
		fmt.Fprintf(&b, "\n%s%s\n%s", prompt, question, dig(t, addr, question))
	}
	got := b.String()

	path := filepath.Join("testdata", "dig", tr.name+".txt")
	if *update {
		harness.Must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		harness.Must(t, os.WriteFile(path, []byte(got), 0o644))
		return
	}
	file, err := os.ReadFile(path)
	harness.Must(t, err)
	if got == string(file) {
		return
	}
	wants, gots := strings.Split(string(file), "\n"+prompt), strings.Split(got, "\n"+prompt)
	if len(gots) != len(wants) {
		t.Errorf("%s has %d questions, want %d: run the test with -update and read what it writes", path, len(wants)-1, len(gots)-1)
	}
	for i := range min(len(gots), len(wants)) {
		if gots[i] != wants[i] {
			t.Errorf("%s: %s printed\n%s\nwant\n%s", path, addr, gots[i], wants[i])
		}
	}
}

// prompt begins the line above what dig prints.
const prompt = "$ dig "

// dig asks the server with these arguments of dig, and returns what it prints without what
// differs each time.
func dig(t *testing.T, addr, question string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	harness.Must(t, err)
	args := []string{"-r", "@" + host, "-p", port, "+nocmd", "+tries=1", "+time=5"}
	out, err := harness.Run(t, harness.Program(t, "dig", "bind9-dnsutils"), append(args, strings.Fields(question)...)...)
	if err != nil {
		t.Fatalf("dig %s at %s: %v", question, addr, err)
	}
	for _, n := range []struct{ pattern, to string }{
		{`(?m)^;; (Query time|WHEN): .*\n`, ""},
		{`(?m), id: \d+$`, ", id: ID"},
		{`(?m)^;; SERVER: .* (\((UDP|TCP)\))$`, ";; SERVER: $1"},
		{`(\sSOA\s+\S+ \S+) \d+ `, "$1 SERIAL "},
	} {
		out = regexp.MustCompile(n.pattern).ReplaceAllString(out, n.to)
	}
	return sorted(strings.TrimSpace(out)) + "\n"
}

// sorted sorts the records of each RRset, and the RRsets of the additional section, whose order
// has no meaning. That of an answer's has: an alias comes before what it leads to.
func sorted(printed string) string {
	rrset := func(record string) string {
		fields := strings.Fields(record) // owner, TTL, class, type
		return fields[0] + " " + fields[3]
	}
	sections := strings.Split(printed, "\n\n")
	for i, section := range sections {
		heading, lines, ok := strings.Cut(section, " SECTION:\n")
		if !ok || strings.HasSuffix(heading, "QUESTION") {
			continue
		}
		records := strings.Split(lines, "\n")
		var rrsets []string
		for _, record := range records {
			rrsets = append(rrsets, rrset(record))
		}
		if strings.HasSuffix(heading, "ADDITIONAL") {
			slices.Sort(rrsets)
		}
		slices.SortFunc(records, func(a, b string) int {
			return cmp.Or(cmp.Compare(slices.Index(rrsets, rrset(a)), slices.Index(rrsets, rrset(b))), cmp.Compare(a, b))
		})
		sections[i] = heading + " SECTION:\n" + strings.Join(records, "\n")
	}
	return strings.Join(sections, "\n\n")
}
