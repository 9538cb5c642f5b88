package snapshot

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/minilb/minilb/test/unprivileged"
)

// A file is believed that nobody but us and root may have written, in whatever way the volume is mounted that it is in.
func TestSnapshotOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to others")
	}
	const us, other, ours, theirs = 65532, 65533, 65532, 65533 // users and groups
	for name, tc := range map[string]struct {
		user, group int // of the file
		mode        os.FileMode
		directory   os.FileMode
		shared      int // the group of the directory
		believed    bool
	}{
		"its own":                         {us, ours, 0o600, 0o700, ours, true},
		"its own, for all to read":        {us, ours, 0o644, 0o755, ours, true},
		"root's":                          {0, 0, 0o644, 0o755, 0, true},
		"another's":                       {other, ours, 0o644, 0o700, ours, false},
		"another's in a shared volume":    {other, ours, 0o664, 0o770 | os.ModeSetgid, ours, false},
		"all may write":                   {us, ours, 0o646, 0o700, ours, false},
		"its own, of a volume of fsGroup": {us, ours, 0o660, 0o770 | os.ModeSetgid, ours, true},
		"root's, of a volume of fsGroup":  {0, ours, 0o660, 0o770 | os.ModeSetgid, ours, true},
		"a group may write":               {us, ours, 0o660, 0o770, ours, false},
		"another group may write":         {us, theirs, 0o660, 0o770 | os.ModeSetgid, theirs, false},
		"another than the volume's":       {us, ours, 0o660, 0o777 | os.ModeSetgid, theirs, false},
		"all may write of a volume":       {us, ours, 0o666, 0o777 | os.ModeSetgid, ours, false},
	} {
		directory, err := os.MkdirTemp("", "minilb-snapshot-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(directory)
		path := filepath.Join(directory, "snapshot")
		for _, err := range []error{
			os.WriteFile(path, signed("{}\n"), 0o600), os.Chown(path, tc.user, tc.group), os.Chmod(path, tc.mode),
			os.Chown(directory, us, tc.shared), os.Chmod(directory, tc.directory),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		unprivileged.As(t, us, ours, func() { _, err = File(path).Read() })
		if (err == nil) != tc.believed {
			t.Errorf("%s: got error %v, want that it is believed: %v", name, err, tc.believed)
		}
	}
}
