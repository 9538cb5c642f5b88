package main

import (
	"maps"
	"slices"
	"strings"
)

// licences are known by what they say and others do not, by SPDX identifier. In a text that says all
// of says and nothing of never, blanks and line ends aside, it is the licence.
var licences = []struct {
	id    string
	says  []string
	never string
}{
	{"Apache-2.0", []string{"apache license", "version 2.0"}, ""},
	{"BSD-2-Clause", []string{"redistribution and use in source and binary forms"}, "to endorse or promote products"},
	{"BSD-3-Clause", []string{"redistribution and use in source and binary forms", "to endorse or promote products"}, ""},
	{"CC0-1.0", []string{"cc0 1.0 universal"}, ""},
	{"ISC", []string{"permission to use, copy, modify, and", "distribute this software for any purpose with or without fee"}, ""},
	{"MIT", []string{"permission is hereby granted, free of charge, to any person obtaining a copy"}, ""},
	{"MPL-2.0", []string{"mozilla public license", "version 2.0"}, ""},
}

// recognise returns the identifiers of the licences that a text has.
func recognise(text []byte) []string {
	plain := strings.Join(strings.Fields(strings.ToLower(string(text))), " ")
	var found []string
	for _, licence := range licences {
		says := !slices.ContainsFunc(licence.says, func(words string) bool { return !strings.Contains(plain, words) })
		if says && (licence.never == "" || !strings.Contains(plain, licence.never)) {
			found = append(found, licence.id)
		}
	}
	return found
}

// ours is the licence of minilb itself.
const ours = "Apache-2.0"

// identifiers returns the licences of all modules and ours, each once, sorted.
func identifiers(modules []module) []string {
	all := map[string]bool{ours: true, rootsLicence: true}
	for _, m := range modules {
		for id := range strings.SplitSeq(m.licence, " AND ") {
			all[id] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}
