package acd

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
)

// Place is a caller's place in a queue.
type Place struct {
	hall   *Hall
	queue  *queue
	caller Caller
	number uint64 // tells who joined in the same instant apart
	came   chan struct{}
	left   bool

	turn *Turn // nil: he waits
	// tried are whom he has rung in this round.
	tried map[string]bool
	// ended is when his last try did; pause is until when he rings nobody.
	ended, pause time.Time
}

// before is the order of service within a queue.
func before(a, b *Place) int {
	return cmp.Or(-cmp.Compare(a.caller.Priority, b.caller.Priority), a.caller.Since.Compare(b.caller.Since), cmp.Compare(a.number, b.number))
}

// Turn is one try to reach a member for a caller. Done ends it.
type Turn struct {
	place *Place
	// Members are to be rung together.
	Members []string
	given   bool // to the caller
}

// Next waits until there are members to ring for the caller, or returns
// context.Cause(ctx). The Turn before must be done.
func (p *Place) Next(ctx context.Context) (*Turn, error) {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		if turn := p.take(); turn != nil {
			return turn, nil
		}
		select {
		case <-p.came:
		case <-tick.C:
			p.hall.refresh(ctx, p.queue)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (p *Place) take() *Turn {
	p.hall.mu.Lock()
	defer p.hall.mu.Unlock()
	if p.turn == nil || p.turn.given {
		return nil
	}
	p.turn.given = true
	return p.turn
}

// Outcome is what came of ringing a member.
type Outcome int

// The outcomes. One that is not told is Spared.
const (
	Spared  Outcome = iota // somebody else answered, or the caller left
	Took                   // he answered; Free when his part in the call is over
	Missed                 // his phone rang and he did not answer
	Refused                // he declined, or could not be rung
)

// Done tells what came of the turn, by member. If somebody took the call the
// place is left. Members who have let it ring too often in a row are returned:
// they are to be paused (auto_pause_after).
func (t *Turn) Done(outcomes map[string]Outcome) (tired []string) {
	p := t.place
	h := p.hall
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.turn != t {
		return nil // the caller left
	}
	now := time.Now()
	missed := false
	for _, extension := range t.Members {
		m := h.member(p.queue, extension)
		m.serving = nil
		p.tried[extension] = true
		switch outcomes[extension] {
		case Took:
			m.serving, m.talking, m.missed = p, true, 0
			p.queue.taken[extension]++
		case Missed:
			missed = true
			m.missed++
			if n := p.queue.settings.AutoPauseAfter; n > 0 && m.missed >= n {
				m.missed = 0
				m.operator.Paused = true // until it is read again
				tired = append(tired, extension)
			}
		case Refused:
			m.missed = 0
		}
	}
	p.turn, p.ended = nil, now
	switch {
	case p.queue.settings.Strategy == directory.StrategyRingAll:
		p.pause = now.Add(max(p.queue.retry(), leastPause))
	case missed:
		p.pause = now.Add(p.queue.retry())
	}
	if slices.ContainsFunc(t.Members, func(extension string) bool { return outcomes[extension] == Took }) {
		p.leave(Answered)
	}
	h.share()
	return tired
}

// Free tells that the member's part in the call that he took is over: he rests
// (wrapup_s), then he is rung again.
func (t *Turn) Free(extension string) {
	p := t.place
	h := p.hall
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.member(p.queue, extension)
	if m.serving != p {
		return
	}
	now := time.Now()
	m.serving, m.talking, m.lastCall = nil, false, now
	m.rests = now.Add(time.Duration(p.queue.settings.WrapupS) * time.Second)
	h.share()
}

// End is how a caller leaves the queue.
type End string

// The ways to leave, as the timeline and the metrics name them.
const (
	Answered  End = "answered"
	Abandoned End = "abandoned" // he hung up
	TimedOut  End = "timeout"   // max_wait_s
	CallBack  End = "callback"  // he keeps his place and will be called
	Stopped   End = "ended"     // the call was ended from outside
	Full      End = "full"      // he was not let in: ErrFull
	Empty     End = "empty"     // he was not let in: ErrEmpty
)

// Leave takes the caller out of the queue; members who ring for him are free.
// What follows the first changes nothing.
func (p *Place) Leave(how End) {
	h := p.hall
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.left {
		return
	}
	p.leave(how)
	h.share()
}

func (p *Place) leave(how End) {
	p.left = true
	if t := p.turn; t != nil {
		p.turn = nil
		for _, extension := range t.Members {
			p.hall.member(p.queue, extension).serving = nil
		}
	}
	p.queue.places = slices.DeleteFunc(p.queue.places, func(other *Place) bool { return other == p })
	p.queue.count(how, p.Waited(), time.Now(), p.caller.Away)
}

// Settings are the queue's as they are now.
func (p *Place) Settings() directory.Queue {
	p.hall.mu.Lock()
	defer p.hall.mu.Unlock()
	return p.queue.settings
}

// Waited is how long the caller has been in the queue.
func (p *Place) Waited() time.Duration { return time.Since(p.caller.Since) }

// Position is the caller's, from 1: who is rung for is counted too. 0: he has
// left.
func (p *Place) Position() int {
	p.hall.mu.Lock()
	defer p.hall.mu.Unlock()
	return slices.Index(p.queue.places, p) + 1
}

// Ringing tells whether members are rung for him now.
func (p *Place) Ringing() bool {
	p.hall.mu.Lock()
	defer p.hall.mu.Unlock()
	return p.turn != nil
}

// Expected is how long he will still wait, by those who were answered within
// the last hour; ok is false if nobody was.
func (p *Place) Expected() (d time.Duration, ok bool) {
	p.hall.mu.Lock()
	defer p.hall.mu.Unlock()
	mean, ok := p.queue.meanWait(time.Now())
	return max(0, mean-p.Waited()), ok
}
