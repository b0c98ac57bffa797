package controller

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// socketFallback is where the status socket goes if its folder is not writable.
const socketFallback = "/dev/shm"

// ErrSocketInUse is returned by ListenSocket if another process answers on the status socket.
var ErrSocketInUse = errors.New("another instance answers on it")

// SocketPaths returns where the status socket may be: where it is configured,
// and where it goes if it cannot be there.
func SocketPaths(path string) []string {
	fallback := filepath.Join(socketFallback, filepath.Base(path))
	if path == fallback {
		return []string{path}
	}
	return []string{path, fallback}
}

// ListenSocket opens the status socket. A leftover of an earlier process is
// replaced; one on which somebody answers is left alone, and the error is
// ErrSocketInUse. Where the folder cannot be written, the socket is opened in
// /dev/shm; the listener's address tells. Everybody in the container may
// connect: the API shows no secrets, and all that can be changed by it is how long
// a drain is deferred.
func ListenSocket(path string) (net.Listener, error) {
	var first error
	for _, p := range SocketPaths(path) {
		l, err := listenSocket(p)
		if err == nil {
			return l, nil
		}
		if first == nil {
			first = err
		}
		if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.EROFS) {
			break
		}
	}
	return nil, fmt.Errorf("controller: open the status socket: %w", first)
}

func listenSocket(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&fs.ModeSocket == 0 {
			return nil, fmt.Errorf("%s exists and is no socket: remove it, or set status.socket", path)
		}
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			_ = c.Close()
			return nil, fmt.Errorf("%s: %w", path, ErrSocketInUse)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o666); err != nil { //nolint:gosec // of use to every user of the container
		_ = l.Close()
		return nil, err
	}
	return l, nil
}
