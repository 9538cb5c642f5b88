// Package version has the version of this build, for both programs, their metrics and their requests to the
// API server. It imports nothing of ours.
package version

import (
	"cmp"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
)

// module is the module with the version, also if the plugin is built into another CoreDNS.
const module = "github.com/minilb/minilb"

const unknown = "unknown"

// release and revision are set at link time, both or neither, if the build knows better than Go:
//
//	-ldflags "-X github.com/minilb/minilb/plugin/minilb/version.release=v1.2.3
//	          -X github.com/minilb/minilb/plugin/minilb/version.revision=0123abc"
var release, revision string

// Info describes a build. No field is empty: what is not known is "unknown".
type Info struct {
	Version  string // "v1.2.3", a pseudo-version, or "(devel)"
	Revision string // the commit, with "+dirty" where files had been changed
	Go       string // "go1.26.8"
}

// Current describes this build by what was set at link time, else by what Go has recorded.
var Current = sync.OnceValue(func() Info {
	build, _ := debug.ReadBuildInfo()
	return of(build)
})

// of describes a build, which is nil if Go has recorded nothing.
func of(build *debug.BuildInfo) Info {
	info := Info{Version: release, Revision: revision, Go: runtime.Version()}
	if recorded, commit := recorded(build); info.Version == "" {
		info.Version, info.Revision = recorded, commit
	}
	info.Version, info.Revision = cmp.Or(info.Version, unknown), cmp.Or(info.Revision, unknown)
	return info
}

// recorded returns our module's version and commit; if it is not the main one, only a pseudo-version has the commit.
func recorded(build *debug.BuildInfo) (version, commit string) {
	if build == nil {
		return "", ""
	}
	if build.Main.Path == module {
		settings := map[string]string{}
		for _, setting := range build.Settings {
			settings[setting.Key] = setting.Value
		}
		commit = settings["vcs.revision"]
		if commit != "" && settings["vcs.modified"] == "true" {
			commit += "+dirty"
		}
		return build.Main.Version, commit
	}
	for _, dep := range build.Deps {
		if dep.Path == module {
			return dep.Version, pseudo(dep.Version)
		}
	}
	return "", ""
}

// pseudo returns the commit of a pseudo-version, v0.0.0-20261121120000-0123456789ab, "" for another version.
func pseudo(version string) string {
	parts := strings.Split(version, "-")
	last := parts[len(parts)-1]
	if len(parts) < 3 || len(last) != 12 || strings.Trim(last, "0123456789abcdef") != "" {
		return ""
	}
	return last
}
