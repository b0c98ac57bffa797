package peer

import (
	"fmt"
	"net"
	"slices"
)

// sync brings the memberships in line with the interfaces that there are. It
// reports whether all went well; if not, it is to be tried again soon.
func (m *Multicast) sync() (complete bool) {
	wanted, err := m.cfg.system.choose(m.mode, m.cfg.Interface)
	if err != nil {
		m.logProblem("cannot list network interfaces, trying again", "error", err.Error())
		return false
	}
	before := *m.used.Load()
	for _, l := range before {
		if !slices.ContainsFunc(wanted, l.same) {
			// Also of an interface that is no more: the kernel counts its
			// membership until the socket leaves.
			_ = m.packet.LeaveGroup(&net.Interface{Index: l.index}, &m.group)
		}
	}
	used := make([]link, 0, len(wanted))
	for _, l := range wanted {
		if !slices.ContainsFunc(before, l.same) {
			if err := m.packet.JoinGroup(&net.Interface{Index: l.index}, &m.group); err != nil {
				m.logProblem("cannot join the multicast group, trying again", "interface", l.name, "error", rootCause(err))
				continue
			}
		}
		used = append(used, l)
	}
	m.used.Store(&used)
	m.noteUsed(before, used, len(used) == len(wanted))
	return len(used) == len(wanted)
}

// same reports whether both are the same interface, whatever its name and
// addresses are by now.
func (l link) same(other link) bool { return l.index == other.index && l.mac == other.mac }

// reachesMoreThan reports whether the link was not among those before, or has
// got its carrier since.
func (l link) reachesMoreThan(before []link) bool {
	i := slices.IndexFunc(before, l.same)
	return i < 0 || l.running && !before[i].running
}

// noteUsed logs which interfaces are in use, once per change, and reports to
// the node when there are more.
func (m *Multicast) noteUsed(before, used []link, complete bool) {
	names := linkNames(used)
	if !slices.Equal(linkNames(before), names) && len(names) > 0 {
		m.cfg.Logger.Info("announcing on network interfaces", "mode", string(m.mode), "interfaces", names)
	}
	m.mu.Lock()
	for index := range m.failures {
		if !slices.ContainsFunc(used, func(l link) bool { return l.index == index }) {
			delete(m.failures, index)
		}
	}
	m.mu.Unlock()
	switch {
	case !complete:
	case len(used) > 0:
		m.logProblem("")
	case m.mode == ModeHost:
		m.logProblem("waiting for the network interface, no peer can be heard without it", "interface", m.cfg.Interface)
	default:
		m.logProblem("there is no network interface to announce on, waiting for one")
	}
	if slices.ContainsFunc(used, func(l link) bool { return l.reachesMoreThan(before) }) {
		m.interrupt()
	}
}

func linkNames(links []link) []string {
	var names []string
	for _, l := range links {
		names = append(names, l.name)
	}
	return names
}

// logProblem logs a problem with the interfaces, once until another one or
// none ("") takes its place.
func (m *Multicast) logProblem(message string, args ...any) {
	problem := fmt.Sprint(append([]any{message}, args...)...)
	m.mu.Lock()
	same := m.problem == problem
	m.problem = problem
	m.mu.Unlock()
	if !same && message != "" {
		m.cfg.Logger.Warn(message, args...)
	}
}

// logPolling says once that changes are not told by the kernel.
func (m *Multicast) logPolling(err error) {
	select {
	case <-m.closing: // the subscription was closed by Close
		return
	default:
	}
	m.mu.Lock()
	same := m.polling
	m.polling = true
	m.mu.Unlock()
	if !same {
		m.cfg.Logger.Info("cannot subscribe to changes of network interfaces, looking for them regularly",
			"every", pollEvery, "error", err)
	}
}
