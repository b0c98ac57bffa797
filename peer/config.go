package peer

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"
)

// maxWays is how many ways a Node can merge.
const maxWays = 64

// Identity is what an instance knows about itself; Identify finds it out.
type Identity struct {
	// Instance is required; NewInstanceID makes one.
	Instance InstanceID
	// Container is this instance's container, empty if unknown.
	Container ContainerID
	// FirstStart is the first start of this instance's container, if known.
	FirstStart FirstStart
	// StartMilli is that start by the wall clock, in milliseconds since the
	// Unix epoch; only handover-lib peers and proxies look at it.
	StartMilli int64
	// FirstSequence is the sequence number of the first datagram: the time on
	// CLOCK_BOOTTIME in nanoseconds. It orders the successive processes of a
	// container. 0 starts at 1: then they are ordered by the order in which
	// they are heard. Later ones are that time at the transmission.
	FirstSequence uint64
}

// Config says how a Node speaks and listens.
type Config struct {
	Self   Identity
	Domain Domain
	// Interval is the pause between two announcements of an idle instance; 0
	// means 10 s. Shorter finds lost peers sooner and wakes the machine more.
	Interval time.Duration
	// ExpireAfter is how long peers are asked to remember this instance when it
	// is silent, and how long one is remembered that has not said; 0 means 3.5 ×
	// Interval.
	// It must be at least 3 × Interval.
	ExpireAfter time.Duration
	// Legacy understands handover-lib peers, and is understood by them.
	Legacy bool
	// Secrets sign announcements (the first) and are accepted (all). With any,
	// unsigned datagrams are dropped, those of handover-lib among them.
	Secrets [][]byte
	// StatusMessages sends handover-lib 0.2 status messages by those ways that
	// are a StatusSender. ServiceName is the name in them.
	StatusMessages bool
	ServiceName    string
	// Ways are closed by the Node, also if Start fails.
	Ways []Way
	// Logger may be nil: nothing is logged.
	Logger *slog.Logger
	// Uptime is CLOCK_BOOTTIME, 0 if it is not known; for tests. Nil is the
	// kernel's.
	Uptime func() time.Duration
	// Rand is the source of jitter, for tests; nil seeds one at random.
	Rand *rand.Rand
}

// complete checks the configuration and fills in defaults.
func (c *Config) complete() error {
	if c.Interval == 0 {
		c.Interval = 10 * time.Second
	}
	if c.ExpireAfter == 0 {
		c.ExpireAfter = c.Interval * 7 / 2
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Uptime == nil {
		c.Uptime = uptime
	}
	if c.Rand == nil {
		c.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	switch {
	case c.Self.Instance == InstanceID{}:
		return errors.New("this instance's id is zero: make one with NewInstanceID")
	case c.Interval < 0:
		return fmt.Errorf("the interval (%s) is negative", c.Interval)
	case c.ExpireAfter < 3*c.Interval:
		return fmt.Errorf("the expiry (%s) is less than three intervals (3 × %s)", c.ExpireAfter, c.Interval)
	case len(c.Ways) == 0:
		return errors.New("there is no way to announce by")
	case len(c.Ways) > maxWays:
		return fmt.Errorf("there are %d ways, at most %d can be used", len(c.Ways), maxWays)
	}
	names := make(map[string]bool)
	for _, w := range c.Ways {
		if names[w.Name()] {
			return fmt.Errorf("two ways are named %q", w.Name())
		}
		names[w.Name()] = true
		if m, ok := w.(*Multicast); ok && m.cfg.Filter != nil {
			if err := m.cfg.Filter.covers(c.Domain, c.Legacy && len(c.Secrets) == 0); err != nil {
				return fmt.Errorf("the way %q would hear no peers: %w", w.Name(), err)
			}
		}
	}
	if short, err := ShortContainerID(string(c.Self.Container)); c.Self.Container != "" && err != nil {
		return err
	} else if c.Self.Container != "" {
		c.Self.Container = short
	}
	_, err := NewKeyring(c.Secrets...)
	return err
}
