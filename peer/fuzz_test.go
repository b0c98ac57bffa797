package peer

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// seedVectors adds the datagrams of a file of testdata.
func seedVectors(f *testing.F, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	var file struct {
		Announcements, Dropped []struct{ Hex string }
	}
	if err := json.Unmarshal(text, &file); err != nil {
		f.Fatal(err)
	}
	for _, v := range append(file.Announcements, file.Dropped...) {
		raw, err := hex.DecodeString(v.Hex)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
}

// FuzzDecode: no datagram crashes the decoder, and one that it accepts is
// within its bounds and survives being encoded and decoded again.
func FuzzDecode(f *testing.F) {
	seedVectors(f, "testdata/announcements.json")
	seedVectors(f, "testdata/dropped.json")
	domain := NewDomain("6c0f5b1e-3a52-4d6c-9d1f-0a4be21c77d3", "1234", "main")
	keys, err := NewKeyring([]byte("k"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, datagram []byte) {
		var signed, a, again Announcement
		_ = signed.Decode(datagram, domain, keys)
		if a.Decode(datagram, domain, nil) != nil {
			return
		}
		if len(datagram) < baseSize || len(datagram) > MaxDatagram || datagram[0] != baseVersion {
			t.Fatalf("accepted %x", datagram)
		}
		if a.Legacy != (len(datagram) == baseSize) || (!a.Legacy && (!a.Phase.said() || a.Sequence == 0)) {
			t.Fatalf("accepted %x as %+v", datagram, a)
		}
		raw, err := a.Append(nil, nil)
		if err != nil {
			t.Fatalf("cannot encode %+v: %v", a, err)
		}
		if err := again.Decode(raw, domain, nil); err != nil || a != again {
			t.Fatalf("%+v became %+v: %v", a, again, err)
		}
	})
}

// FuzzMountinfo: whatever stands in mountinfo or cgroup, what is found there
// is a full id.
func FuzzMountinfo(f *testing.F) {
	paths, err := filepath.Glob("testdata/identity/*/proc/self/*")
	if err != nil || len(paths) == 0 {
		f.Fatal("no samples: ", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, id := range []string{containerFromMountinfo(text), containerFromCgroup(text)} {
			if id != "" && !isFullID(id) {
				t.Fatalf("found %q", id)
			}
		}
		if id := containerFromHostname(text); id != "" && len(id) != containerDigits {
			t.Fatalf("found %q", id)
		}
		if start, err := parseStat(text); err == nil && start < 0 {
			t.Fatalf("start %d", start)
		}
	})
}

// FuzzRecord: a record that is accepted is of the container, and in range.
func FuzzRecord(f *testing.F) {
	f.Add(`{"container":"c0b32e9d619f","boot":"6c0f5b1e-3a52-4d6c-9d1f-0a4be21c77d3","startNs":1,"startMs":2}`)
	f.Add(`{"container":"c0b32e9d619f","startMs":2,"unknown":true}`)
	f.Add(`{"container":"c0b32e9d619f","boot":"6c0f5b1e-3a52-4d6c-9d1f-0a4be21c77d3","startNs":1e30,"startMs":2}`)
	f.Add(`[]`)
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseRecord(text, "c0b32e9d619f")
		if err != nil {
			return
		}
		if r.Container != "c0b32e9d619f" || r.StartMilli <= 0 {
			t.Fatalf("accepted %q as %+v", text, r)
		}
		if !r.Unknown && (r.StartNanos < 0 || !isBootID(r.Boot)) {
			t.Fatalf("accepted %q as %+v", text, r)
		}
	})
}
