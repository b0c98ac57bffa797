package peer

import "time"

// makeRoom makes sure that one more entry fits, and reports whether it does.
// Peers with and without the extension do not compete for room.
//
// Anybody on the network can invent peers. So who is vouched for by the list, or
// holds a lock in the folder, is never evicted, and gets in whenever there is
// anybody of whom neither is true. Among the others
// those give way first who have ended, then those heard only once, then those
// that are silent: a peer that is heard regularly stays.
func (t *table) makeRoom(legacy, vouched bool, now time.Time) bool {
	have, limit := len(t.entries)-t.legacy, maxPeers
	if legacy {
		have, limit = t.legacy, maxLegacyPeers
	}
	if have < limit {
		return true
	}
	var best *entry
	bestRank := 0
	for _, e := range t.entries {
		if e.peer.Legacy != legacy || e.vouched || e.held() {
			continue
		}
		rank := t.evictionRank(e, now)
		if rank == 0 && vouched {
			rank = 1
		}
		if rank > bestRank || (rank == bestRank && rank > 0 && e.peer.LastHeard.Before(best.peer.LastHeard)) {
			best, bestRank = e, rank
		}
	}
	if best == nil {
		return false
	}
	t.remove(best.peer.Instance)
	return true
}

// held reports whether the peer holds a lock in the folder, as far as is known: only
// the folder shows its end.
func (e *entry) held() bool { return e.locked && !e.peer.Dead }

// lives reports whether the folder shows now that the peer holds its lock, and would
// tell if it ended.
func (e *entry) lives(at time.Time) bool {
	return e != nil && e.held() && e.peer.FreshUntil.After(at)
}

// evictionRank is higher for entries that can be spared sooner; 0 for those
// that only one who is vouched for displaces.
func (t *table) evictionRank(e *entry, now time.Time) int {
	switch {
	case e.peer.Ended():
		return 4
	case !e.proven:
		return 3
	case now.Sub(e.peer.LastHeard) > t.expireAfter:
		return 2
	}
	return 0
}

// vouch sets the containers whose peers are never evicted.
func (t *table) vouch(containers []ContainerID) {
	t.vouched = make(map[ContainerID]bool, len(containers))
	for _, c := range containers {
		if c != "" && len(t.vouched) < maxPeers {
			t.vouched[c] = true
		}
	}
	for _, e := range t.entries {
		e.vouched = t.vouched[e.peer.Container]
	}
}

// protected reports whether what is remembered of a container must stay.
func (t *table) protected(c ContainerID, current InstanceID) bool {
	return t.vouched[c] || t.entries[current] != nil
}
