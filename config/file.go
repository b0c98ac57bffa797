package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Where the file is looked for, if nothing names it.
const (
	fileName   = "handover.yaml"
	systemFile = "/etc/handover/handover.yaml"
)

// maxFileSize bounds what is read of the file.
const maxFileSize = 1 << 20

// source is the file's content, and where it was found.
type source struct {
	name     string // empty: there is no file
	variable string // that named it, if one did
	data     []byte
}

// findFile reads the file that counts, adding what is wrong to the problems.
func (l *loader) findFile(o Options) source {
	if o.Path != "" {
		return l.readNamed(source{name: o.Path})
	}
	if name := l.environment[fileVariable]; name != "" {
		return l.readNamed(source{name: name, variable: fileVariable})
	}
	for _, name := range []string{filepath.Join(o.Dir, fileName), systemFile} {
		data, err := l.readFile(name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			continue
		}
		return l.checked(source{name: name, data: data}, err)
	}
	return source{}
}

func (l *loader) readNamed(s source) source {
	data, err := l.readFile(s.name)
	s.data = data
	return l.checked(s, err)
}

// checked adds the error of reading, if there was one.
func (l *loader) checked(s source, err error) source {
	if err == nil {
		return s
	}
	p := Problem{File: s.name, Source: s.variable, Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.Message = "the file does not exist"
		p.Hint = "create it, or name another one; without a file, the defaults and the environment are used"
	case errors.Is(err, errTooLarge):
		p.Message = "the file is larger than 1 MiB"
	case errors.Is(err, syscall.EISDIR):
		p.Message = "is a folder, not a file"
		p.Hint = "Docker makes a folder where the file of a bind mount is missing"
	case errors.Is(err, fs.ErrPermission):
		p.Message = "the file cannot be read: permission denied"
		p.Hint = "make it readable for the user that handover runs as"
	default:
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err
		}
		p.Message = "the file cannot be read: " + err.Error()
	}
	l.problems.add(p)
	s.data = nil
	return s
}

var errTooLarge = errors.New("config: read file: larger than 1 MiB")

func (l *loader) readFile(name string) ([]byte, error) {
	file, err := l.open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFileSize {
		return nil, errTooLarge
	}
	return data, nil
}

func openFile(name string) (io.ReadCloser, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return f, nil
}
