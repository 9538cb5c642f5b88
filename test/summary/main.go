// Command summary reads what "go test -json" prints from standard input and prints what go test
// prints without -json. At the end it lists the tests that were skipped, by reason. Its exit status
// is 1 if a test or a build failed, or if no test ran.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

func main() {
	ok, err := summarize(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// event is what test2json writes (go doc test2json), one a line.
type event struct {
	Action  string // run, output, pass, fail, skip, build-output, build-fail, …
	Package string
	Test    string // "" for the package as a whole
	Output  string
}

// test is a test that has not ended yet, or a package.
type test struct{ pkg, name string }

// summarize copies the events from r to w as text, and reports whether tests ran and none failed.
// A line that is no event is an error of its own: it is copied as it is.
func summarize(r io.Reader, w io.Writer) (ok bool, err error) {
	ran, failed := 0, false
	output := map[test]*strings.Builder{}
	skipped := map[string][]string{} // tests by reason
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line == "" && errors.Is(err, io.EOF) {
			break
		} else if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		var e event
		if json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
			fmt.Fprint(w, line)
			continue
		}
		key := test{e.Package, e.Test}
		switch e.Action {
		case "run":
			ran++
			output[key] = &strings.Builder{}
		case "output":
			// What a package prints comes at once; what a test prints only if it fails.
			if text := output[key]; text != nil {
				text.WriteString(e.Output)
			} else if e.Output != "PASS\n" {
				fmt.Fprint(w, e.Output)
			}
		case "build-output":
			fmt.Fprint(w, e.Output)
		case "pass":
			delete(output, key)
		case "skip":
			if e.Test != "" {
				reason := reasonOf(output[key].String())
				skipped[reason] = append(skipped[reason], e.Package+" "+e.Test)
				delete(output, key)
			}
		case "fail", "build-fail":
			failed = true
			for _, t := range failing(output, key) {
				fmt.Fprint(w, output[t])
				delete(output, t)
			}
		}
	}
	if ran == 0 {
		return false, errors.New("no test ran")
	}
	if len(skipped) > 0 {
		fmt.Fprintln(w, "\nskipped:")
		for _, reason := range slices.Sorted(maps.Keys(skipped)) {
			fmt.Fprintf(w, "  %s\n", reason)
			for _, name := range skipped[reason] {
				fmt.Fprintf(w, "    %s\n", name)
			}
		}
	}
	return !failed, nil
}

// failing returns whose output tells of a failure: the test's own, or that of all the tests which a
// package has left behind, as it does when it panics or runs out of time.
func failing(output map[test]*strings.Builder, failed test) []test {
	if failed.name != "" {
		return []test{failed}
	}
	var left []test
	for t := range output {
		if t.pkg == failed.pkg {
			left = append(left, t)
		}
	}
	slices.SortFunc(left, func(a, b test) int { return strings.Compare(a.name, b.name) })
	return left
}

// reasonOf returns what t.Skip was given, without the place of the call.
func reasonOf(output string) string {
	var reason []string
	for line := range strings.Lines(output) {
		if text := strings.TrimSpace(line); !strings.HasPrefix(text, "=== ") && !strings.HasPrefix(text, "--- SKIP") {
			if place, after, found := strings.Cut(text, ".go:"); found && !strings.Contains(place, " ") {
				_, text, _ = strings.Cut(after, ": ")
			}
			reason = append(reason, text)
		}
	}
	if len(reason) == 0 {
		return "no reason given"
	}
	return strings.Join(reason, " ")
}
