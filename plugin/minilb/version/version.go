// Package version says what runs: the one place where both programs, their metrics and their
// requests to the API server get it from. It imports nothing of ours.
package version

import (
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
)

// module is the one whose version it is, also where the plugin is built into another CoreDNS.
const module = "github.com/minilb/minilb"

// unknown stands for what the build does not tell.
const unknown = "unknown"

// release and revision are set at link time, both or neither, where the build knows better than Go:
//
//	-ldflags "-X github.com/minilb/minilb/plugin/minilb/version.release=v1.2.3
//	          -X github.com/minilb/minilb/plugin/minilb/version.revision=0123abc"
var release, revision string

// Info is what is known of a build. Nothing in it is empty: what is not known is "unknown".
type Info struct {
	Version  string // "v1.2.3", a pseudo-version, or "(devel)"
	Revision string // the commit, with "+dirty" where files had been changed
	Go       string // "go1.26.8"
}

// Current returns what is known of this build: what was set at link time, else what Go has recorded
// in it.
var Current = sync.OnceValue(func() Info {
	build, _ := debug.ReadBuildInfo()
	return of(build)
})

// of returns what is known of a build, which is nil if Go has recorded nothing.
func of(build *debug.BuildInfo) Info {
	info := Info{Version: release, Revision: revision, Go: runtime.Version()}
	if recorded, commit := recorded(build); info.Version == "" {
		info.Version, info.Revision = recorded, commit
	}
	if info.Version == "" {
		info.Version = unknown
	}
	if info.Revision == "" {
		info.Revision = unknown
	}
	return info
}

// recorded returns the version of our module and its commit. Of a module that is not the main one,
// the commit is known only if the version tells it.
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

// pseudo returns the commit at the end of a pseudo-version, v0.0.0-20261121120000-0123456789ab,
// and nothing of another version.
func pseudo(version string) string {
	parts := strings.Split(version, "-")
	last := parts[len(parts)-1]
	if len(parts) < 3 || len(last) != 12 || strings.Trim(last, "0123456789abcdef") != "" {
		return ""
	}
	return last
}
