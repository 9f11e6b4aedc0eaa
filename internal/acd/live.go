package acd

import (
	"context"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/telephony"
)

// Live is a queue as it is now.
type Live struct {
	Waiting []Waiting `json:"waiting" nullable:"false" doc:"In the order of service"`
	Members []Member  `json:"members" nullable:"false" doc:"In the order of the queue's members"`
	Today   Today     `json:"today" doc:"Since midnight of the server's clock, or its start"`
}

// Waiting is a caller in a queue.
type Waiting struct {
	CallID   string  `json:"call_id,omitempty" doc:"Absent for who is called back: his call begins when it is his turn"`
	Number   string  `json:"number,omitempty"`
	Name     string  `json:"name,omitempty"`
	Position int     `json:"position" doc:"From 1"`
	WaitS    float64 `json:"wait_s" doc:"Since joining"`
	Priority int     `json:"priority,omitempty"`
	// Ringing names the members whose phones ring for him.
	Ringing  []string `json:"ringing,omitempty" doc:"Members whose phones ring for this caller now"`
	Callback bool     `json:"callback,omitempty" doc:"Nobody is on the line: the place is kept, and the client is called when it is the turn"`
}

// State is what a member is doing.
type State string

// The states of members.
const (
	StateFree        State = "free"
	StateRinging     State = "ringing"
	StateTalking     State = "talking" // or on the phone otherwise
	StateWrapUp      State = "wrap_up"
	StatePaused      State = "paused"
	StateUnavailable State = "unavailable" // no phone is there
)

// Member is a member of a queue.
type Member struct {
	Extension string `json:"extension"`
	Name      string `json:"name,omitempty"`
	State     State  `json:"state" enum:"free,ringing,talking,wrap_up,paused,unavailable"`
	Calls     int    `json:"calls" doc:"Taken in this queue since the server's start"`
}

// Today is what happened in a queue today.
type Today struct {
	Answered  int `json:"answered"`
	Abandoned int `json:"abandoned" doc:"Hung up while they waited"`
	TimedOut  int `json:"timed_out" doc:"Waited longer than max_wait_s"`
	Callbacks int `json:"callbacks" doc:"Chose to be called back"`
	// MeanWaitS is of those who were answered.
	MeanWaitS float64 `json:"mean_wait_s" doc:"Of those who were answered"`
	// ServiceLevel is the share of callers answered within 20 s, of all who were
	// answered, hung up or waited too long.
	ServiceLevel float64 `json:"service_level_20s" doc:"Share of callers who were answered within 20 s, 0 to 1"`
}

// served20 is the bound of the service level.
const served20 = 20 * time.Second

// day counts one day.
type day struct {
	date   string
	today  Today
	waited time.Duration
	quick  int
}

// wait is how long somebody waited, and until when.
type wait struct {
	until time.Time
	d     time.Duration
}

// What the expected wait is made of.
const (
	recentWaits = 10
	recentTime  = time.Hour
)

// count notes how a caller left. away: nobody was on the line, so how long it
// took is no caller's wait.
func (q *queue) count(how End, waited time.Duration, now time.Time, away bool) {
	d := q.on(now)
	switch {
	case away:
	case how == Answered:
		d.today.Answered++
		d.waited += waited
		if waited <= served20 {
			d.quick++
		}
		q.recent = append(q.recent, wait{now, waited})
		q.recent = q.recent[max(0, len(q.recent)-recentWaits):]
	case how == Abandoned:
		d.today.Abandoned++
	case how == TimedOut:
		d.today.TimedOut++
	case how == CallBack:
		d.today.Callbacks++
	}
}

// on are the counters of the day.
func (q *queue) on(now time.Time) *day {
	if date := now.Format(time.DateOnly); q.today.date != date {
		q.today = day{date: date}
	}
	return &q.today
}

func (q *queue) meanWait(now time.Time) (time.Duration, bool) {
	var sum time.Duration
	n := 0
	for _, w := range q.recent {
		if now.Sub(w.until) <= recentTime {
			sum += w.d
			n++
		}
	}
	if n == 0 {
		return 0, false
	}
	return sum / time.Duration(n), true
}

// Live is the queue as it is now, with the settings q. The error is
// context.Cause(ctx).
func (h *Hall) Live(ctx context.Context, account string, q directory.Queue) (Live, error) {
	people, err := h.read(ctx, account, q)
	if err != nil {
		return Live{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	its := h.queue(account, q)
	h.learn(its, q, people)
	h.share()
	now := time.Now()
	l := Live{Waiting: []Waiting{}, Members: []Member{}, Today: its.on(now).sums()}
	for i, p := range its.places {
		w := Waiting{
			CallID: p.caller.Call, Number: p.caller.Number, Name: p.caller.Name, Position: i + 1,
			WaitS: p.Waited().Seconds(), Priority: p.caller.Priority, Callback: p.caller.Away,
		}
		if p.turn != nil {
			w.Ringing = p.turn.Members
		}
		l.Waiting = append(l.Waiting, w)
	}
	for _, extension := range its.settings.Members {
		m := h.member(its, extension)
		l.Members = append(l.Members, Member{extension, m.operator.Name, h.state(m, now), its.taken[extension]})
	}
	return l, nil
}

// sums are the day's counters and what follows from them.
func (d *day) sums() Today {
	t := d.today
	if n := t.Answered; n > 0 {
		t.MeanWaitS = (d.waited / time.Duration(n)).Seconds()
		t.ServiceLevel = float64(d.quick) / float64(n+t.Abandoned+t.TimedOut)
	}
	return t
}

// state is what a member is doing, in whatever queues he is.
func (h *Hall) state(m *member, now time.Time) State {
	phone := h.phones.DeviceState(m.operator.Extension)
	switch {
	case m.talking:
		return StateTalking
	case m.serving != nil, phone == telephony.Ringing:
		return StateRinging
	case phone == telephony.InUse, phone == telephony.Busy, phone == telephony.OnHold:
		return StateTalking
	case m.operator.Paused:
		return StatePaused
	case now.Before(m.rests):
		return StateWrapUp
	case !h.there(m):
		return StateUnavailable
	}
	return StateFree
}
