package version

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestOf(t *testing.T) {
	main := func(path, version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Path: path, Version: version}, Settings: settings}
	}
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "0123abc"}
	clean, dirty := debug.BuildSetting{Key: "vcs.modified", Value: "false"}, debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	elsewhere := func(version string) *debug.BuildInfo {
		build := main("github.com/coredns/coredns", "v1.15.0", commit)
		build.Deps = []*debug.Module{{Path: "github.com/miekg/dns", Version: "v1.1.73"}, {Path: module, Version: version}}
		return build
	}
	for _, tc := range []struct {
		name              string
		release, revision string
		build             *debug.BuildInfo
		version, commit   string
	}{
		{"a release", "v1.2.3", "fedcba9", main(module, "(devel)", commit, dirty), "v1.2.3", "fedcba9"},
		{"a release without its commit", "v1.2.3", "", main(module, "(devel)", commit, dirty), "v1.2.3", "unknown"},
		{"go build in the tree", "", "", main(module, "v1.2.4-0.20261121120000-0123456789ab", commit, clean), "v1.2.4-0.20261121120000-0123456789ab", "0123abc"},
		{"in a tree that was changed", "", "", main(module, "(devel)", commit, dirty), "(devel)", "0123abc+dirty"},
		{"without version control", "", "", main(module, "(devel)"), "(devel)", "unknown"},
		{"go install", "", "", main(module, "v1.2.3"), "v1.2.3", "unknown"},
		{"in another CoreDNS", "", "", elsewhere("v1.2.3"), "v1.2.3", "unknown"},
		{"in another CoreDNS, between releases", "", "", elsewhere("v0.0.0-20261121120000-0123456789ab"), "v0.0.0-20261121120000-0123456789ab", "0123456789ab"},
		{"in another CoreDNS, before a release", "", "", elsewhere("v1.0.0-rc-one-twoandthree1"), "v1.0.0-rc-one-twoandthree1", "unknown"},
		{"in another CoreDNS, after a release with dashes", "", "", elsewhere("v1.0.0-rc-1.0.20261121120000-0123456789ab"), "v1.0.0-rc-1.0.20261121120000-0123456789ab", "0123456789ab"},
		{"in another CoreDNS, a release that looks like a commit", "", "", elsewhere("v1.0.0-0123456789ab"), "v1.0.0-0123456789ab", "unknown"},
		{"in another CoreDNS, a release that ends in a number", "", "", elsewhere("v1.0.0-rc-1-0"), "v1.0.0-rc-1-0", "unknown"},
		{"in a test of another module", "", "", main("example.org/x", "v1.0.0"), "unknown", "unknown"},
		{"without build information", "", "", nil, "unknown", "unknown"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			release, revision = tc.release, tc.revision
			defer func() { release, revision = "", "" }()
			if got, want := of(tc.build), (Info{tc.version, tc.commit, runtime.Version()}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}
