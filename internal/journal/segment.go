package journal

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// segment is the file that is written, and the one before it.
type segment struct {
	path, older string
	most        int64 // bytes

	file *os.File // nil after a failure, until it can be opened again
	size int64
	torn bool // the last line has no end
}

// open opens the file for appending, and finds out whether its last line is whole.
func (s *segment) open() error {
	if err := s.prepare(); err != nil {
		return err
	}
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return err
	}
	s.file, s.size, s.torn = f, info.Size(), false
	if s.size > 0 {
		var last [1]byte
		_, err := f.ReadAt(last[:], s.size-1)
		s.torn = err != nil || last[0] != '\n'
	}
	return nil
}

// prepare makes the directory, and moves aside what is in the place of it or of a file and is something else.
func (s *segment) prepare() error {
	dir := filepath.Dir(s.path)
	if err := aside(dir, fs.FileMode.IsDir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return errors.Join(aside(s.path, fs.FileMode.IsRegular), aside(s.older, fs.FileMode.IsRegular))
}

// aside moves away what is not of the right kind.
func aside(path string, right func(fs.FileMode) bool) error {
	info, err := os.Stat(path)
	if err != nil || right(info.Mode()) {
		return nil // if it cannot be used, opening it tells
	}
	return os.Rename(path, path+".damaged-"+time.Now().UTC().Format("20060102T150405.000000Z"))
}

func (s *segment) close() error {
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	return errors.Join(f.Sync(), f.Close())
}

// full reports whether n bytes more would be too many.
func (s *segment) full(n int) bool { return s.size > 0 && s.size+int64(n) > s.most }

// turn begins a new file; the one before the last is gone.
func (s *segment) turn() error {
	err := s.close()
	if err := os.Rename(s.path, s.older); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return errors.Join(err, s.open())
}

// write appends lines. After a failure it is not known how much of them is there: the next write looks.
func (s *segment) write(lines []byte) error {
	if s.file == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	if s.torn {
		lines = append([]byte{'\n'}, lines...)
	}
	n, err := s.file.Write(lines)
	s.size, s.torn = s.size+int64(n), false
	if err != nil {
		return errors.Join(err, s.close())
	}
	return nil
}

// readers are the files, the older one first. The caller closes them, whatever the error.
func (s *segment) readers() (files []*os.File, err error) {
	for _, path := range []string{s.older, s.path} {
		f, err := os.Open(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return files, err
		default:
			files = append(files, f)
		}
	}
	return files, nil
}

// read looks through files for what a query asks for, and keeps the newest.
func read(files []*os.File, q Query) (events []Event, more bool, err error) {
	most := q.Most
	if most <= 0 || most > MaxEvents {
		most = MaxEvents
	}
	for _, f := range files {
		lines := bufio.NewReaderSize(f, 2*maxLine)
		for {
			line, err := lines.ReadSlice('\n')
			if errors.Is(err, io.EOF) {
				break // what has no end is being written, or was torn
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				continue // no line of ours; its rest is none either
			}
			if err != nil {
				return nil, false, err
			}
			if e, err := parse(line); err == nil && q.wants(&e) {
				events = append(events, e)
			}
		}
		if len(events) > most {
			events, more = events[len(events)-most:], true
		}
	}
	return events, more, nil
}
