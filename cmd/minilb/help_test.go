package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	usageLine   = regexp.MustCompile(`(?m)^  minilb (\S+)`)
	flagLine    = regexp.MustCompile(`(?m)^  -.*\n(?:    \t.*\n)*`)
	exampleLine = regexp.MustCompile(`(?m)^Example:\n((?:  .*\n)+)`)
)

// subcommands returns those that the usage names, each once.
func subcommands() []string {
	var all []string
	for _, match := range usageLine.FindAllStringSubmatch(usage, -1) {
		if !slices.Contains(all, match[1]) {
			all = append(all, match[1])
		}
	}
	return all
}

// Each subcommand that dispatch knows is in the usage, in both of the lists that are printed for a wrong
// word, and is one that has a help.
func TestSubcommands(t *testing.T) {
	parsed, err := parser.ParseFile(token.NewFileSet(), "main.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var dispatched []string
	ast.Inspect(parsed, func(node ast.Node) bool {
		if clause, ok := node.(*ast.CaseClause); ok && len(clause.List) > 0 {
			if literal, ok := clause.List[0].(*ast.BasicLit); ok {
				if word, _ := strconv.Unquote(literal.Value); word != "help" {
					dispatched = append(dispatched, word)
				}
			}
		}
		return true
	})
	want := subcommands()
	slices.Sort(want)
	if slices.Sort(dispatched); !slices.Equal(dispatched, want) {
		t.Errorf("known are %q, the usage names %q", dispatched, want)
	}
	last := len(want) - 1
	list := strings.Join(want[:last], ", ") + " or " + want[last]
	for _, args := range [][]string{nil, {"no-such-subcommand"}} {
		if told := dispatch(t.Context(), args, new(bytes.Buffer), new(bytes.Buffer)).Error(); !strings.Contains(told, ": "+list) && !strings.Contains(told, "choose "+list) {
			t.Errorf("%q: %q does not name %s", args, told, list)
		}
	}
}

// Every subcommand that the usage names has a help that says what each flag is without being set,
// gives an example and fits 80 columns; and each is the one that a wrong word is told of.
func TestHelpOfAll(t *testing.T) {
	told := dispatch(t.Context(), []string{"no-such-subcommand"}, new(bytes.Buffer), new(bytes.Buffer)).Error()
	all := subcommands()
	for _, subcommand := range all {
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
	if len(all) < 3 {
		t.Errorf("the usage names %d subcommands", len(all))
	}
}
