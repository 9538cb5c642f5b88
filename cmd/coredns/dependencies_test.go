package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The list of deploy/DEPENDENCIES.md is that of what is linked into the two programs.
func TestDependencies(t *testing.T) {
	in := map[string][2]string{}
	var modules []string
	for i, program := range []string{"../coredns", "../minilb"} {
		out, err := command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{with .Replace}}{{.Version}}{{else}}{{.Version}}{{end}}{{end}}{{end}}", program)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for line := range strings.Lines(out) {
			fields := strings.Fields(line)
			if len(fields) != 2 {
				continue
			}
			versions, known := in[fields[0]]
			if !known {
				modules = append(modules, fields[0])
			}
			versions[i] = fields[1]
			in[fields[0]] = versions
		}
	}
	var want []string
	for _, module := range modules {
		versions := in[module]
		version := versions[0]
		if version == "" {
			version = versions[1]
		}
		used := func(v string) string {
			if v == "" {
				return ""
			}
			return "yes"
		}
		want = append(want, fmt.Sprintf("| %s | %s | %s | %s |", module, version, used(versions[0]), used(versions[1])))
	}
	const path = "../../deploy/DEPENDENCIES.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, _, found := strings.Cut(string(text), "\n| --- |")
	if !found {
		t.Fatal("no table in " + path)
	}
	list := head + "\n| --- | --- | --- | --- |\n" + strings.Join(slices.Sorted(slices.Values(want)), "\n") + "\n"
	if os.Getenv("MINILB_UPDATE") != "" {
		if err := os.WriteFile(path, []byte(list), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if list != string(text) {
		t.Errorf("%s is not what is linked; MINILB_UPDATE=1 writes it anew. Want\n%s", path, list)
	}
}

func command(name string, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}
