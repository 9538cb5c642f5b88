package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

var (
	usageLine   = regexp.MustCompile(`(?m)^  minilb (\S+)`)
	flagLine    = regexp.MustCompile(`(?m)^  -.*\n(?:    \t.*\n)*`)
	exampleLine = regexp.MustCompile(`(?m)^Example:\n((?:  .*\n)+)`)
)

// Every subcommand that the usage names has a help that says what each flag is without being set,
// gives an example and fits 80 columns; and each is the one that a wrong word is told of.
func TestHelpOfAll(t *testing.T) {
	told := dispatch(t.Context(), []string{"no-such-subcommand"}, new(bytes.Buffer), new(bytes.Buffer)).Error()
	seen := map[string]bool{}
	for _, match := range usageLine.FindAllStringSubmatch(usage, -1) {
		subcommand := match[1]
		if seen[subcommand] {
			continue
		}
		seen[subcommand] = true
		if !regexp.MustCompile(`[: ]` + subcommand + `\b`).MatchString(told) {
			t.Errorf("%s is not named in %q", subcommand, told)
		}
		var stdout, stderr bytes.Buffer
		if status := run(t.Context(), []string{subcommand, "-h"}, &stdout, &stderr); status != 0 || stderr.Len() > 0 {
			t.Errorf("%s -h: exit status %d, %s", subcommand, status, &stderr)
		}
		text := stdout.String()
		for line := range strings.Lines(text) {
			// A tab that follows four spaces takes the reader's eye to the eighth column.
			if columns := len(strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "    \t", "        ")); columns > 80 {
				t.Errorf("%s -h: %d columns: %s", subcommand, columns, line)
			}
		}
		flags := flagLine.FindAllString(text, -1)
		if strings.Contains(text, "minilb "+subcommand+" [flags]") != (len(flags) > 0) {
			t.Errorf("%s -h: describes %d flags, and its usage says otherwise", subcommand, len(flags))
		}
		for _, described := range flags {
			if !strings.Contains(described, "default") && !strings.Contains(described, "without") {
				t.Errorf("%s -h does not say what is done without the flag:\n%s", subcommand, described)
			}
		}
		example := exampleLine.FindStringSubmatch(text)
		if example == nil || !strings.HasPrefix(example[1], "  minilb "+subcommand) {
			t.Errorf("%s -h: no example of it", subcommand)
		}
	}
	if len(seen) < 3 {
		t.Errorf("the usage names %d subcommands", len(seen))
	}
}
