package workload

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrNotFound and ErrNotExecutable say which kind a *StartError is.
var (
	ErrNotFound      = errors.New("command not found")
	ErrNotExecutable = errors.New("command cannot be executed")
)

// StartError says why a command could not be started. It matches ErrNotFound
// or ErrNotExecutable, and the system's error, with errors.Is.
type StartError struct {
	// Command is the command as it was given.
	Command string
	// ExitCode is 127 if the command was not found, else 126, as shells, tini
	// and Docker have it.
	ExitCode int
	// Err is what the system said.
	Err error

	hint string // what to do
}

func (e *StartError) Error() string {
	return fmt.Sprintf("workload: start %q: %v: %s", e.Command, e.Err, e.hint)
}

// Unwrap makes errors.Is find the kind and the system's error.
func (e *StartError) Unwrap() []error {
	kind := ErrNotExecutable
	if e.ExitCode == 127 {
		kind = ErrNotFound
	}
	return []error{kind, e.Err}
}

// defaultPath is where execvp(3) looks without PATH, in musl's version.
const defaultPath = "/usr/local/bin:/bin:/usr/bin"

// searchPath returns PATH of an environment; the first one counts.
func searchPath(env []string) string {
	for _, entry := range env {
		if value, ok := strings.CutPrefix(entry, "PATH="); ok {
			return value
		}
	}
	return defaultPath
}

// candidates are the files that execvp(3) tries: the name itself if it has a
// slash, else one in each directory of PATH. An empty entry is the working
// directory.
func candidates(name, searchPath string) []string {
	if strings.Contains(name, "/") {
		return []string{name}
	}
	var files []string
	for _, dir := range strings.Split(searchPath, ":") {
		if dir == "" {
			dir = "."
		}
		files = append(files, dir+"/"+name)
	}
	return files
}

// closed reports whether the candidate is in a directory of PATH that may not
// be searched: then nothing is known of the command, and it counts as not found.
func closed(name, dir, file string) bool {
	if strings.Contains(name, "/") {
		return false
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(dir, file)
	}
	_, err := os.Stat(file)
	return errors.Is(err, syscall.EACCES)
}

// execvp tries the candidates one after the other as execvp(3) does, except
// that it never falls back to a shell, and that a directory of PATH that may
// not be searched says nothing, as for a shell. It returns the first one's pid. dir is
// the working directory that relative paths start from, empty for our own.
func execvp(name, dir string, env []string, exec func(path string) (int, error)) (int, error) {
	if dir != "" {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return 0, directoryError(name, dir, err)
		}
	}
	if name == "" {
		return 0, startError(name, dir, env, syscall.ENOENT)
	}
	refused := false
	for _, file := range candidates(name, searchPath(env)) {
		pid, err := exec(file)
		switch {
		case err == nil:
			return pid, nil
		case errors.Is(err, syscall.EACCES):
			refused = refused || !closed(name, dir, file)
		case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ESTALE),
			errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ETIMEDOUT):
		default:
			return 0, startError(name, dir, env, err)
		}
	}
	if refused {
		return 0, startError(name, dir, env, syscall.EACCES)
	}
	return 0, startError(name, dir, env, syscall.ENOENT)
}

func directoryError(name, dir string, err error) *StartError {
	var sys syscall.Errno
	if !errors.As(err, &sys) {
		sys = syscall.ENOTDIR
	}
	return &StartError{
		Command: name, ExitCode: 126, Err: sys,
		hint: fmt.Sprintf("create the working directory %q, or name another", dir),
	}
}

func startError(name, dir string, env []string, err error) *StartError {
	e := &StartError{Command: name, ExitCode: 126, Err: err}
	var found os.FileInfo // the candidate that exists
	for _, file := range candidates(name, searchPath(env)) {
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		if info, statErr := os.Stat(file); statErr == nil && name != "" {
			found = info
			break
		}
	}
	switch {
	case errors.Is(err, syscall.ENOENT):
		e.ExitCode = 127
		switch {
		case found != nil:
			e.hint = "the file exists, but what should run it does not: " +
				"look at the first line of the script, or whether the program was built for this image's C library"
		case !strings.Contains(name, "/"):
			e.hint = fmt.Sprintf("not in PATH (%s): install it in the image, or give its path", searchPath(env))
		default:
			e.hint = "install it in the image, or correct the path"
		}
	case errors.Is(err, syscall.EACCES) && found != nil && found.IsDir():
		e.hint = "it is a directory: name the program in it"
	case errors.Is(err, syscall.EACCES):
		e.hint = "make it executable (chmod +x), and see that its file system is not mounted noexec"
	case errors.Is(err, syscall.ENOEXEC):
		e.hint = "it was built for another architecture, or is a script without #! in its first line"
	case errors.Is(err, syscall.EAGAIN):
		e.hint = "there are as many processes as may be: raise the limit (pids_limit or ulimits: nproc in the compose file)"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		e.hint = "there are as many open files as may be: raise the limit (ulimits: nofile in the compose file)"
	case errors.Is(err, syscall.ENOMEM):
		e.hint = "there is no memory left: raise the limit (mem_limit in the compose file)"
	default:
		e.hint = "run it in a shell inside the container to see more"
	}
	return e
}
