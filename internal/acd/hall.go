// Package acd shares callers who wait out among members who are free (automatic
// call distribution; settings and behaviours as Asterisk's app_queue has them,
// specification 3-responsible-manager §4). It decides who rings for whom; that
// somebody rings, talks and hears music is the scenario's.
//
// Who waits longest is served first: by the queue's priority, then the caller's,
// then the time of joining. While the one before makes his pause between two
// tries (retry_s), the member whom he would ring next is kept for him.
//
// One Hall holds all queues of a server, for members may be in several. It does
// nothing by itself: each change (a caller came or left, a member was rung, took
// a call or ended it, his phones did something, a pause is over) shares out
// anew.
package acd

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/telephony"
)

// Why a queue does not take a caller.
var (
	// ErrFull: as many wait as may (max_length).
	ErrFull = errors.New("the queue is full")
	// ErrEmpty: every member is paused or has no phone registered, and
	// join_empty is not set.
	ErrEmpty = errors.New("nobody is there to serve the queue")
)

// Phones tells what members' phones are doing: telephony.Engine. It is asked
// under the lock of the Hall.
type Phones interface {
	DeviceState(extension string) telephony.DeviceState
}

// Directory is what an administrator has set. While somebody waits it is read
// once a second: what changes there is in force for those who wait.
type Directory interface {
	Queue(ctx context.Context, account, name string) (directory.Queue, error)
	Operator(ctx context.Context, account, extension string) (directory.Operator, error)
}

// refreshEvery is how old what is known of a queue may be while somebody waits
// in it.
const refreshEvery = time.Second

// Hall is where callers wait. Make it with New. Its methods may be called from
// any goroutine.
type Hall struct {
	phones Phones
	people Directory
	intn   func(n int) int // random, for the strategies that are

	mu      sync.Mutex
	queues  map[key]*queue
	members map[key]*member
	alarm   *time.Timer // the next change that comes by the clock
	joined  uint64      // counts callers
}

// key names something of an account.
type key struct{ account, name string }

// queue is one queue.
type queue struct {
	account  string
	settings directory.Queue
	readAt   time.Time
	places   []*Place       // in the order of service
	last     string         // whom it rang last, for round_robin
	taken    map[string]int // calls by member, for fewest_calls
	recent   []wait         // of late, the newest last
	today    day
}

// member is an operator who is in a queue, or in several.
type member struct {
	operator directory.Operator
	// serving is whom he is rung for or talks with, nil: nobody of ours.
	serving *Place
	talking bool
	// rests until his wrap-up is over.
	rests    time.Time
	lastCall time.Time // its end; zero: none yet
	missed   int       // in a row
}

// New makes a hall without queues: they are there from their first caller on.
func New(phones Phones, people Directory) *Hall {
	h := &Hall{
		phones: phones, people: people, intn: rand.IntN,
		queues: make(map[key]*queue), members: make(map[key]*member),
	}
	return h
}

// Watch shares out anew whenever a phone's state changes, until states ends.
func (h *Hall) Watch(states iter.Seq2[string, telephony.DeviceState]) {
	for range states {
		h.wake()
	}
}

func (h *Hall) wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.share()
}

// Caller is who comes to a queue.
type Caller struct {
	Account, Call string
	Number, Name  string
	Priority      int
	// Since is when he joined. Zero: now. He who kept his place while nobody was
	// on the line comes back with the old one.
	Since time.Time
	// Away: nobody is on the line; the caller is called when it is his turn. He
	// is taken even if the queue is full, or nobody is there.
	Away bool
}

// Join puts a caller into the queue, with the settings q. The error is ErrFull,
// ErrEmpty or context.Cause(ctx). Place.Leave must be called.
func (h *Hall) Join(ctx context.Context, q directory.Queue, c Caller) (*Place, error) {
	people, err := h.read(ctx, c.Account, q)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	its := h.queue(c.Account, q)
	h.learn(its, q, people)
	switch {
	case c.Away:
	case q.MaxLength > 0 && len(its.places) >= q.MaxLength:
		return nil, ErrFull
	case !q.JoinEmpty && !h.anybody(its):
		return nil, ErrEmpty
	}
	if c.Since.IsZero() {
		c.Since = time.Now()
	}
	h.joined++
	p := &Place{hall: h, queue: its, caller: c, number: h.joined, came: make(chan struct{}, 1), tried: make(map[string]bool)}
	at, _ := slices.BinarySearchFunc(its.places, p, before)
	its.places = slices.Insert(its.places, at, p)
	h.share()
	return p, nil
}

func (h *Hall) queue(account string, q directory.Queue) *queue {
	k := key{account, q.Name}
	its, ok := h.queues[k]
	if !ok {
		its = &queue{account: account, taken: make(map[string]int)}
		h.queues[k] = its
	}
	return its
}

// read finds the members. One who is not there any more is left out.
func (h *Hall) read(ctx context.Context, account string, q directory.Queue) ([]directory.Operator, error) {
	people := make([]directory.Operator, 0, len(q.Members))
	for _, extension := range q.Members {
		o, err := h.people.Operator(ctx, account, extension)
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		if err == nil {
			people = append(people, o)
		}
	}
	return people, nil
}

// learn notes what was read.
func (h *Hall) learn(its *queue, q directory.Queue, people []directory.Operator) {
	its.settings, its.readAt = q, time.Now()
	its.settings.Members = nil // those who exist
	for _, o := range people {
		its.settings.Members = append(its.settings.Members, o.Extension)
		k := key{its.account, o.Extension}
		if m, ok := h.members[k]; ok {
			m.operator = o
			continue
		}
		h.members[k] = &member{operator: o}
	}
}

// refresh reads the queue again, if nobody did within the last second.
func (h *Hall) refresh(ctx context.Context, its *queue) {
	h.mu.Lock()
	name, due := its.settings.Name, time.Since(its.readAt) >= refreshEvery
	if due {
		its.readAt = time.Now()
	}
	h.mu.Unlock()
	if !due {
		return
	}
	q, err := h.people.Queue(ctx, its.account, name)
	if err != nil {
		return // it was removed, or cannot be read now: who waits stays
	}
	people, err := h.read(ctx, its.account, q)
	if err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.learn(its, q, people)
	h.share()
}

func (h *Hall) member(its *queue, extension string) *member {
	return h.members[key{its.account, extension}]
}

// anybody tells whether a member is there, free or not.
func (h *Hall) anybody(its *queue) bool {
	return slices.ContainsFunc(its.settings.Members, func(extension string) bool {
		return h.there(h.member(its, extension))
	})
}

func (h *Hall) there(m *member) bool {
	return !m.operator.Paused &&
		(len(m.operator.Phones) > 0 || h.phones.DeviceState(m.operator.Extension) != telephony.Unavailable)
}

// free tells whether the member may be rung now. One who has a phone outside may
// be rung there while no phone of ours is registered.
func (h *Hall) free(m *member, now time.Time) bool {
	if m.operator.Paused || m.serving != nil || now.Before(m.rests) {
		return false
	}
	switch h.phones.DeviceState(m.operator.Extension) {
	case telephony.NotInUse:
		return true
	case telephony.Unavailable:
		return len(m.operator.Phones) > 0
	}
	return false
}

// share gives the free members to those who wait, in the order of service.
func (h *Hall) share() {
	now := time.Now()
	var waiting []*Place
	free := make(map[*member]bool)
	var next time.Time // by the clock
	soon := func(t time.Time) {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, its := range h.queues {
		n := len(waiting)
		for _, p := range its.places {
			if p.turn == nil {
				waiting = append(waiting, p)
			}
		}
		if n == len(waiting) {
			continue
		}
		for _, extension := range its.settings.Members {
			m := h.member(its, extension)
			soon(m.rests)
			if !free[m] && h.free(m, now) {
				free[m] = true
			}
		}
	}
	slices.SortFunc(waiting, func(a, b *Place) int {
		return cmp.Or(-cmp.Compare(a.queue.settings.Priority, b.queue.settings.Priority), before(a, b))
	})
	for _, p := range waiting {
		if len(free) == 0 {
			break
		}
		for _, m := range h.serve(p, free, now) {
			delete(free, m)
		}
		soon(p.pause)
	}
	h.setAlarm(next, now)
}

func (h *Hall) setAlarm(at, now time.Time) {
	switch {
	case at.IsZero():
		if h.alarm != nil {
			h.alarm.Stop()
		}
	case h.alarm == nil:
		h.alarm = time.AfterFunc(at.Sub(now), h.wake)
	default:
		h.alarm.Reset(at.Sub(now))
	}
}

// serve lets the place's caller ring some of the free members, and returns those
// who are not to be had by others: because they ring, or will.
func (h *Hall) serve(p *Place, free map[*member]bool, now time.Time) []*member {
	var candidates []string
	for _, extension := range p.queue.settings.Members {
		if free[h.member(p.queue, extension)] {
			candidates = append(candidates, extension)
		}
	}
	if len(candidates) == 0 {
		return nil
	}
	fresh := slices.DeleteFunc(slices.Clone(candidates), func(extension string) bool { return p.tried[extension] })
	over := len(fresh) == 0 // a round: all who are free were rung for him
	if over && p.queue.settings.Strategy != directory.StrategyRingAll {
		p.pause = p.ended.Add(max(p.queue.retry(), leastPause))
	}
	if over || p.queue.settings.Strategy == directory.StrategyRingAll {
		fresh = candidates
	}
	chosen := h.choose(p.queue, fresh)
	var taken []*member
	for _, extension := range chosen {
		taken = append(taken, h.member(p.queue, extension))
	}
	if now.Before(p.pause) {
		return taken
	}
	if over {
		clear(p.tried)
	}
	p.queue.last = chosen[len(chosen)-1]
	p.turn = &Turn{place: p}
	for _, m := range taken {
		m.serving = p
		p.turn.Members = append(p.turn.Members, m.operator.Extension)
	}
	select {
	case p.came <- struct{}{}:
	default:
	}
	return taken
}

// leastPause is between two rounds for the same caller, so that phones that
// refuse at once are not called over and over.
const leastPause = time.Second

func (q *queue) retry() time.Duration { return time.Duration(q.settings.RetryS) * time.Second }
