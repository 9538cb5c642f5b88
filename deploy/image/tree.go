package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// programs are what an image has, in the order of its layers.
var programs = []string{"coredns", "minilb"}

// tree is the repository that images are made of.
type tree struct {
	dir      string
	version  string // "v0.1.0"
	revision string // the commit, with "+dirty" where files are changed
	created  time.Time
}

// read asks git what it is that stands in dir, where the command line does not say. The time is that
// of the commit, or $SOURCE_DATE_EPOCH, in seconds.
func (t *tree) read(ctx context.Context, dir string) (err error) {
	if t.dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(t.dir, "cmd", "coredns")); err != nil {
		return fmt.Errorf("-source %q is not the repository of minilb: %w", dir, err)
	}
	git := func(args ...string) string {
		out, err := t.command(ctx, "git", args...).Output()
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	}
	if t.version == "" || t.revision == "" {
		described, commit := git("describe", "--tags", "--always"), git("rev-parse", "HEAD")
		if commit != "" && git("status", "--porcelain") != "" { // as Go does, also of new files
			described, commit = described+"-dirty", commit+"+dirty"
		}
		t.version, t.revision = cmp.Or(t.version, described), cmp.Or(t.revision, commit)
	}
	if t.version == "" || t.revision == "" {
		return errors.New("git does not tell what this is: say -version and -revision")
	}
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		epoch = git("log", "-1", "--format=%ct")
	}
	seconds := int64(0)
	if epoch != "" {
		if seconds, err = strconv.ParseInt(epoch, 10, 64); err != nil {
			return fmt.Errorf("$SOURCE_DATE_EPOCH is %q; want seconds since 1970", epoch)
		}
	}
	t.created = time.Unix(seconds, 0).UTC()
	return nil
}

// command is one in the repository.
func (t *tree) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = t.dir
	return cmd
}

// goCommand is a go command in the repository for a platform. Nothing in the environment changes
// what it makes, but for the choice of Go itself.
func (t *tree) goCommand(ctx context.Context, platform v1.Platform, args ...string) *exec.Cmd {
	cmd := t.command(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOEXPERIMENT=", "GOFIPS140=off",
		"GOOS="+platform.OS, "GOARCH="+platform.Architecture,
		"GOAMD64=v1", "GOARM64=v8.0", "GOARM="+strings.TrimPrefix(platform.Variant, "v"))
	return cmd
}

// build compiles the programs into the directory out.
func (t *tree) build(ctx context.Context, platform v1.Platform, out string) error {
	const set = "-X github.com/minilb/minilb/plugin/minilb/version."
	args := []string{"build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w " + set + "release=" + t.version + " " + set + "revision=" + t.revision,
		"-o", out + string(filepath.Separator)}
	for _, program := range programs {
		args = append(args, "./cmd/"+program)
	}
	if output, err := t.goCommand(ctx, platform, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, bytes.TrimSpace(output))
	}
	return nil
}
