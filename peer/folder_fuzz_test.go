package peer

import (
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// FuzzFolderContent: whatever stands in an announcement file, only a valid word
// of the instance that it is named after is accepted, and no older one after it.
func FuzzFolderContent(f *testing.F) {
	seedVectors(f, "testdata/announcements.json")
	seedVectors(f, "testdata/dropped.json")
	domain := NewDomain("6c0f5b1e-3a52-4d6c-9d1f-0a4be21c77d3", "1234", "main")
	f.Fuzz(func(t *testing.T, raw []byte) {
		const now = 1000 * time.Hour
		p := folderPeers{folder: &Folder{cfg: FolderConfig{Domain: domain}}}
		p.folder.cfg.Uptime = func() time.Duration { return now }
		var a Announcement
		valid := a.decode(raw, domain, nil) == NotDropped && !a.Legacy && !ahead(ageAt(now, &a), &a)
		for _, id := range []InstanceID{a.Instance, {1}} {
			e := folderEntry{sequence: 7}
			drop := p.understand(id, &e, content{raw: raw})
			if e.good != (drop == NotDropped) || e.good != (valid && a.Instance == id && a.Sequence >= 7) {
				t.Fatalf("%x named %s: %v", raw, id, drop)
			}
			if e.good && (e.sequence != a.Sequence || e.freshFor < 0 || e.freshFor > MaxForgetAfter) {
				t.Fatalf("%x became %+v", raw, e)
			}
		}
		if valid != saysTheSame(raw, raw) && valid {
			t.Fatalf("%x does not say the same as itself", raw)
		}
	})
}

// FuzzFolderEvents: whatever names files have, only well-formed ones of others
// are of interest, each instance once.
func FuzzFolderEvents(f *testing.F) {
	id := InstanceID{0xab, 1}
	for _, suffix := range []string{announcedSuffix, lockSuffix, announcedSuffix + newSuffix, lockSuffix + newSuffix, "", "x"} {
		f.Add(folderPrefix+id.String()+suffix, uint32(unix.IN_MOVED_TO), 3)
	}
	f.Add("handover-complete", uint32(unix.IN_Q_OVERFLOW), 0)
	f.Fuzz(func(t *testing.T, name string, mask uint32, cut int) {
		w := folderWatch{folder: &Folder{cfg: FolderConfig{Self: InstanceID{1}}}}
		var buf []byte
		for range 2 {
			buf = binary.NativeEndian.AppendUint32(buf, 1)
			buf = binary.NativeEndian.AppendUint32(buf, mask)
			buf = binary.NativeEndian.AppendUint32(buf, 0)
			buf = binary.NativeEndian.AppendUint32(buf, uint32(len(name)+1))
			buf = append(append(buf, name...), 0)
		}
		seen := map[InstanceID]bool{}
		all, _ := w.parse(buf[:len(buf)-min(max(cut, 0), len(buf))])
		for _, touched := range all {
			if !touched.lost && (seen[touched.id] || touched.id == InstanceID{} || touched.id == InstanceID{1}) {
				t.Fatalf("%q tells of %+v", name, all)
			}
			seen[touched.id] = !touched.lost
		}
		if got, suffix, ok := parseFolderName(name); ok && folderFile("/x", got, suffix) != "/x/"+name {
			t.Fatalf("%q is taken for %s%s", name, got, suffix)
		}
	})
}
