package live

import (
	"errors"
	"io/fs"
	"strconv"

	"golang.org/x/sys/unix"
)

// folderWorks reports whether announcements go through the shared folder.
func (f *facts) folderWorks() bool {
	at := f.folder
	return !f.folder.late && !at.off && at.access == nil && at.lock == nil && !f.unshared()
}

// unshared reports whether no other container can see the folder.
func (f *facts) unshared() bool {
	return f.container() != "" && f.folder.own || f.folder.kind == unix.OVERLAYFS_SUPER_MAGIC
}

func (f *facts) judgeFolder(r *report) {
	path, at := f.cfg.Announce.Folder, f.folder
	if f.folder.late {
		r.late(folderAccess, "announce.folder, "+path)
		return
	}
	f.judgeAccess(r, path, at)
	if !at.off && at.access == nil {
		f.judgeFileSystem(r, path, at)
	}
	if !f.cfg.Policy.Exclusive {
		return
	}
	if f.folderWorks() {
		r.ok(folderExclusive, "policy.exclusive has a lock in %s to rely on", path)
		return
	}
	r.fail(folderExclusive, "policy.exclusive has no lock to rely on: announce.folder is off or cannot be used").because(
		"what is heard and listed alone keeps two workloads from running at a time, and that can fail",
		"set announce.folder to a folder that all containers of the service share and can write to; on balena that is /tmp/balena")
}

func (f *facts) judgeAccess(r *report, path string, at *folder) {
	const why = "announcements go over the network alone, where they can get lost, and a peer that has died is noticed later"
	switch {
	case at.off:
		r.note(folderAccess, "announce.folder is off: announcements go over the network alone")
	case errors.Is(at.access, fs.ErrNotExist):
		r.warn(folderAccess, "the shared folder %s (announce.folder) does not exist", path).because(
			why,
			"on balena the Supervisor makes it; elsewhere give all containers of the service a folder of the host there, or set announce.folder to off")
	case at.access != nil:
		r.warn(folderAccess, "user %s cannot write to the shared folder %s (announce.folder): %s", f.uid, path, cause(at.access)).because(
			why,
			"run the service as root, or let its user write to the folder")
	default:
		r.ok(folderAccess, "the shared folder %s can be written", path)
	}
}

func (f *facts) judgeFileSystem(r *report, path string, at *folder) {
	if f.unshared() {
		r.warn(folderShared, "%s (announce.folder) is part of this container's own file system", path).because(
			"no other container sees what is written there: announcements go over the network alone",
			"on balena the Supervisor mounts it; elsewhere give all containers of the service the same folder of the host")
	} else if f.container() != "" {
		r.ok(folderShared, "%s is mounted into this container; that the other containers have the same one cannot be seen from here", path)
	}
	switch kind, remote := fileSystem(at.kind); {
	case remote:
		r.warn(folderType, "%s is on a file system of type %s", path, kind).because(
			"such file systems do not tell one machine what another one writes, and may lock nothing: peers are noticed later",
			"use a folder of the device's own disk or memory")
	default:
		r.ok(folderType, "%s is on a file system of type %s", path, kind)
	}
	if at.lock != nil {
		r.warn(folderLock, "files in %s cannot be locked: %s", path, at.lock.Error()).because(
			"announcements cannot be made there: others hear this instance over the network alone",
			"use a folder on a file system with flock")
	} else {
		r.ok(folderLock, "files in it can be locked")
	}
	if at.watch != nil {
		r.warn(folderWatch, "changes of %s are not told (inotify): %s", path, at.watch.Error()).because(
			"peers are looked for at each announcement only, and noticed later",
			"use a folder of the device's own; if there are too many watches, raise fs.inotify.max_user_watches or max_user_instances on the host")
	} else {
		r.ok(folderWatch, "changes of it are told (inotify)")
	}
}

// fileSystem names a type, and tells whether another machine, or the host of a
// virtual one, can write to such a file system unnoticed.
func fileSystem(kind int64) (string, bool) {
	const p9, cifs, smb2, fuse, nfs = 0x01021997, 0xff534d42, 0xfe534d42, 0x65735546, 0x6969
	switch uint32(kind) { // sign-extended where a long has 32 bits
	case unix.EXT4_SUPER_MAGIC:
		return "ext4", false
	case unix.TMPFS_MAGIC:
		return "tmpfs", false
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlay", false
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs", false
	case unix.XFS_SUPER_MAGIC:
		return "xfs", false
	case p9:
		return "9p", true
	case cifs, smb2:
		return "cifs", true
	case fuse:
		return "fuse", true
	case nfs:
		return "nfs", true
	}
	return "0x" + strconv.FormatUint(uint64(uint32(kind)), 16), false
}
