package peer

import "strings"

// fullContainerDigits is the length of a full container id.
const fullContainerDigits = 64

// How telling a place in mountinfo is: engines mount a container's host name
// file from a folder named by its id; cgroup mounts name it too; containerd's
// CRI shares that file between the containers of a pod and names the sandbox.
const (
	rankNone = iota
	rankSandbox
	rankCgroup
	rankContainer
)

// containerFromMountinfo finds the full id of this instance's container in the text of
// /proc/self/mountinfo, "" if it is not there. It knows the mounts of
//
//	Docker, balenaEngine   /…/containers/<id>/hostname → /etc/hostname
//	nerdctl                /…/containers/<namespace>/<id>/hostname
//	podman, CRI-O          /…/overlay-containers/<id>/userdata/hostname
//	cgroup version 1       /docker/<id>, /kubepods/…/<id>, /…/cri-containerd-<id>.scope
//	containerd's CRI       /…/sandboxes/<id>/hostname (the pod's id, for want of another)
func containerFromMountinfo(text string) string {
	best, bestRank := "", rankNone
	for line := range strings.Lines(text) {
		id, rank := containerFromMount(strings.Fields(line))
		if rank > bestRank {
			best, bestRank = id, rank
		}
	}
	return best
}

// containerFromMount looks at one line of mountinfo. Its fields are mount id,
// parent id, device, root within the file system, mount point, options, any
// number of optional ones, "-", file system type, source, further options.
func containerFromMount(fields []string) (id string, rank int) {
	if len(fields) < 6 {
		return "", rankNone
	}
	root, point := fields[3], fields[4]
	switch point {
	case "/etc/hostname", "/etc/hosts", "/etc/resolv.conf":
		return containerFromPath(root)
	}
	if kind := fileSystemType(fields[6:]); kind == "cgroup" || kind == "cgroup2" {
		if id := lastContainerID(root); id != "" {
			return id, rankCgroup
		}
	}
	return "", rankNone
}

func fileSystemType(fields []string) string {
	for i, f := range fields {
		if f == "-" && i+1 < len(fields) {
			return fields[i+1]
		}
	}
	return ""
}

// containerFromPath finds the id in the path of a file that an engine mounts
// into its container. Of several, the last counts: an engine's own data may
// lie in a volume that is named like a container.
func containerFromPath(path string) (id string, rank int) {
	kind := rankNone
	for segment := range strings.SplitSeq(path, "/") {
		switch {
		case segment == "containers" || segment == "overlay-containers":
			kind = rankContainer
		case segment == "sandboxes":
			kind = rankSandbox
		case kind != rankNone && isFullID(segment):
			id, rank = segment, kind
		}
	}
	return id, rank
}

// containerFromCgroup finds the full id of this instance's container in the text of
// /proc/self/cgroup, "" if it is not there: lines such as
//
//	4:memory:/docker/<id>
//	1:name=systemd:/system.slice/docker-<id>.scope
//
// With cgroup version 2 and its own namespace, it says nothing ("0::/").
func containerFromCgroup(text string) string {
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) == 3 {
			if id := lastContainerID(parts[2]); id != "" {
				return id
			}
		}
	}
	return ""
}

// lastContainerID returns the last segment of a cgroup path that is an id, by
// itself or as "<engine>-<id>.scope".
func lastContainerID(path string) string {
	found := ""
	for segment := range strings.SplitSeq(path, "/") {
		segment = strings.TrimSuffix(segment, ".scope")
		if dash := strings.LastIndexByte(segment, '-'); dash >= 0 {
			segment = segment[dash+1:]
		}
		if colon := strings.LastIndexByte(segment, ':'); colon >= 0 { // slice:engine:id
			segment = segment[colon+1:]
		}
		if isFullID(segment) {
			found = segment
		}
	}
	return found
}

// containerFromHostname takes the host name for the container's id if it
// looks like one: engines name a container by its id's first twelve digits,
// unless it shares the host's network.
func containerFromHostname(text string) string {
	name := strings.TrimSpace(text)
	if len(name) == containerDigits && isHex(name) {
		return name
	}
	return ""
}

func isFullID(text string) bool { return len(text) == fullContainerDigits && isHex(text) }
