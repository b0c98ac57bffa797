package peer

import (
	"errors"
	"os"
	"sync"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	// resyncEvery: with netlink nothing should ever be missed.
	resyncEvery = 2 * time.Minute
	// pollEvery: without netlink, or when something is to be tried again.
	pollEvery = 10 * time.Second
	// settleFor: changes of interfaces come in flocks.
	settleFor = 100 * time.Millisecond
)

// subscription wakes at every change of a link or an IPv4 address.
type subscription struct {
	changed chan struct{} // closed when the subscription has failed
	close   func()
}

// subscribe asks the kernel, by netlink, to tell of changes. What it tells is
// not looked at: any message means that the interfaces are to be listed again.
func subscribe() (*subscription, error) {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR)
	if err != nil {
		return nil, err
	}
	s := &subscription{changed: make(chan struct{}, 1)}
	ended := make(chan struct{})
	s.close = sync.OnceFunc(func() {
		socket.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		defer close(s.changed)
		for {
			_, _, err := socket.Receive()
			switch {
			case err == nil, errors.Is(err, unix.EINTR):
			case errors.Is(err, unix.ENOBUFS): // messages were lost
			default: // os.ErrClosed, or it will not get better
				return
			}
			select {
			case s.changed <- struct{}{}:
			default:
			}
		}
	}()
	return s, nil
}

// follow keeps the interfaces in use up to date until Close. The subscription
// may be nil; complete is the result of the sync before.
func (m *Multicast) follow(s *subscription, complete bool) {
	var changed chan struct{}
	if s != nil {
		defer s.close()
		changed = s.changed
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := resyncEvery
		if changed == nil || !complete {
			wait = pollEvery
		}
		timer.Reset(wait)
		select {
		case <-m.closing:
			return
		case <-timer.C:
		case _, ok := <-changed:
			if !ok {
				changed = nil
				m.logPolling(os.ErrClosed)
			}
		}
		complete = m.sync()
		timer.Reset(settleFor)
		select {
		case <-m.closing:
			return
		case <-timer.C:
		}
	}
}
