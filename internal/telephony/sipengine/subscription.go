package sipengine

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// partingWait is how long a phone has for its last NOTIFY when the engine stops.
const partingWait = 2 * time.Second

// subscription is a phone's wish to be told of something (RFC 6665), until it
// expires, the phone ends it or does not take a NOTIFY. One NOTIFY is under way
// at a time; what happens meanwhile is told in the next. It has no goroutine
// while there is nothing to tell.
type subscription struct {
	e     *Engine
	d     *dialog // in which it is told
	event string  // the Event header of each NOTIFY
	feed  feed
	done  chan struct{} // closed when the last has been said

	mu      sync.Mutex
	due     bool // the feed may have news
	busy    bool // a goroutine tells
	over    string
	gone    bool
	expires time.Time
	timer   *time.Timer
}

// feed is where a subscription has its news from.
type feed interface {
	// next is what is to be told now; false: nothing new. over, if not empty, is
	// why the subscription ends: there is a last word then.
	next(over string) (news, bool)
	// expired is called once when the time is up.
	expired(s *subscription)
}

// news is the content of a NOTIFY.
type news struct {
	kind string // media type
	body []byte
	last string // why it is the last (RFC 6665 §4.1.3); empty: it is not
}

// The reasons of an end (RFC 6665 §4.1.3).
const (
	overTimeout = "timeout"
	overDone    = "noresource"
	// overStopping lets the phone try again, as soon as we may be back.
	overStopping = "probation;retry-after=5"
)

// subscribe makes a subscription that lives for d. It is to be added, or removed.
func (e *Engine) subscribe(dlg *dialog, event string, f feed, d time.Duration) *subscription {
	s := &subscription{e: e, d: dlg, event: event, feed: f, done: make(chan struct{}), expires: time.Now().Add(d)}
	s.timer = time.AfterFunc(d, func() { f.expired(s) })
	return s
}

// extend lets the subscription live for d from now on.
func (s *subscription) extend(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone || s.over != "" {
		return
	}
	s.expires = time.Now().Add(d)
	s.timer.Reset(d)
}

// end ends the subscription with a last NOTIFY.
func (s *subscription) end(why string) {
	s.mu.Lock()
	if s.over == "" {
		s.over = why
	}
	s.mu.Unlock()
	s.wake()
}

// open tells whether the phone is to be told of more.
func (s *subscription) open() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.gone && s.over == ""
}

// wake lets the phone be told what there is to tell. It does not wait.
func (s *subscription) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.due = true
	if !s.busy && !s.gone {
		s.busy = s.e.tasks.Run(s.tell)
	}
}

// tell sends NOTIFYs until there is no more to say.
func (s *subscription) tell() {
	for {
		s.mu.Lock()
		if !s.due || s.gone {
			s.busy = false
			s.mu.Unlock()
			return
		}
		s.due = false
		over := s.over
		s.mu.Unlock()
		n, fresh := s.feed.next(over)
		switch {
		case !fresh:
		case !s.notify(n) || n.last != "":
			s.remove()
		default:
			s.wake() // to look again
		}
	}
}

// notify sends a NOTIFY; false: the phone does not want it any more, or is gone
// (RFC 6665 §4.2.2).
func (s *subscription) notify(n news) bool {
	req := s.d.request(sip.NOTIFY)
	req.AppendHeader(sip.NewHeader("Event", s.event))
	state := "terminated;reason=" + n.last
	if n.last == "" {
		s.mu.Lock()
		left := max(time.Until(s.expires), 0)
		s.mu.Unlock()
		state = "active;expires=" + strconv.Itoa(int(left/time.Second))
	}
	req.AppendHeader(sip.NewHeader("Subscription-State", state))
	kind := sip.ContentTypeHeader(n.kind)
	req.AppendHeader(&kind)
	req.SetBody(n.body)

	ctx, cancel := context.WithTimeout(context.Background(), finalWait)
	defer cancel()
	defer context.AfterFunc(s.e.life, func() {
		hurry := time.NewTimer(partingWait)
		defer hurry.Stop()
		select {
		case <-hurry.C:
			cancel()
		case <-ctx.Done():
		}
	})()
	res, err := s.d.send(ctx, req)
	if err != nil {
		s.e.log.Info("a phone does not take its NOTIFY", "event", s.event, "phone", s.d.remote.Address.User, "err", err)
		return false
	}
	return res.IsSuccess()
}

// remove forgets the subscription: no NOTIFY comes any more.
func (s *subscription) remove() {
	s.mu.Lock()
	s.gone = true
	s.timer.Stop()
	s.mu.Unlock()
	close(s.done)
	s.e.subs.remove(s)
}

// subscriptions are those of an engine.
type subscriptions struct {
	mu       sync.Mutex
	stopping bool
	all      map[*subscription]struct{}
	byDialog map[dialogID]*subscription            // that have a dialog of their own
	watching map[string]map[*subscription]struct{} // by the extension that is watched
	held     map[string]int                        // how many a watcher has, by its extension
}

// add makes a subscription known; false: the engine stops, or the watcher has
// too many.
func (ss *subscriptions) add(s *subscription) bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.stopping {
		return false
	}
	if ss.all == nil {
		ss.all, ss.byDialog = make(map[*subscription]struct{}), make(map[dialogID]*subscription)
		ss.watching, ss.held = make(map[string]map[*subscription]struct{}), make(map[string]int)
	}
	if w, ok := s.feed.(*watch); ok {
		if ss.held[w.watcher] >= watchesMax {
			return false
		}
		ss.held[w.watcher]++
		ss.byDialog[s.d.id] = s
		if ss.watching[w.extension] == nil {
			ss.watching[w.extension] = make(map[*subscription]struct{})
		}
		ss.watching[w.extension][s] = struct{}{}
	}
	ss.all[s] = struct{}{}
	return true
}

func (ss *subscriptions) remove(s *subscription) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if _, known := ss.all[s]; !known {
		return
	}
	delete(ss.all, s)
	if w, ok := s.feed.(*watch); ok {
		if ss.held[w.watcher]--; ss.held[w.watcher] == 0 {
			delete(ss.held, w.watcher)
		}
		delete(ss.byDialog, s.d.id)
		delete(ss.watching[w.extension], s)
		if len(ss.watching[w.extension]) == 0 {
			delete(ss.watching, w.extension)
		}
	}
}

// find is the subscription with that dialog of its own, nil if there is none.
func (ss *subscriptions) find(id dialogID) *subscription {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.byDialog[id]
}

// of are the subscriptions to an extension.
func (ss *subscriptions) of(extension string) (found []*subscription) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for s := range ss.watching[extension] {
		found = append(found, s)
	}
	return found
}

// end ends all, and takes no more.
func (ss *subscriptions) end() {
	ss.mu.Lock()
	ss.stopping = true
	all := make([]*subscription, 0, len(ss.all))
	for s := range ss.all {
		all = append(all, s)
	}
	ss.mu.Unlock()
	for _, s := range all {
		s.end(overStopping)
	}
}

// eventOf reads an Event header (RFC 6665 §8.4): the package, in lower case,
// and the id.
func eventOf(req *sip.Request) (name, id string) {
	parts := strings.Split(header(req, "Event", "o"), ";")
	for _, p := range parts[1:] {
		if k, v, _ := strings.Cut(p, "="); strings.EqualFold(strings.TrimSpace(k), "id") {
			id = strings.TrimSpace(v)
		}
	}
	return strings.ToLower(strings.TrimSpace(parts[0])), id
}
