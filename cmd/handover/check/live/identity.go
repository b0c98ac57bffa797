package live

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/handover-controller/handover/config"
	"github.com/handover-controller/handover/peer"
)

// identity is who this is, as far as it can be seen without changing anything.
type identity struct {
	late      bool
	self      peer.Self
	recordErr error  // of the record; nil: it is there and good
	writeErr  error  // why the folder of the record can't be written
	outside   bool   // nothing here looks like a container
	volatile  bool   // what is written there does not survive a restart of the container
	missing   string // the folder does not exist, this is the one in which it would be made
}

func lookAtIdentity(cfg *config.Config) *identity {
	// Without a StateDir it records nothing.
	i := &identity{self: peer.Identify(peer.IdentifyOptions{ContainerID: cfg.Service.ContainerID})}
	if i.self.Container != "" {
		_, i.recordErr = peer.ReadFirstStart(cfg.Service.StateDir, i.self.Container)
	}
	i.outside = i.self.Container == "" && outsideContainer()
	i.missing, i.writeErr = writable(cfg.Service.StateDir)
	at := cfg.Service.StateDir
	if i.missing != "" {
		at = i.missing
	}
	var about unix.Statfs_t
	i.volatile = unix.Statfs(at, &about) == nil && about.Type == unix.TMPFS_MAGIC
	return i
}

// outsideContainer reports whether there is none of the files that engines put
// into each container.
func outsideContainer() bool {
	for _, sign := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Lstat(sign); !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}

// writable tries whether a file can be made in a folder, and removes it again.
// If the folder does not exist, it looks at the one in which it would be made,
// and makes nothing.
func writable(folder string) (missing string, err error) {
	_, err = os.Stat(folder)
	if errors.Is(err, fs.ErrNotExist) {
		at := folder
		for errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at) {
			at = filepath.Dir(at)
			_, err = os.Stat(at)
		}
		if err == nil {
			err = unix.Faccessat(unix.AT_FDCWD, at, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
		}
		return at, err
	}
	if err != nil {
		return "", err
	}
	file, err := os.CreateTemp(folder, ".handover-check-*")
	if err != nil {
		return "", err
	}
	_, err = file.WriteString("of handover check, to be removed\n")
	return "", errors.Join(err, file.Close(), os.Remove(file.Name()))
}

func (f *facts) judgeIdentity(r *report) {
	if f.cfg.Service.AppID == "" || f.cfg.Service.Name == "" {
		r.warn(identityService, "service.app_id or service.name is not known").because(
			"instances find each other by both: services without them would take each other for the same one, and the Supervisor's list cannot be searched",
			"on balena BALENA_APP_ID and BALENA_SERVICE_NAME are set by the Supervisor; elsewhere set service.app_id and service.name")
	} else {
		r.ok(identityService, "this is service %s of app %s", f.cfg.Service.Name, f.cfg.Service.AppID)
	}
	if f.identity.late {
		r.late(identityRecord, "service.state_dir, "+f.cfg.Service.StateDir)
		return
	}
	i := f.identity
	f.judgeContainer(r, i)
	if i.self.BootID == "" {
		r.warn(identityBoot, "the boot id of the kernel cannot be read").because(
			"instances on other devices of the same network cannot be told from those on this one",
			"make /proc/sys/kernel/random/boot_id readable in the container")
	} else {
		r.ok(identityBoot, "the boot id is %s", i.self.BootID)
	}
	f.judgeRecord(r, i)
}

func (f *facts) judgeContainer(r *report, i *identity) {
	switch {
	case i.self.Container != "":
		r.ok(identityContainer, "this is container %s (found in: %s)", string(i.self.Container), i.self.ContainerSource)
	case f.asks() && i.outside:
		r.fail(identityContainer, "this is no container, so there is no container id, and the Supervisor is to be asked (%s)", f.mode()).because(
			"the Supervisor lists containers: no instance that runs here can be found in its list, so the second signal stays unknown, and no hand-over happens before an instance is told to stop",
			"run the service in a container; outside of one, set supervisor.mode to off: announcements alone decide then, and the process that started later is the younger one")
	case f.asks():
		r.warn(identityContainer, "the id of this container was not found").because(
			"the Supervisor's list cannot be matched: an instance that is not told to stop never hands over, and who is younger may stay unknown",
			"set service.container_id, or run this in the service's container")
	default:
		r.note(identityContainer, "no container id was found: this seems to be no container. The Supervisor is not asked, so none is needed: the process that started later is the younger one")
	}
}

func (f *facts) judgeRecord(r *report, i *identity) {
	dir := f.cfg.Service.StateDir
	const why = "the record tells a container that was restarted from one that is new; without it the Supervisor's list decides who is younger"
	switch {
	case i.self.Container != "" && i.recordErr == nil && !i.volatile:
		r.ok(identityRecord, "the first start of this container is recorded in %s", dir)
	case i.writeErr != nil:
		r.warn(identityRecord, "user %s cannot write to service.state_dir, %s: %s", f.uid, dir, cause(i.writeErr)).because(
			why,
			"let that user write there, or set service.state_dir to a folder of the container's own where it can")
	case i.self.Container != "" && errors.Is(i.recordErr, peer.ErrStartUnknown):
		r.warn(identityRecord, "the record in %s says that the first start of this container is not known", dir).because(
			why,
			"nothing can be done in this container; a new one has a record of its own")
	case i.self.Container != "" && i.recordErr != nil && !errors.Is(i.recordErr, fs.ErrNotExist):
		r.warn(identityRecord, "%s", i.recordErr.Error()).because(
			why,
			"do not write to service.state_dir from elsewhere; a new container has a record of its own")
	case i.volatile:
		r.warn(identityRecord, "service.state_dir, %s, is in memory", dir).because(
			"the record is lost when the container restarts: an old container would then be taken for the youngest",
			"set service.state_dir to a folder in the container's own writable layer")
	case i.self.Container == "":
		r.note(identityRecord, "%s can be written, but nothing is recorded without the container's id", dir)
	case f.instance.status != nil:
		r.warn(identityRecord, "the running instance has left no record of the first start in %s", dir).because(
			why,
			"see the first lines of the container's log for the reason; handover check runs as another user or with another configuration, if there is none")
	default:
		r.ok(identityRecord, "%s can be written; handover run records the first start there", dir)
	}
}

// cause is an error's text without the operation and the name of the file.
func cause(err error) string {
	var file *fs.PathError
	if errors.As(err, &file) {
		return file.Err.Error()
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		return call.Err.Error()
	}
	return err.Error()
}
