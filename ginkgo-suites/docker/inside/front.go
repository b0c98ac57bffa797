package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// checkPause is the pause between two checks of an instance's readiness.
	checkPause = 50 * time.Millisecond
	// requestPause is the pause between the starts of two requests.
	requestPause = 10 * time.Millisecond
	// waitAtMost is how long a request waits for somebody who is ready.
	waitAtMost = time.Second
	// work is what a request asks the service for.
	work = "30ms"
	// failuresAtMost bounds the failures that are told in words.
	failuresAtMost = 20
)

// front sends requests to those containers of a service that say that they are
// ready, as a proxy does that checks its backends' health. It finds them by
// the service's name, which the engine's DNS knows.
type front struct {
	service string
	say     *printer
	client  *http.Client
	cancel  context.CancelFunc
	all     sync.WaitGroup

	mu     sync.Mutex
	ready  map[string]bool // by address; false: it is checked and not ready
	counts counts
}

// counts is what became of the requests.
type counts struct {
	Requests int            `json:"requests"`
	Answered map[string]int `json:"answered"` // by the service's name
	Lost     int            `json:"lost"`
	Why      []string       `json:"why"`
	Longest  time.Duration  `json:"longest"` // wait for somebody who is ready
	Over     bool           `json:"over"`
}

func newFront(service string, say *printer) *front {
	f := &front{
		service: service, say: say, ready: map[string]bool{}, counts: counts{Answered: map[string]int{}},
		client: &http.Client{Timeout: requestTimeout, Transport: &http.Transport{DisableKeepAlives: true}},
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	f.look(ctx).Wait()
	f.all.Go(func() { every(ctx, checkPause, func() { f.look(ctx) }) })
	f.all.Go(func() { every(ctx, requestPause, func() { f.all.Go(f.request) }) })
	f.all.Go(func() { every(ctx, 10*requestPause, func() { f.tell(false) }) })
	return f
}

// end waits for the requests in flight and tells the last counts.
func (f *front) end() {
	f.cancel()
	f.all.Wait()
	f.tell(true)
}

func (f *front) tell(over bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	told := f.counts
	told.Answered, told.Over = maps.Clone(told.Answered), over
	f.say.print(told)
}

func every(ctx context.Context, pause time.Duration, do func()) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for ctx.Err() == nil {
		do()
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// look begins to check all containers of the service: one that does not answer
// holds up no other.
func (f *front) look(ctx context.Context) *sync.WaitGroup {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	addresses, _ := net.DefaultResolver.LookupNetIP(ctx, "ip4", f.service+".") // an error: none runs
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.ready
	f.ready = map[string]bool{}
	var checks sync.WaitGroup
	for _, a := range addresses {
		address := a.String()
		f.ready[address] = before[address]
		checks.Go(func() {
			is := f.isReady(ctx, address)
			f.mu.Lock()
			defer f.mu.Unlock()
			if _, still := f.ready[address]; still {
				f.ready[address] = is
			}
		})
	}
	f.all.Go(func() { checks.Wait(); cancel() })
	return &checks
}

func (f *front) isReady(ctx context.Context, address string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+":9090/readyz", nil)
	if err != nil {
		return false
	}
	answer, err := f.client.Do(r)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// request sends one and counts it. It counts as lost if nobody is ready for too
// long, and also if only its connection is refused: it is not tried again.
func (f *front) request() {
	begun := time.Now()
	address := f.pick()
	for ; address == "" && time.Since(begun) < waitAtMost; address = f.pick() {
		time.Sleep(requestPause)
	}
	waited := time.Since(begun)
	name, err := "", errors.New("nobody is ready")
	if address != "" {
		name, err = f.ask(address)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts.Requests++
	f.counts.Longest = max(f.counts.Longest, waited)
	if err == nil {
		f.counts.Answered[name]++
		return
	}
	f.counts.Lost++
	if len(f.counts.Why) < failuresAtMost {
		f.counts.Why = append(f.counts.Why, fmt.Sprintf("%s %v", time.Now().UTC().Format("15:04:05.000"), err))
	}
}

// pick returns the address of somebody who is ready, "" if there is none.
func (f *front) pick() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ready []string
	for address, is := range f.ready {
		if is {
			ready = append(ready, address)
		}
	}
	if len(ready) == 0 {
		return ""
	}
	return ready[rand.IntN(len(ready))]
}

func (f *front) ask(address string) (name string, err error) {
	answer, err := f.client.Get("http://" + address + ":8080/?takes=" + work)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %s", address, answer.Status)
	}
	return string(text), err
}
