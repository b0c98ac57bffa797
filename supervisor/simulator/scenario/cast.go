package scenario

import (
	"fmt"
	"strings"
	"sync"

	"github.com/handover-controller/handover/supervisor/simulator"
)

// Cast gives containers names that people can follow: the letter of their
// release, and for further containers of the same release A2, A3.
type Cast struct {
	mu    sync.Mutex
	names map[string]string // by container id
	count map[string]int    // by letter
}

// NewCast returns a cast without containers.
func NewCast() *Cast { return &Cast{names: map[string]string{}, count: map[string]int{}} }

// Name is a container's name. It gets one the first time.
func (c *Cast) Name(id string, r simulator.Release) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if name, ok := c.names[id]; ok {
		return name
	}
	letter := strings.ToUpper(r.Commit[:1])
	c.count[letter]++
	name := letter
	if n := c.count[letter]; n > 1 {
		name = fmt.Sprint(letter, n)
	}
	c.names[id] = name
	return name
}
