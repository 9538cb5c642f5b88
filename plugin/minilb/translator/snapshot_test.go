package translator

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/watch"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/snapshot"
	"github.com/minilb/minilb/test/unprivileged"
)

// keptNames returns the names of the Services in a snapshot.
func keptNames(t *testing.T, path string) string {
	t.Helper()
	kept, err := snapshot.File(path).Read()
	if os.IsNotExist(err) {
		return "-"
	}
	if err != nil {
		t.Fatal(err)
	}
	services, _ := kept.Store("service", "")
	var names []string
	for _, o := range services {
		names = append(names, o.Key().Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// The file is written once all is known, at once in a quiet time and not often, and at the end.
func TestSnapshotTimes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot")
	synctest.Test(t, func(t *testing.T) {
		api := gatewayAPIOf(t)
		api.refuse("tlsroutes/v1", errUnavailable)
		b, stop := runBench(t, api, config.Options{Gateways: true}, keeping(path))
		synctest.Wait()
		want := func(when, names string) {
			t.Helper()
			synctest.Wait()
			if got := keptNames(t, path); got != names {
				t.Errorf("%s: %q are kept, want %q", when, got, names)
			}
		}
		add := func(name string) { api.send("services", watch.Added, testService("shop/"+name, 1, "")) }
		want("before all is known", "-")
		if _, known := b.watcher.Snapshot.Age(); known {
			t.Error("a file that is not there has an age")
		}
		time.Sleep(6 * time.Second)
		want("though the zones are answered for by now", "-")
		api.refuse("tlsroutes/v1", nil)
		time.Sleep(3 * time.Second)
		want("once all is known", "web")
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("got %v, %v", info.Mode(), err)
		}
		time.Sleep(2 * writeInterval) // what came last may have been written after a first time
		add("a")
		want("after a quiet time", "a web")
		add("b")
		want("soon after", "a web")
		add("c")
		time.Sleep(writeInterval)
		want("later", "a b c web")
		time.Sleep(10 * time.Minute)
		if age, _ := b.watcher.Snapshot.Age(); age < 9*time.Minute {
			t.Errorf("it is %v old, though nothing has changed", age)
		}
		time.Sleep(refreshInterval)
		if age, _ := b.watcher.Snapshot.Age(); age > refreshInterval {
			t.Errorf("it is %v old", age)
		}
		add("d")
		synctest.Wait()
		add("e")
		want("before the end", "a b c d web")
		stop()
		want("at the end", "a b c d e web")
	})
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("got %v, %v, want the one file", entries, err)
	}
}

// Who is not to write does not, and does once it is to.
func TestSnapshotMine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot")
	synctest.Test(t, func(t *testing.T) {
		mine := false
		b, stop := runBench(t, gatewayAPIOf(t), config.Options{}, func(b *bench) { b.watcher.KeepIn(path, func() bool { return mine }) })
		synctest.Wait()
		if _, err := b.watcher.Snapshot.Flush(); err != nil || keptNames(t, path) != "-" {
			t.Errorf("another's file is written: %v", err)
		}
		mine = true
		b.watcher.Snapshot.MarkDirty()
		synctest.Wait()
		if got := keptNames(t, path); got != "web" {
			t.Errorf("got %q", got)
		}
		mine = false
		os.Remove(path)
		b.watcher.Snapshot.MarkDirty()
		stop()
		if got := keptNames(t, path); got != "-" {
			t.Errorf("at the end another's file is written: %q", got)
		}
	})
}

// How often the file is written.
const (
	writeInterval   = 2 * time.Second
	retryInterval   = 10 * time.Second
	refreshInterval = time.Hour
)

// signed returns what a snapshot looks like that has this content.
func signed(version int, content string) []byte {
	out := fmt.Appendf(nil, "minilb snapshot %d\n%s", version, content)
	return fmt.Appendf(out, "sha256 %x", sha256.Sum256(out))
}

// Whatever stands in the place of the file: the start is as without one, with one line that says why.
func TestSnapshotUnusable(t *testing.T) {
	good := keptState(t, gatewayAPIOf(t), config.Options{})
	content, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile("../snapshot/testdata/snapshot-4")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		make func(path string) error
		want string // what is said
	}{
		"none":          {func(string) error { return nil }, "I There is no snapshot PATH yet to start with: it is written once the API server has been read"},
		"empty":         {func(path string) error { return os.WriteFile(path, nil, 0o600) }, "it is not a snapshot of minilb"},
		"another file":  {func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte("x"), 1<<20), 0o600) }, "it is not a snapshot of minilb"},
		"a line":        {func(path string) error { return os.WriteFile(path, content[:18], 0o600) }, "it ends too early"},
		"half":          {func(path string) error { return os.WriteFile(path, content[:len(content)/2], 0o600) }, "it ends too early"},
		"other version": {func(path string) error { return os.WriteFile(path, signed(snapshot.Version+1, ""), 0o600) }, fmt.Sprintf("its format is version %d, and this minilb reads version %d", snapshot.Version+1, snapshot.Version)},
		"version 4":     {func(path string) error { return os.WriteFile(path, old, 0o600) }, fmt.Sprintf("its format is version 4, and this minilb reads version %d", snapshot.Version)},
		"other content": {func(path string) error { return os.WriteFile(path, signed(snapshot.Version, "x\n"), 0o600) }, "it is damaged: invalid character 'x' looking for beginning of value"},
		"a directory":   {func(path string) error { return os.Mkdir(path, 0o700) }, "it is not a regular file"},
		"a pipe":        {func(path string) error { return syscall.Mkfifo(path, 0o600) }, "it is not a regular file"},
		"a link":        {func(path string) error { return os.Symlink(good, path) }, "it is a symbolic link, which is not followed: name the file that it leads to"},
		"a loop":        {func(path string) error { return os.Symlink(path, path) }, "it is a symbolic link, which is not followed: name the file that it leads to"},
		"huge":          {func(path string) error { os.WriteFile(path, nil, 0o600); return os.Truncate(path, 128<<20+1) }, "it is too large: 134217729 bytes, at most 134217728 are read"},
		"of others": {func(path string) error { os.WriteFile(path, content, 0o600); return os.Chmod(path, 0o606) },
			"others than its owner may write it, as its mode is 0606: chmod go-w it if you know where it comes from"},
		"of a group": {func(path string) error { os.WriteFile(path, content, 0o600); return os.Chmod(path, 0o660) },
			"others than its owner may write it, as its mode is 0660: chmod go-w it if you know where it comes from"},
		"unreadable": {func(path string) error { return os.WriteFile(path, content, 0o200) }, "open PATH: permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "snapshot")
			if err := tc.make(path); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				api := gatewayAPIOf(t)
				api.answer(errRefused)
				b, stop := runBench(t, api, config.Options{}, keeping(path))
				defer stop()
				synctest.Wait()
				b.log.take()
				unprivileged.Run(t, func() {
					for range 2 { // as each server block does
						if b.watcher.Restore() || b.watcher.Restored() {
							t.Error("it is used")
						}
					}
				})
				want := tc.want
				if !strings.HasPrefix(want, "I ") {
					want = "W Starting without snapshot PATH: " + want + ". It is replaced once the API server has been read"
				}
				if lines := b.log.take(); len(lines) != 1 || lines[0] != strings.ReplaceAll(want, "PATH", path) {
					t.Errorf("got the log %q, want %q", lines, want)
				}
				api.answer(nil)
				time.Sleep(30 * time.Second)
				synctest.Wait()
				b.want("web.shop.minilb.", "10.0.0.1")
				if name != "a directory" && keptNames(t, path) != "web" {
					t.Error("it is not replaced")
				}
			})
		})
	}
}

// A snapshot that the first minilb with this version has written is read, with a field that it did not know.
func TestSnapshotVersion(t *testing.T) {
	restoring(t, gatewayAPIOf(t), config.Options{Gateways: true}, copied(t, "../snapshot/testdata/snapshot-5"), func(t *testing.T, b *bench) {
		for name, want := range map[string]string{"web.shop.minilb.": "10.0.0.1", "web.ex.org.": "10.0.0.1", "a.ex.org.": "10.9.9.9", "s.ex.org.": "10.0.0.1", "http.org.": "10.0.0.5", "tls.org.": "10.0.0.5"} {
			b.want(name, want)
		}
	})
}

// copied returns the path of a copy of a file.
func copied(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy := filepath.Join(t.TempDir(), "snapshot")
	if err := os.WriteFile(copy, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return copy
}

// A disk that is full or may not be written costs one line, and another when it is over. The file
// before stays meanwhile, and nothing beside it.
func TestSnapshotFailing(t *testing.T) {
	for name, fault := range map[string]func(t *testing.T, directory string) (begin, end func()){
		"no directory": func(t *testing.T, directory string) (begin, end func()) {
			return func() { os.Rename(directory, directory+"-away") }, func() { os.Rename(directory+"-away", directory) }
		},
		"full": func(t *testing.T, directory string) (begin, end func()) {
			mount(t, directory, 0, "size=64k")
			ballast := filepath.Join(directory, "ballast")
			return func() { os.WriteFile(ballast, make([]byte, 64<<10), 0o600) }, func() { os.Remove(ballast) }
		},
		"read-only": func(t *testing.T, directory string) (begin, end func()) {
			mount(t, directory, 0, "size=64k")
			return func() { mount(t, directory, syscall.MS_REMOUNT|syscall.MS_RDONLY, "") }, func() { mount(t, directory, syscall.MS_REMOUNT, "") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			directory := filepath.Join(t.TempDir(), "kept")
			if err := os.Mkdir(directory, 0o700); err != nil {
				t.Fatal(err)
			}
			begin, end := fault(t, directory)
			path := filepath.Join(directory, "snapshot")
			synctest.Test(t, func(t *testing.T) {
				api := gatewayAPIOf(t)
				b, stop := runBench(t, api, config.Options{}, keeping(path))
				defer stop()
				synctest.Wait()
				time.Sleep(writeInterval)
				synctest.Wait() // it may be written again now: a table is known a moment before it is touched
				if got := keptNames(t, path); got != "web" {
					t.Fatalf("got %q", got)
				}
				b.log.take()
				begin()
				for i := range 10 {
					api.send("services", watch.Added, testService(fmt.Sprintf("shop/s%d", i), 1, ""))
					time.Sleep(retryInterval)
					synctest.Wait()
					b.want(fmt.Sprintf("s%d.shop.minilb.", i), "")
				}
				if lines := b.log.take(); len(lines) != 1 || !strings.HasPrefix(lines[0], "W Writing the snapshot: ") || !strings.HasSuffix(lines[0], "; trying again, and answering all the same") {
					t.Errorf("got the log %q, want one line", lines)
				} else {
					t.Log(lines[0])
				}
				if _, err := b.watcher.Snapshot.Flush(); err == nil {
					t.Error("it can be written")
				}
				if name != "no directory" {
					if got := keptNames(t, path); got != "web" {
						t.Errorf("the file has %q", got)
					}
					if _, err := os.Lstat(path + ".tmp"); err == nil {
						t.Error("something is left")
					}
				}
				end()
				time.Sleep(retryInterval)
				synctest.Wait()
				if lines := b.log.take(); !slices.Equal(lines, []string{"I The snapshot " + path + " can be written again"}) {
					t.Errorf("got the log %q", lines)
				}
				if got := keptNames(t, path); len(strings.Fields(got)) != 11 {
					t.Errorf("the file has %q", got)
				}
			})
		})
	}
}

// mount puts a file system in memory onto a directory, for the test's duration.
func mount(t *testing.T, directory string, flags uintptr, options string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may mount")
	}
	if err := syscall.Mount("tmpfs", directory, "tmpfs", flags, options); err != nil {
		if flags == 0 && (err == syscall.EPERM || err == syscall.ENODEV) {
			t.Skipf("cannot mount: %v", err)
		}
		t.Fatalf("mount: %v", err)
	}
	if flags == 0 {
		t.Cleanup(func() { syscall.Unmount(directory, syscall.MNT_DETACH) })
	}
}

// A snapshot whose checksum is right, and whose content is not, is either refused or served: it
// ends nothing, and takes no more memory than a large one would.
func TestSnapshotHostile(t *testing.T) {
	whole, err := os.ReadFile("../snapshot/testdata/snapshot-5")
	if err != nil {
		t.Fatal(err)
	}
	_, whole, _ = bytes.Cut(whole, []byte("\n"))
	whole = whole[:bytes.LastIndex(whole, []byte("sha256 "))]
	path := filepath.Join(t.TempDir(), "snapshot")
	random := seeded(t)
	served, largest := 0, uint64(0)
	for range 5_000 {
		content := bytes.Clone(whole)
		for range 1 + random.IntN(3) {
			at := random.IntN(len(content))
			switch random.IntN(4) {
			case 0:
				content[at] = byte(random.Uint32())
			case 1: // a number of up to 2^63, which only counts in the place of another
				content = slices.Insert(content, at, strconv.AppendUint(nil, random.Uint64()>>random.IntN(64), 10)...)
			case 2:
				content = slices.Delete(content, at, min(len(content), at+1+random.IntN(8)))
			case 3:
				content = slices.Insert(content, at, content[:random.IntN(len(content))]...)
			}
		}
		if err := os.WriteFile(path, signed(snapshot.Version, string(content)), 0o600); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = snapshot.File(path).Read()
		runtime.ReadMemStats(&after)
		largest = max(largest, (after.TotalAlloc-before.TotalAlloc)/uint64(len(content)))
		if err != nil {
			continue
		}
		served++
		b := newBench(t, config.Options{Gateways: true})
		b.watcher.KeepIn(path, func() bool { return false })
		b.watcher.Restore()
		b.publish()
		b.addrs("web.shop.minilb.")
	}
	t.Logf("%d are served; reading takes %d bytes a byte at most", served, largest)
	if served < 50 || largest > 1000 {
		t.Errorf("%d are served; reading takes %d bytes a byte at most", served, largest)
	}
}
