package peer

import (
	"bytes"
	"errors"
	"math"
	"os"
	"time"
)

const (
	// clockGrain is how far a file's time may be behind: the kernel takes it from
	// its last tick.
	clockGrain = 20 * time.Millisecond
	// blindFor is how long a look is worth something where no change is told:
	// as long as the word of a peer that answers.
	blindFor = time.Second
	// The kernel tells of a process's end a moment before it gives up the lock:
	// it is tried again after 1 ms, 2 ms and so on up to this.
	maxSuspicion = 512 * time.Millisecond
)

// folderEntry is what is known of another instance's files.
type folderEntry struct {
	raw  []byte   // what the announcement file held when it was last read
	lock *os.File // open for as long as the instance lives

	good     bool          // raw is valid, and the newest
	gone     bool          // it says that the instance ends
	said     bool          // raw was handed over
	sequence uint64        // the highest that was read
	timed    bool          // it is the time of sending
	freshFor time.Duration // after being written
	written  time.Time     // not before this; zero: nobody knows
	vouched  time.Time     // what the last EventFresh said

	// byWords: its lock is not for this user. The kernel tells all the same when its
	// file is closed. witnessed: it has not been since a word came.
	byWords, witnessed bool

	askedAt   time.Time     // when it was last read that it asks
	suspectAt time.Time     // when to try the lock again; zero: no reason to
	suspicion time.Duration // the pause before
}

// sighting says how it came to a look at an instance's files.
type sighting struct {
	written bool      // the kernel told that the announcement was replaced
	told    time.Time // not before this; zero: it told nothing
	lock    bool      // it told that something happened to the lock file
	closed  bool      // which was closed by who may write to it
	again   bool      // the lock is tried again
	since   time.Time // what is new was written after this; zero: nobody knows
	tidy    bool      // remove what belongs to nobody
}

// followed reports whether changes of its files are of interest.
func (e *folderEntry) followed() bool { return e != nil && (e.lock != nil || e.byWords) }

// forget closes what is open. The entry is not followed any more.
func (e *folderEntry) forget() {
	if e.lock != nil {
		_ = e.lock.Close()
		e.lock = nil
	}
}

// look looks at an instance's files, and again later if they could not be read now.
func (p *folderPeers) look(id InstanceID, s sighting) {
	p.failed = false
	p.examine(id, s)
	before, failing := p.unread[id]
	switch {
	case !p.failed:
		delete(p.unread, id)
		return
	case failing:
		s.since = before.since
	case len(p.unread) >= maxInstances:
		p.burden.lost = true
		return
	case p.unread == nil:
		p.unread = make(map[InstanceID]again)
	}
	pause := min(max(2*before.pause, rereadAfter), rereadAtMost)
	p.unread[id] = again{due: time.Now().Add(pause), since: s.since, pause: pause}
}

// open opens a file of an instance, and notes if what went wrong may pass.
func (p *folderPeers) open(path string) (*os.File, error) {
	file, _, err := p.folder.cfg.system.open(path)
	p.failed = p.failed || passes(err)
	return file, err
}

// examine reads an instance's announcement, then tries its lock: what was read
// before the lock was found held is what the instance says.
func (p *folderPeers) examine(id InstanceID, s sighting) {
	at := time.Now()
	c, err := p.folder.cfg.system.readAnnounced(p.path(id, announcedSuffix))
	p.failed = passes(err)
	e := p.entries[id]
	if e.followed() && e.byWords {
		p.hear(id, e, c, err, s, at)
		p.witness(id, e, s, at)
		if e.witnessed && err != nil || err == nil && p.sealed(id) {
			return // its end is still to come, or it goes on
		}
		delete(p.entries, id)
	}
	if e = p.entries[id]; !e.followed() {
		p.meet(id, c, err, s, at)
		return
	}
	p.hear(id, e, c, err, s, at)
	state := probe(e.lock)
	if state == lockFree {
		state = p.follow(id, e)
	}
	switch state {
	case lockHeld:
		p.vouch(id, e, at)
		p.watchOut(e, s, at)
	case lockFree:
		p.end(id, e, at)
	case lockUnknown:
		p.revoke(id, e, at)
	}
}

func (p *folderPeers) path(id InstanceID, suffix string) string {
	return folderFile(p.folder.cfg.Path, id, suffix)
}

// meet looks at an instance that is not followed, and follows it if it lives.
func (p *folderPeers) meet(id InstanceID, c content, err error, s sighting, at time.Time) {
	if err != nil {
		delete(p.entries, id)
		if s.tidy {
			removeUnlocked(p.folder.cfg.Path, id)
		}
		return
	}
	if e := p.entries[id]; e != nil && bytes.Equal(e.raw, c.raw) {
		return // of no use, as before
	}
	e := &folderEntry{raw: c.raw}
	if drop := p.understand(id, e, c); drop != NotDropped {
		p.keep(id, e)
		p.folder.emit(Received{Time: at, Drop: drop}, shorten(c.raw))
		if s.tidy {
			removeUnlocked(p.folder.cfg.Path, id)
		}
		return
	}
	lock, err := p.open(p.path(id, lockSuffix))
	if errors.Is(err, os.ErrPermission) && p.keep(id, e) {
		e.byWords = true
		p.folder.owed.Store(true)
		p.date(e, c, s, at)
		p.witness(id, e, s, at)
	}
	if err != nil {
		return // an instance would have put it there first
	}
	if state := probe(lock); state != lockHeld || !p.keep(id, e) {
		if state == lockFree {
			removeLeftover(p.folder.cfg.Path, id, lock)
		}
		_ = lock.Close()
		return
	}
	e.lock = lock
	p.folder.owed.Store(true) // it wants to see this instance's file change
	p.date(e, c, s, at)
	p.vouch(id, e, at)
}

// witness tells what is known of the life of one whose lock is not for this user:
// it lived when the kernel told that its announcement was replaced, and has lived
// since if its lock file was not closed.
func (p *folderPeers) witness(id InstanceID, e *folderEntry, s sighting, at time.Time) {
	switch {
	case s.closed && e.witnessed:
		p.folder.emit(Received{Time: time.Now(), Event: EventDied, Instance: id}, nil)
		e.witnessed, e.vouched = false, time.Time{}
		return
	case s.written:
		e.witnessed = true
	}
	if e.witnessed && p.watch != nil {
		p.vouch(id, e, at)
	} else {
		p.revoke(id, e, at)
	}
}

// sealed reports whether the instance has a lock that this user may not open, as far
// as can be told.
func (p *folderPeers) sealed(id InstanceID) bool {
	lock, err := p.open(p.path(id, lockSuffix))
	if err == nil {
		_ = lock.Close()
	}
	return errors.Is(err, os.ErrPermission) || passes(err)
}

// keep adds an entry. Where there is no room, one that is not followed gives
// way.
func (p *folderPeers) keep(id InstanceID, e *folderEntry) bool {
	if _, known := p.entries[id]; !known && len(p.entries) >= maxInstances {
		for other, o := range p.entries {
			if !o.followed() {
				delete(p.entries, other)
				break
			}
		}
		if len(p.entries) >= maxInstances {
			if !p.full {
				p.folder.cfg.Logger.Warn("there are too many instances in the shared folder, not all are heard there",
					"path", p.folder.cfg.Path, "followed", maxInstances)
			}
			p.full = true
			return false
		}
	}
	p.entries[id] = e
	return true
}

// understand reads the content, and says why it is not accepted if it is not.
func (p *folderPeers) understand(id InstanceID, e *folderEntry, c content) DropReason {
	e.good = false
	var a Announcement
	drop := c.drop
	if drop == NotDropped {
		drop = a.decode(c.raw, p.folder.cfg.Domain, p.keys)
	}
	switch {
	case drop != NotDropped:
		return drop
	case a.Legacy, a.Instance != id:
		return DropMalformed
	case a.Sequence < e.sequence, e.timed && !a.Timed:
		return DropReplay
	}
	if now := p.folder.cfg.Uptime(); now > 0 && ahead(ageAt(now, &a), &a) {
		return DropStale // or nothing of it would count until then
	}
	e.good, e.gone, e.sequence, e.timed = true, a.Phase == PhaseGone, a.Sequence, a.Timed
	if a.Ask && !e.gone {
		e.askedAt = c.read
	}
	e.freshFor = a.ForgetAfter / 7 * 3
	if a.ForgetAfter == 0 {
		e.freshFor = p.folder.cfg.Interval / 2 * 3
	}
	return NotDropped
}

// hear takes in what the announcement of a followed instance says now, and
// hands it over if it is new.
func (p *folderPeers) hear(id InstanceID, e *folderEntry, c content, err error, s sighting, at time.Time) {
	switch {
	case err != nil:
		e.raw, e.good = nil, false
	case !bytes.Equal(c.raw, e.raw):
		question := IsQuestion(e.raw, c.raw)
		e.raw, e.said, e.written = c.raw, false, time.Time{}
		if drop := p.understand(id, e, c); drop != NotDropped {
			p.folder.emit(Received{Time: at, Drop: drop}, shorten(c.raw))
			return
		}
		if question {
			p.folder.asked()
		}
		p.date(e, c, s, at)
	case s.written && e.good:
		p.date(e, c, s, at)
	}
}

// date finds out when the announcement was written, and hands it over once that
// is known. Local observation goes first: what the kernel told was written after
// it told of something the last time, anything else after the last look. The
// file's own time only narrows that: what was told may have waited, because this
// process was frozen. For what was there before the first look it is all that
// there is: it counts if it is plausible. If not, the announcement counts once it
// has been rewritten, which the instance does as soon as it sees its own file. In any
// case it was not written after it says itself that it was sent: what somebody has
// recorded does not become new by being written again.
func (p *folderPeers) date(e *folderEntry, c content, s sighting, at time.Time) {
	age := at.Round(0).Sub(c.modified)
	switch written := at.Add(-age); {
	case s.written && age > c.grain() && written.After(s.told.Add(-clockGrain)):
		e.written = written
	case s.written: // also where the clock was set meanwhile
		e.written = at
	case !s.since.IsZero() && age >= 0 && written.After(s.since):
		e.written = written
	case !s.since.IsZero():
		e.written = s.since
	case age >= 0 && age <= e.freshFor:
		e.written = written
	default:
		return
	}
	e.written = sooner(e.written, p.sent(e))
	if !e.said {
		e.said = true
		p.folder.emit(Received{Time: e.written}, e.raw)
	}
}

// sent is when the announcement was sent; zero if it does not say so, or just now.
func (p *folderPeers) sent(e *folderEntry) time.Time {
	if !e.timed {
		return time.Time{}
	}
	now, uptime := time.Now(), p.folder.cfg.Uptime() // in this order, as reader.backdate
	age := uptime - time.Duration(min(e.sequence, math.MaxInt64))
	if uptime <= 0 || age < justNow {
		return time.Time{}
	}
	return now.Add(-age)
}

// vouch tells for how long the announcement of a living instance is fresh.
func (p *folderPeers) vouch(id InstanceID, e *folderEntry, at time.Time) {
	if !e.good || e.gone || e.written.IsZero() {
		p.revoke(id, e, at)
		return
	}
	until := e.written.Add(e.freshFor)
	if p.watch == nil {
		until = sooner(until, at.Add(blindFor))
	}
	mute := p.folder.mute.Load()
	if until.After(at) && (mute || !until.Equal(e.vouched)) {
		e.vouched = until
		p.folder.emit(Received{Time: at, Event: EventFresh, Instance: id, Until: until, Mute: mute, Asked: p.folder.questioned()}, nil)
	}
}

// revoke takes back what was vouched for and is not over yet.
func (p *folderPeers) revoke(id InstanceID, e *folderEntry, at time.Time) {
	if e.vouched.After(at) {
		p.folder.emit(Received{Time: at, Event: EventFresh, Instance: id, Until: at.Add(-1)}, nil)
	}
	e.vouched = time.Time{}
}

// watchOut has a lock tried again that was found held although something
// happened to its file.
func (p *folderPeers) watchOut(e *folderEntry, s sighting, at time.Time) {
	switch {
	case s.lock:
		e.suspicion = time.Millisecond
	case s.again:
		e.suspicion *= 2
	default:
		return
	}
	e.suspectAt = at.Add(e.suspicion)
	if e.suspicion > maxSuspicion {
		e.suspectAt = time.Time{}
	}
}

func (p *folderPeers) nextSuspicion() (due time.Time) {
	for _, e := range p.entries {
		due = sooner(due, e.suspectAt)
	}
	return due
}

// doubt has a lock tried again whose owner is said to end, from now on.
func (p *folderPeers) doubt(id InstanceID) {
	if e := p.entries[id]; e.followed() && e.suspectAt.IsZero() {
		e.suspicion = time.Millisecond
		e.suspectAt = time.Now().Add(e.suspicion)
	}
}

// suspect tries the locks again that are due.
func (p *folderPeers) suspect() {
	now := time.Now()
	for id, e := range p.entries {
		if passed(e.suspectAt, now) {
			e.suspectAt = time.Time{}
			p.look(id, sighting{again: true, since: p.surveyed})
		}
	}
}

// follow takes another lock for that of the instance, which gave up the one
// that was known, if there is one and it is held: somebody removed the first.
func (p *folderPeers) follow(id InstanceID, e *folderEntry) lockState {
	path := p.path(id, lockSuffix)
	if isStillAt(e.lock, path) {
		return lockFree
	}
	other, err := p.open(path)
	switch {
	case passes(err):
		return lockUnknown
	case err != nil:
		return lockFree
	}
	if probe(other) != lockHeld {
		_ = other.Close()
		return lockFree
	}
	e.forget()
	e.lock = other
	return lockHeld
}

// end is what happens when the lock of a followed instance turns out to be free.
func (p *folderPeers) end(id InstanceID, e *folderEntry, at time.Time) {
	if c, err := p.folder.cfg.system.readAnnounced(p.path(id, announcedSuffix)); err == nil {
		p.hear(id, e, c, nil, sighting{since: at}, at) // its last word
	}
	p.folder.emit(Received{Time: time.Now(), Event: EventDied, Instance: id}, nil)
	removeLeftover(p.folder.cfg.Path, id, e.lock)
	e.forget()
	e.suspectAt, e.vouched = time.Time{}, time.Time{}
}

// shorten makes content fit for Receive.
func shorten(raw []byte) []byte { return raw[:min(len(raw), MaxDatagram)] }
