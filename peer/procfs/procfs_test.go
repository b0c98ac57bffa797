package procfs_test

import (
	"os"
	"testing"

	"github.com/handover-controller/handover/peer/procfs"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, content string
		want          procfs.Stat
		good          bool
	}{
		{
			"a process", "17 (cat) S 1 15 3 34816 15 4194304 77 0 0 0 0 0 0 0 20 0 4 0 146422 3133440 410 18446744073709551615",
			procfs.Stat{Name: "cat", PID: 17, Parent: 1, Group: 15, Session: 3, State: 'S', Threads: 4, Start: 146422}, true,
		},
		{
			"a name with a bracket, a blank and a line break", "17 (a) R (\n) Z 0 17 3 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 7 0 0",
			procfs.Stat{Name: "a) R (\n", PID: 17, Parent: 0, Group: 17, Session: 3, State: 'Z', Threads: 1, Start: 7}, true,
		},
		{name: "nothing"},
		{name: "too short", content: "17 (cat) S 1 15"},
		{name: "garbage", content: "x (cat) S 1 15 3 34816 15 4194304 77 0 0 0 0 0 0 0 20 0 4 0 146422 3133440"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := procfs.Parse([]byte(c.content))
			if ok != c.good || ok && got != c.want {
				t.Errorf("Parse(%q) = %+v, %v; want %+v, %v", c.content, got, ok, c.want, c.good)
			}
		})
	}
}

func TestProcesses(t *testing.T) {
	self, ok := procfs.Read(os.Getpid())
	if !ok || self.PID != os.Getpid() || self.Parent != os.Getppid() || self.Dead() {
		t.Errorf("Read(this process) = %+v, %v", self, ok)
	}
	for _, p := range procfs.All() {
		if p.PID == self.PID && p.Start == self.Start {
			return
		}
	}
	t.Error("All() does not list this process")
}

func FuzzParse(f *testing.F) {
	f.Add("17 (cat) S 1 15 3 34816 15 4194304 77 0 0 0 0 0 0 0 20 0 4 0 146422 3133440 410")
	f.Add("17 (a) R (\n) Z 0 17 3 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 7 0 0")
	f.Add(") (")
	f.Fuzz(func(t *testing.T, content string) {
		if p, ok := procfs.Parse([]byte(content)); ok && p.State == 0 {
			t.Errorf("understood %q without a state", content)
		}
	})
}
