package compose

import (
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

// text is a value of a long form, empty if it is not there.
func text(form map[string]*scalar, name string) string {
	if v := form[name]; v != nil {
		return v.text
	}
	return ""
}

// or is the first of two texts that is not empty.
func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// port is one entry of ports:.
type port struct {
	line                        int
	published, target, protocol string
}

// ports reads both forms: "8080:80/tcp", and a mapping.
func (d *document) ports(f pair) []*port {
	var all []*port
	for _, item := range d.items(f.value, f.line) {
		long := d.scalars(item.value)
		p := &port{line: item.line, target: text(long, "target"), published: text(long, "published"), protocol: text(long, "protocol")}
		if item.value.Kind == yaml.ScalarNode {
			p.target, p.protocol, _ = strings.Cut(newScalar(item.value, item.line).text, "/")
			if colon := strings.LastIndexByte(p.target, ':'); colon >= 0 {
				p.published, p.target = p.target[:colon], p.target[colon+1:]
				p.published = p.published[strings.LastIndexByte(p.published, ':')+1:] // without an address
			}
		}
		p.protocol = or(p.protocol, "tcp")
		all = append(all, p)
	}
	return all
}

// device is one entry of devices:.
type device struct {
	line                        int
	source, target, permissions string
	unknown                     bool
}

// devices reads both forms: "/dev/ttyUSB0:/dev/ttyUSB0:rwm", and a mapping.
func (d *document) devices(f pair) []*device {
	var all []*device
	for _, item := range d.items(f.value, f.line) {
		long := d.scalars(item.value)
		v := &device{line: item.line, source: text(long, "source"), target: text(long, "target"), permissions: text(long, "permissions")}
		if item.value.Kind == yaml.ScalarNode {
			short := newScalar(item.value, item.line)
			v.unknown = short.unknown
			v.source, v.target, _ = strings.Cut(short.text, ":")
			v.target, v.permissions, _ = strings.Cut(v.target, ":")
		} else if source := long["source"]; source != nil {
			v.unknown = source.unknown
		}
		v.target, v.permissions = or(v.target, v.source), or(v.permissions, "rwm")
		all = append(all, v)
	}
	return all
}

// network is one entry of a service's networks:.
type network struct {
	name      string
	addresses []*variable // that are fixed: ipv4_address and so on
}

func (d *document) networks(f pair) []*network {
	var all []*network
	if f.value.Kind != yaml.MappingNode {
		for _, name := range d.names(f) {
			all = append(all, &network{name: name})
		}
		return all
	}
	for _, p := range d.pairs(f.value) {
		n := &network{name: p.name}
		for _, q := range d.pairs(p.value) {
			if v := newScalar(q.value, q.line); v.set() && oneOf(q.name, "ipv4_address ipv6_address mac_address") {
				n.addresses = append(n.addresses, &variable{name: q.name, scalar: *v})
			}
		}
		all = append(all, n)
	}
	return all
}

// mount is something mounted into the container: a volume, or a tmpfs.
type mount struct {
	line           int
	kind           string // "volume", "bind" or "tmpfs"
	source, target string
}

// volumes reads both forms: "data:/data:ro", and a mapping; and tmpfs:, which has
// no source.
func (d *document) volumes(f pair) []*mount {
	var all []*mount
	for _, item := range d.items(f.value, f.line) {
		long := d.scalars(item.value)
		m := &mount{line: item.line, kind: or(text(long, "type"), "volume"), source: text(long, "source"), target: text(long, "target")}
		if item.value.Kind == yaml.ScalarNode {
			before, after, colon := strings.Cut(newScalar(item.value, item.line).text, ":")
			switch {
			case f.name == "tmpfs":
				m.kind, m.target = f.name, before
			case !colon:
				m.target = before
			default:
				m.source = before
				m.target, _, _ = strings.Cut(after, ":")
			}
			if m.source != "" && strings.IndexByte("/.~", m.source[0]) >= 0 {
				m.kind = "bind"
			}
		}
		if m.target != "" {
			m.target = path.Clean(m.target)
		}
		all = append(all, m)
	}
	return all
}

// under is the mount in which a path lies: the one with the longest target. It
// has no kind if the path lies in the container's own file system.
func (s *service) under(file string) *mount {
	found := &mount{}
	for _, m := range s.mounts {
		if m.target != "" && within(file, m.target) && len(m.target) > len(found.target) {
			found = m
		}
	}
	return found
}

// within reports whether a path is a folder, or lies in it.
func within(file, folder string) bool {
	return strings.HasPrefix(path.Clean(file)+"/", strings.TrimSuffix(folder, "/")+"/")
}
