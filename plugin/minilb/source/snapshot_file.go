package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxSnapshot bounds what is read, in bytes, and what is written: it stands in memory twice while it is read, which is
// half of what the shipped manifests give the server. 10,000 Services with 10 endpoints each take 2 million, and a
// million endpoints 40 million.
const maxSnapshot = 128 << 20

var (
	errLink      = errors.New("it is a symbolic link, which is not followed: name the file that it leads to")
	errIrregular = errors.New("it is not a regular file")
	errTooLarge  = fmt.Errorf("it would have more than %d bytes, which are not read again: a quota keeps tenants from making so many objects", maxSnapshot)
)

// openSnapshot opens a file for reading if it can be believed: it is regular, its name is no link, and nobody but
// us and root may have written it. Nothing is waited for, such as the writer of a pipe.
func openSnapshot(path string) (file *os.File, size int, err error) {
	file, err = os.OpenFile(path, os.O_RDONLY|careful, 0)
	if err != nil {
		switch info, _ := os.Lstat(path); {
		case info == nil || info.Mode().IsRegular():
			return nil, 0, err
		case info.Mode()&fs.ModeSymlink != 0:
			return nil, 0, errLink
		}
		return nil, 0, errIrregular
	}
	size, err = believed(file)
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, size, nil
}

// believed returns the size of a file that is open, or why its content is not to be used.
func believed(file *os.File) (size int, err error) {
	info, err := file.Stat()
	switch {
	case err != nil:
		return 0, err
	case !info.Mode().IsRegular():
		return 0, errIrregular
	case info.Size() > maxSnapshot:
		return 0, fmt.Errorf("it is too large: %d bytes, at most %d are read", info.Size(), maxSnapshot)
	}
	directory, err := os.Stat(filepath.Dir(file.Name()))
	if err != nil {
		return 0, err
	}
	return int(info.Size()), trust(info, directory)
}

// read returns what is in the file.
func (s *snapshot) read() (*state, error) {
	file, size, err := openSnapshot(s.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readFrom(file, size)
}

// readFrom reads a snapshot of that size. Of what does not begin as one no more is read than its beginning.
func readFrom(in io.Reader, size int) (*state, error) {
	beginning := make([]byte, min(size, maxBeginning))
	if _, err := io.ReadFull(in, beginning); err != nil {
		return nil, err
	}
	if _, err := readBeginning(beginning); err != nil {
		return nil, err
	}
	content := make([]byte, size)
	if _, err := io.ReadFull(in, content[copy(content, beginning):]); err != nil {
		return nil, err
	}
	return readState(content)
}

// limited is a writer that fails, with errTooLarge, before more is written than may be read again.
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
