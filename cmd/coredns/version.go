package main

import "runtime/debug"

// release is set at link time: -ldflags "-X main.release=v1.2.3".
var release string

// version returns minilb's version: the release it was linked as, or what the module's build
// information says.
func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown)"
}
