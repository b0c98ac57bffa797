package compose

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// files are those below the compose file's folder.
type files struct {
	dir string
}

var (
	errOutside    = errors.New("it is outside of the compose file's folder")
	errNotRegular = errors.New("it is no regular file")
)

// open opens a file below the folder, whose path is relative to it, with
// slashes. It does so in two steps: a descriptor that opens nothing yet tells
// where the path leads and what is there, so that neither a link leads out nor
// a device or a pipe is touched.
func (f files) open(name string, kind uint32) (*os.File, error) {
	root, err := realPath(f.dir)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open(filepath.Join(f.dir, name), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	real, err := os.Readlink(descriptor(fd))
	if err != nil {
		return nil, bare(err)
	}
	var info unix.Stat_t
	if err := unix.Fstat(fd, &info); err != nil {
		return nil, err
	}
	switch {
	case real != root && !strings.HasPrefix(real, strings.TrimSuffix(root, "/")+"/"):
		return nil, errOutside
	case info.Mode&unix.S_IFMT != kind:
		return nil, errNotRegular
	}
	file, err := os.Open(descriptor(fd))
	return file, bare(err)
}

// descriptor is the path of what a descriptor is open for.
func descriptor(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// realPath is a folder's path without links.
func realPath(dir string) (string, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer func() { _ = unix.Close(fd) }()
	real, err := os.Readlink(descriptor(fd))
	return real, bare(err)
}

// read reads a file.
func (f files) read(name string) ([]byte, error) {
	file, err := f.open(name, unix.S_IFREG)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	return readLimited(file)
}

// maxNames bounds how many entries of a build context are looked at.
const maxNames = 10_000

// names lists a folder, in order.
func (f files) names(dir string) []string {
	folder, err := f.open(dir, unix.S_IFDIR)
	if err != nil {
		return nil
	}
	defer func() { _ = folder.Close() }() // it was only read
	names, _ := folder.Readdirnames(maxNames)
	slices.Sort(names)
	return names
}

// beside is the path of a file below the folder, as messages show it.
func (l *linter) beside(name string) string { return filepath.Join(l.files.dir, name) }

// contextDir is the build context of a service, relative to the folder of the
// compose file; ok is false if there is none that can be looked into.
func (s *service) contextDir() (dir string, ok bool) {
	if !s.build.context.known() {
		return "", false
	}
	dir = s.build.context.text
	// An URL or user@host:path is no folder.
	return path.Clean(dir), !strings.HasPrefix(dir, "/") && !strings.Contains(dir, ":") && !strings.HasPrefix(path.Clean(dir)+"/", "../")
}

// architectures are balena's, as in Dockerfile.aarch64.
const architectures = "aarch64 armv7hf rpi amd64 i386 i386-nlp armv5e"

// dockerfiles are those of a build context that balena may build by: the one
// that the compose file names, else those for an architecture or device type,
// and for the others the template, else the plain one.
func (l *linter) dockerfiles(s *service, dir string) []string {
	if named := s.build.dockerfile; named.set() {
		if named.unknown {
			return nil
		}
		return []string{path.Join(dir, named.text)}
	}
	const most = 16
	var found []string
	general := ""
	for _, name := range l.files.names(dir) {
		suffix, ok := strings.CutPrefix(name, "Dockerfile")
		switch {
		case !ok:
		case suffix == ".template", suffix == "" && general == "":
			general = name
		case isDevice(strings.TrimPrefix(suffix, ".")) && len(found) < most:
			found = append(found, path.Join(dir, name))
		}
	}
	if general != "" {
		found = append(found, path.Join(dir, general))
	}
	return found
}

// isDevice reports whether the end of a Dockerfile's name is an architecture, or
// looks like a device type: raspberrypi4-64, fincm3, intel-nuc.
func isDevice(suffix string) bool {
	return oneOf(suffix, architectures) ||
		strings.ContainsAny(suffix, "-0123456789") && !strings.ContainsAny(suffix, "._~")
}
