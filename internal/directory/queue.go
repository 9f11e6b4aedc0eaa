package directory

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Queue is where callers wait until a member is free (specification
// 3-responsible-manager §4; names and behaviours as in Asterisk's
// queues.conf). Begin a new one with NewQueue.
type Queue struct {
	Name    string   `json:"name" doc:"Letters, digits, - and _" maxLength:"64"`
	Members []string `json:"members" required:"false" nullable:"false" doc:"Extensions of operators, in the order of linear"`
	// Strategy is one of Strategy….
	Strategy  string `json:"strategy" required:"false" enum:"ring_all,round_robin,least_recent,fewest_calls,random,linear,weighted" doc:"Whom a call rings first among the free members. Default ring_all"`
	RingS     int    `json:"ring_s" required:"false" minimum:"1" maximum:"300" doc:"How long members are rung at a time. Default 15"`
	RetryS    int    `json:"retry_s" required:"false" minimum:"0" maximum:"300" doc:"Pause before the next are rung. Default 5"`
	WrapupS   int    `json:"wrapup_s" required:"false" minimum:"0" maximum:"3600" doc:"Rest of a member after a call. Default 0"`
	MaxWaitS  int    `json:"max_wait_s" required:"false" minimum:"0" maximum:"86400" doc:"Longest wait; 0: no limit. Default 300"`
	MaxLength int    `json:"max_length" required:"false" minimum:"0" maximum:"10000" doc:"How many may wait at once; 0: no limit. Default 0"`
	// Fallback is done with a caller whom the queue does not take or keeps no
	// longer. Empty: the route's next step.
	Fallback Steps `json:"fallback,omitempty" doc:"What is done with a caller who cannot wait, or waits no longer. Default: the route's next step"`

	Weights  map[string]int `json:"weights,omitempty" doc:"Of members, 1 to 1000: with the strategy weighted, a member with 2 is rung first twice as often as one with 1. Default 1 each"`
	Priority int            `json:"priority,omitempty" minimum:"0" maximum:"1000" doc:"Among queues with the same members: callers of a queue with more are served first. Default 0"`

	Announce      *QueueAnnounce `json:"announce,omitempty" doc:"What callers are told while they wait. Default: nothing"`
	CallbackOffer *CallbackOffer `json:"callback_offer,omitempty" doc:"Offer a callback that keeps the place in the queue. Default: none"`

	AutoPauseAfter int  `json:"auto_pause_after,omitempty" minimum:"0" maximum:"100" doc:"A member who does not answer so many times in a row is paused; 0: never. Default 0"`
	JoinEmpty      bool `json:"join_empty,omitempty" doc:"Wait even though no member is there: all are paused or have no phone registered. Default false"`
}

// QueueAnnounce is what callers are told while they wait.
type QueueAnnounce struct {
	Text string `json:"text,omitempty" maxLength:"2000" doc:"Said when the caller joins. Default: nothing"`
	// PositionEveryS is the pause between announcements of Position and Wait.
	PositionEveryS int  `json:"position_every_s,omitempty" minimum:"0" maximum:"3600" doc:"Position and wait are told again after so many seconds, from 10 on; 0: once, on joining. Default 0"`
	Position       bool `json:"position,omitempty" doc:"Tell how many are before the caller. Default false"`
	Wait           bool `json:"wait,omitempty" doc:"Tell how long it will take, by the waits of late. Default false"`
}

// Strategies of a queue: which free members a call rings.
const (
	StrategyRingAll     = "ring_all"     // all at once
	StrategyRoundRobin  = "round_robin"  // the one after him who was rung last; remembered between calls
	StrategyLeastRecent = "least_recent" // who finished his last call longest ago
	StrategyFewestCalls = "fewest_calls" // who took the fewest calls of the queue
	StrategyRandom      = "random"
	StrategyLinear      = "linear"   // in the order of Members, from the first for each call
	StrategyWeighted    = "weighted" // at random, by Weights
)

const (
	maxMembers = 1000
	maxWeight  = 1000
	maxWaitS   = 24 * 3600
	leastEvery = 10
)

var strategies = []string{StrategyRingAll, StrategyRoundRobin, StrategyLeastRecent, StrategyFewestCalls, StrategyRandom, StrategyLinear, StrategyWeighted}

// Strategies are all of Strategy….
func Strategies() []string { return slices.Clone(strategies) }

// NewQueue is a queue with the defaults of everything.
func NewQueue(name string, members ...string) Queue {
	return Queue{Name: name, Members: append([]string{}, members...), Strategy: StrategyRingAll, RingS: 15, RetryS: 5, MaxWaitS: 300}
}

// UnmarshalJSON reads an object; what is not there takes its default. The error
// is an invalid.Error.
func (q *Queue) UnmarshalJSON(b []byte) error {
	type plain Queue
	*q = NewQueue("")
	err := readObject(b, (*plain)(q))
	if q.Members == nil { // null
		q.Members = []string{}
	}
	return err
}

// Weight is the member's: see Weights.
func (q Queue) Weight(member string) int {
	if w, ok := q.Weights[member]; ok {
		return w
	}
	return 1
}

// Validate finds everything wrong with the queue: nil or an invalid.Error.
// Numbers must be in E.164, as Normalize leaves them.
func (q Queue) Validate() error {
	_, err := q.check(stepCheck{strict: true})
	return err
}

// Normalize is the queue with the numbers of its fallback in E.164, read as
// somebody in region (ISO 3166) would dial them, or an invalid.Error with every
// fault.
func (q Queue) Normalize(region string) (Queue, error) { return q.check(stepCheck{region: region}) }

func (q Queue) check(c stepCheck) (Queue, error) {
	if !trunkName.MatchString(q.Name) {
		c.bad.Add("name", "want 1 to 64 letters, digits, - and _")
	}
	if len(q.Members) > maxMembers {
		c.bad.Add("members", fmt.Sprintf("want at most %d", maxMembers))
	}
	for i, m := range q.Members {
		path := fmt.Sprintf("members[%d]", i)
		switch {
		case !IsExtension(m):
			c.bad.Add(path, "want an operator's extension")
		case slices.Contains(q.Members[:i], m):
			c.bad.Add(path, "named twice")
		}
	}
	if !slices.Contains(strategies, q.Strategy) {
		c.bad.Add("strategy", "want one of "+strings.Join(strategies, ", "))
	}
	between(&c.bad, "ring_s", q.RingS, 1, maxRingS)
	between(&c.bad, "retry_s", q.RetryS, 0, maxRingS)
	between(&c.bad, "wrapup_s", q.WrapupS, 0, 3600)
	between(&c.bad, "max_wait_s", q.MaxWaitS, 0, maxWaitS)
	between(&c.bad, "max_length", q.MaxLength, 0, 10_000)
	between(&c.bad, "priority", q.Priority, 0, maxPriority)
	between(&c.bad, "auto_pause_after", q.AutoPauseAfter, 0, 100)
	for _, m := range slices.Sorted(maps.Keys(q.Weights)) {
		path := "weights." + m
		if !slices.Contains(q.Members, m) {
			c.bad.Add(path, "is not among the members")
		}
		between(&c.bad, path, q.Weights[m], 1, maxWeight)
	}
	if a := q.Announce; a != nil {
		spoken(&c.bad, "announce.text", a.Text)
		if a.PositionEveryS != 0 {
			between(&c.bad, "announce.position_every_s", a.PositionEveryS, leastEvery, 3600)
		}
	}
	if o := q.CallbackOffer; o != nil {
		c.offer("callback_offer", *o)
		between(&c.bad, "callback_offer.after_s", o.AfterS, 0, 3600)
	}
	q.Fallback = c.steps("fallback", q.Fallback, 0)
	return q, c.bad.Err()
}

// References are what the queue needs to exist.
func (q Queue) References() []Reference {
	var r references
	for i, m := range q.Members {
		r.add(fmt.Sprintf("members[%d]", i), KindOperator, m)
	}
	if q.CallbackOffer != nil {
		r.add("callback_offer.widget", KindWidget, q.CallbackOffer.Widget)
	}
	r.steps("fallback", q.Fallback)
	return r
}
