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
	complete bool         // it looked at everything
	tidied   bool         // leftovers were removed
	offset   int          // where the next survey begins among strangers
	full     bool         // it was said that there are too many instances

	unreadable, unwatched string // problems that were logged
}

func (p *folderPeers) run() {
	defer p.close()
	_ = p.rewatch()         // survey says it if it fails
	close(p.folder.looking) // the own file may change now: no answer to it is missed
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	for p.survey(); ; p.folder.wakeUps.Add(1) {
		if due := p.nextSuspicion(); !due.IsZero() {
			timer.Reset(time.Until(due))
		}
		var told <-chan []touch
		if p.watch != nil {
			told = p.watch.told
		}
		select {
		case <-p.folder.closing:
			return
		case <-p.folder.survey:
			p.survey()
		case touches, ok := <-told:
			if !ok {
				p.unwatch()
			}
			for _, t := range touches {
				p.touched(t)
			}
		case <-timer.C:
			p.suspect()
		}
	}
}

// touched looks at an instance of which the kernel told something. Of one that
// is not followed, only its announcement matters.
func (p *folderPeers) touched(t touch) {
	e := p.entries[t.id]
	switch {
	case t.lost:
		p.survey()
	case t.written, e != nil && e.lock != nil:
		p.look(t.id, sighting{written: t.written, lock: t.lock, since: p.surveyed})
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
	p.surveyed, p.complete, p.tidied = at, complete && all, err == nil
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
