package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxSize bounds what is read and written, in bytes: its objects take less than half of the memory that the shipped manifests
// give the server. 10,000 Services with 10 endpoints each take 3 million.
const maxSize = 128 << 20

var (
	errLink      = errors.New("it is a symbolic link, which is not followed: name the file that it leads to")
	errIrregular = errors.New("it is not a regular file")
	errTooLarge  = fmt.Errorf("it would have more than %d bytes, which are not read again: a quota keeps tenants from making so many objects", maxSize)
)

// File is the path of a snapshot.
type File string

// Read returns what is in the file, if that is regular, no link, and only we and root can have written it. It never waits,
// such as for the writer of a pipe.
func (f File) Read() (*State, error) {
	file, err := os.OpenFile(string(f), os.O_RDONLY|careful, 0)
	if err != nil {
		switch info, _ := os.Lstat(string(f)); {
		case info == nil || info.Mode().IsRegular():
			return nil, err
		case info.Mode()&fs.ModeSymlink != 0:
			return nil, errLink
		}
		return nil, errIrregular
	}
	defer file.Close()
	if err := believed(file); err != nil {
		return nil, err
	}
	return decode(io.LimitReader(file, maxSize))
}

// believed returns why the content of an open file must not be used.
func believed(file *os.File) error {
	info, err := file.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errIrregular
	case info.Size() > maxSize:
		return fmt.Errorf("it is too large: %d bytes, at most %d are read", info.Size(), maxSize)
	}
	directory, err := os.Stat(filepath.Dir(file.Name()))
	if err != nil {
		return err
	}
	return trust(info, directory)
}

// Write replaces the file atomically, once the new one is on the disk.
func (f File) Write(s *State) error {
	temporary := string(f) + ".tmp"
	// A crash, or somebody, may have left one.
	if err := os.Remove(temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = encode(&limited{file, maxSize}, s)
	if err == nil {
		err = file.Sync()
	}
	if err = cmp.Or(err, file.Close()); err == nil {
		err = os.Rename(temporary, string(f))
	}
	if err != nil {
		os.Remove(temporary)
		return err
	}
	if directory, err := os.Open(filepath.Dir(string(f))); err == nil { // makes the rename durable, where that is possible
		directory.Sync()
		directory.Close()
	}
	return nil
}

// limited returns errTooLarge in place of writing more than left bytes.
type limited struct {
	io.Writer
	left int
}

// Write implements the io.Writer interface.
func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, errTooLarge
	}
	return l.Writer.Write(p)
}
