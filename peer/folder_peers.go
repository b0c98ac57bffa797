package peer

import (
	"errors"
	"os"
	"slices"
	"time"
)

// maxInstances bounds how many instances are followed, and how many unknown ones
// are looked at in one survey of the folder.
const maxInstances = 64

// folderPeers follows the files of other instances. One goroutine owns it.
type folderPeers struct {
	folder   *Folder
	keys     *Keyring
	entries  map[InstanceID]*folderEntry
	watch    *folderWatch // nil: changes are not told
	surveyed time.Time    // the last survey; zero: the folder was not looked at yet
	looked   time.Time    // the last survey, also one that failed
	complete bool         // it looked at everything
	tidied   bool         // leftovers were removed
	offset   int          // where the next survey begins among strangers
	full     bool         // it was said that there are too many instances
	burden   burden
	failed   bool                 // this look: something could not be read
	unread   map[InstanceID]again // of whom something could not be read

	unreadable, unwatched string // problems that were logged
}

func (p *folderPeers) run() {
	defer p.close()
	_ = p.rewatch()         // survey says it if it fails
	close(p.folder.looking) // this instance's file may change now: no answer to it is missed
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	for p.survey(); ; p.folder.wakeUps.Add(1) {
		now := time.Now()
		if due := p.next(now); !due.IsZero() {
			timer.Reset(due.Sub(now))
		}
		var told <-chan touches
		if p.watch != nil && !p.burden.full(now) {
			told = p.watch.told
		}
		select {
		case <-p.folder.closing:
			return
		case <-p.folder.survey:
			p.survey()
		case id := <-p.folder.doubts:
			p.doubt(id)
		case t, ok := <-told:
			if !ok {
				p.unwatch()
			}
			p.touched(t, time.Now())
		case <-timer.C:
			p.catchUp(time.Now())
			p.suspect()
		}
	}
}

// touched looks at the instances of which the kernel told something, those that
// are followed first. Of others only the announcement matters.
func (p *folderPeers) touched(t touches, now time.Time) {
	p.burden.begin(now)
	p.burden.missed = p.burden.missed || t.more
	look := func(t touch, told time.Time) {
		p.look(t.id, sighting{written: t.written, told: told, lock: t.lock, closed: t.closed, since: p.surveyed})
	}
	for _, one := range t.all {
		switch {
		case one.lost:
			p.burden.lost, p.burden.missed = true, true
			for _, e := range p.entries {
				e.witnessed = false // the end of one may be among what was lost
			}
		case !p.entries[one.id].followed():
		case p.burden.known():
			look(one, t.since)
		}
	}
	for _, one := range t.all {
		if one.written && !p.entries[one.id].followed() && p.burden.stranger() {
			look(one, t.since)
		}
	}
	p.catchUp(now)
}

// next is when to do something without being told; zero for never.
func (p *folderPeers) next(now time.Time) time.Time {
	due := sooner(p.nextSuspicion(), p.burden.next(p.looked, now))
	for _, a := range p.unread {
		due = sooner(due, a.due)
	}
	if p.watch == nil && p.questioned(now) {
		due = sooner(due, p.looked.Add(blindEvery))
	}
	return due
}

// questioned reports whether somebody asks. Where changes are not told, it is
// looked more often then.
func (p *folderPeers) questioned(now time.Time) bool {
	for _, e := range p.entries {
		if e.followed() && !e.askedAt.IsZero() && now.Sub(e.askedAt) < blindQuestion {
			return true
		}
	}
	return false
}

// catchUp does what is due of what could not be done.
func (p *folderPeers) catchUp(now time.Time) {
	for id, a := range p.unread {
		if passed(a.due, now) {
			p.look(id, sighting{since: a.since})
		}
	}
	switch {
	case p.burden.lost && passed(p.looked.Add(surveyEvery), now),
		p.watch == nil && p.questioned(now) && passed(p.looked.Add(blindEvery), now):
		p.survey()
	case p.burden.missed && p.burden.over(now):
		p.burden.missed = false
		for id, e := range p.entries {
			if e.followed() {
				p.look(id, sighting{since: p.surveyed})
			}
		}
	}
}

func (p *folderPeers) close() {
	p.unwatch()
	for _, e := range p.entries {
		e.forget()
	}
}

// survey looks at the whole folder: at first, once per announce interval, when
// events were lost, and more often where none are told.
func (p *folderPeers) survey() {
	at := time.Now()
	unwatched := p.rewatch() // first, so that no change goes unnoticed in between
	names, complete, err := listFolder(p.folder.cfg.Path)
	p.noteReadable(err)
	if err == nil {
		p.noteWatched(unwatched)
	}
	s := sighting{since: p.surveyed}
	for id := range p.entries {
		p.look(id, s)
	}
	s.tidy = !p.tidied
	if !p.complete {
		s.since = time.Time{} // they may have been there then
	}
	strangers, all := p.strangers(names)
	for _, id := range strangers {
		p.look(id, s)
	}
	p.looked = at
	p.surveyed, p.complete, p.tidied = at, complete && all, err == nil
	p.burden.missed, p.burden.lost = false, passes(err)
	if err != nil {
		p.surveyed, p.complete = time.Time{}, false
	}
}

// strangers returns the instances among the names that are not known, not too
// many, and others the next time. complete tells that these are all.
func (p *folderPeers) strangers(names []string) (some []InstanceID, complete bool) {
	seen := make(map[InstanceID]bool)
	var all []InstanceID
	for _, name := range names {
		id, _, ok := parseFolderName(name)
		if ok && !seen[id] && id != p.folder.cfg.Self && p.entries[id] == nil {
			seen[id] = true
			all = append(all, id)
		}
	}
	if len(all) <= maxInstances {
		return all, true
	}
	p.offset = (p.offset + maxInstances) % len(all)
	return slices.Concat(all[p.offset:], all[:p.offset])[:maxInstances], false
}

// rewatch makes sure that the folder of that path is watched, if it exists. It
// fails if it exists and cannot be watched.
func (p *folderPeers) rewatch() error {
	path := p.folder.cfg.Path
	info, err := os.Stat(path)
	if err != nil {
		p.unwatch()
		p.folder.blind.Store(false) // there is nothing to look at
		return nil                  //nolint:nilerr // listing it will show that
	}
	if p.watch != nil && os.SameFile(p.watch.info, info) {
		return nil
	}
	p.unwatch()
	p.watch, err = watchFolder(p.folder)
	p.folder.blind.Store(err != nil)
	return err
}

func (p *folderPeers) unwatch() {
	if p.watch != nil {
		p.watch.close()
		p.watch = nil
	}
	p.folder.blind.Store(true)
}

func (p *folderPeers) noteReadable(err error) {
	log, path := p.folder.cfg.Logger, p.folder.cfg.Path
	text := ""
	if err != nil {
		text = fileCause(err)
	}
	switch {
	case text == p.unreadable:
	case text == "":
		log.Info("the shared folder can be read now", "path", path)
	case errors.Is(err, os.ErrNotExist):
		log.Warn("the shared folder does not exist: instances hear each other over the network alone; mount it or set announce.folder to off",
			"path", path)
	default:
		log.Warn("the shared folder cannot be read: instances are heard over the network alone", "path", path, "error", text)
	}
	p.unreadable = text
}

func (p *folderPeers) noteWatched(err error) {
	log, path := p.folder.cfg.Logger, p.folder.cfg.Path
	text := ""
	if err != nil {
		text = fileCause(err)
	}
	switch text {
	case p.unwatched:
	case "":
		log.Info("the shared folder is watched now", "path", path)
	default:
		log.Warn("the shared folder cannot be watched, it is looked at once per announce interval: hand-overs without a network are slower",
			"path", path, "error", text)
	}
	p.unwatched = text
}
