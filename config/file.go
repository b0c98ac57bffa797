package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/handover-controller/handover/config/trusted"
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
	named    bool   // by the caller or by the variable
	data     []byte
}

// findFile reads the file that counts, adding what is wrong to the problems.
func (l *loader) findFile(o Options) source {
	if o.Path != "" {
		return l.checked(l.readFile(source{name: o.Path, named: true}))
	}
	if name := l.environment[fileVariable]; name != "" {
		return l.checked(l.readFile(source{name: name, variable: fileVariable, named: true}))
	}
	for _, name := range []string{filepath.Join(o.Dir, fileName), systemFile} {
		s, err := l.readFile(source{name: name})
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			continue
		}
		return l.checked(s, err)
	}
	return source{}
}

// checked adds the error of reading, if there was one.
func (l *loader) checked(s source, err error) source {
	if err == nil {
		return s
	}
	p := Problem{File: s.name, Source: s.variable, Err: err}
	var another *trusted.Error
	switch {
	case errors.As(err, &another):
		p.Message = "the file is not used: another user decides what stands in it, and it names commands that run as root: " + another.Error()
		p.Allowed = "a file, and folders on the way to it, that belong to root and that only root may write"
		p.Hint = "chown and chmod " + another.Name() + "; or, if that user may decide what runs as root, name the file with --config or " + fileVariable
	case errors.Is(err, errReplaced):
		p.Message = "the file was replaced while it was read"
		p.Hint = "try again"
	case errors.Is(err, errNotRegular), errors.Is(err, syscall.ENXIO): // a socket
		p.Message = "is not a regular file"
		p.Allowed = "a regular file, or a link to one"
		p.Hint = "remove what stands there, or name another file with --config or " + fileVariable
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

var (
	errTooLarge   = errors.New("config: read file: larger than 1 MiB")
	errNotRegular = errors.New("config: read file: not a regular file")
	errReplaced   = errors.New("config: read file: replaced while it was looked at")
)

// readFile reads the file. It never waits for what stands there: not for the
// writer of a pipe, and no device is opened.
func (l *loader) readFile(s source) (source, error) {
	open := l.open
	if open == nil {
		open = func(name string) (io.ReadCloser, error) { return l.openFile(name, s.named) }
	}
	file, err := open(s.name)
	if err != nil {
		return s, err
	}
	defer func() { _ = file.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	if err != nil {
		return s, err
	}
	if len(data) > maxFileSize {
		return s, errTooLarge
	}
	s.data = data
	return s, nil
}

// openFile opens a regular file that only this process's user and root decide
// about. For root another one is an error, unless somebody named the file. Else
// it is a warning: whoever starts handover may know better.
func (l *loader) openFile(name string, named bool) (io.ReadCloser, error) {
	if err := regular(os.Stat(name)); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	opened, err := file.Stat()
	if err := regular(opened, err); err != nil {
		_ = file.Close()
		return nil, err
	}
	if err := l.vouch(name, opened, named); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// vouch looks who decides what stands in the file that was opened.
func (l *loader) vouch(name string, opened fs.FileInfo, named bool) error {
	found, err := trusted.Check(name)
	if err == nil && !os.SameFile(found, opened) {
		err = errReplaced
	}
	var another *trusted.Error
	switch {
	case err == nil:
		return nil
	case os.Geteuid() == 0 && !named:
		return err
	case errors.As(err, &another):
		l.warnings = append(l.warnings, "another user decides what stands in the configuration file "+printable(name)+
			", and so which commands run: "+another.Error())
	}
	return nil
}

func regular(info fs.FileInfo, err error) error {
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return syscall.EISDIR
	case !info.Mode().IsRegular():
		return errNotRegular
	}
	return nil
}
