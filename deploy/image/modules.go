package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// binary is a program and what Go has recorded in it.
type binary struct {
	name    string
	content []byte
	info    *buildinfo.BuildInfo
}

func readBinary(name string, content []byte) (binary, error) {
	info, err := buildinfo.Read(bytes.NewReader(content))
	if err != nil {
		return binary{}, fmt.Errorf("read what is linked into %s: %w", name, err)
	}
	return binary{name, content, info}, nil
}

// module is one that is linked into a program, or Go's own library.
type module struct {
	path, version, sum string
	texts              []file // licences and notices, below licenses/
	licence            string // SPDX expression
}

// goLibrary is what the modules' list calls Go's own library.
const goLibrary = "std"

// modules returns what is linked into the programs, by path, with the licences. One without a
// licence that is known here is an error: it is not to be shipped before somebody has read it.
func (t *tree) modules(ctx context.Context, binaries []binary) ([]module, error) {
	linked := map[string]module{}
	for _, binary := range binaries {
		for _, dep := range binary.info.Deps {
			if dep.Replace != nil {
				dep = dep.Replace
			}
			linked[dep.Path] = module{path: dep.Path, version: dep.Version, sum: dep.Sum}
		}
	}
	all := slices.SortedFunc(maps.Values(linked), func(a, b module) int { return strings.Compare(a.path, b.path) })
	directories, err := t.directories(ctx, all)
	if err != nil {
		return nil, err
	}
	root, err := t.goCommand(ctx, v1.Platform{}, "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("ask for GOROOT: %w", err)
	}
	for i := range all {
		if err := all[i].read(directories[all[i].path], true); err != nil {
			return nil, err
		}
	}
	library := module{path: goLibrary, version: binaries[0].info.GoVersion}
	// Its compiler and its tests bring licences of what is not linked.
	if err := library.read(strings.TrimSpace(string(root)), false); err != nil {
		return nil, err
	}
	return append(all, library), nil
}

// directories returns where the modules' sources are, by path.
func (t *tree) directories(ctx context.Context, modules []module) (map[string]string, error) {
	args := []string{"mod", "download", "-json"}
	for _, m := range modules {
		args = append(args, m.path+"@"+m.version)
	}
	out, err := t.goCommand(ctx, v1.Platform{}, args...).Output()
	if err != nil {
		return nil, fmt.Errorf("go mod download: %w", err)
	}
	directories := map[string]string{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var downloaded struct{ Path, Dir, Error string }
		switch err := decoder.Decode(&downloaded); {
		case errors.Is(err, io.EOF):
			return directories, nil
		case err != nil:
			return nil, fmt.Errorf("go mod download: %w", err)
		case downloaded.Error != "":
			return nil, fmt.Errorf("go mod download %s: %s", downloaded.Path, downloaded.Error)
		}
		directories[downloaded.Path] = downloaded.Dir
	}
}

// legal matches the names of licences and of what must go with them.
var legal = regexp.MustCompile(`(?i)^(licen[cs]e|copying|copyright|notice|patents)(\.(txt|md|libyaml))?$`)

// read takes the licences from the module's directory, and, if deep, those of what it has copied
// from others.
func (m *module) read(dir string, deep bool) error {
	known := map[string]bool{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (!deep || entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".")):
			return fs.SkipDir
		case !entry.Type().IsRegular() || !legal.MatchString(entry.Name()):
			return nil
		}
		text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		m.texts = append(m.texts, file{path.Join("licenses", m.path+"@"+m.version, name), 0o644, text})
		for _, id := range recognise(text) {
			known[id] = true
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for the licence of %s: %w", m.path, err)
	}
	if len(known) == 0 {
		return fmt.Errorf("%s@%s has no licence that is known here: read it, and add what it says to licences.go", m.path, m.version)
	}
	m.licence = strings.Join(slices.Sorted(maps.Keys(known)), " AND ")
	return nil
}
