package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/media/mediatest"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest"
)

// scene is a conversation in which the people do what the test says when it
// says it, and what each hears is looked at in between.
type scene struct {
	*server
	people map[string]*telephonytest.SIPPhone // as in tones
	id     string                             // of the call
	talks  []moment
}

// moment is a time in which it was heard who heard whom.
type moment struct {
	what     string
	left     string   // who is recorded on the left
	right    []string // and on the right; nil: nobody
	from, to time.Time
}

// The tones of the people: a whole number of turns in 20 ms, so that none looks
// like another in however short a time, and above the music. The line is 101's
// second.
var tones = map[string]float64{"client": 1400, "101": 1700, "102": 2000, "103": 2300, "104": 2600, "line": 2900}

// cast starts a server with its trunk, the client behind it, and the operators
// 101 to 104, whose phones pick up at once. Calls in go to 101.
func cast(t *testing.T, start engine, flags ...string) *scene {
	t.Helper()
	s := &scene{
		server: start(t, serverproc.Options{Args: append([]string{"--transfer-ring", "2s"}, flags...)}),
		people: map[string]*telephonytest.SIPPhone{},
	}
	t.Cleanup(s.tell)
	for name, freq := range tones {
		p := telephonytest.NewSIPPhone(t, freq)
		p.Behave(telephonytest.Manner{Answers: true})
		s.people[name] = p
		switch name {
		case "client":
			s.trunkTo("city", p.Addr(), nil)
			continue
		case "line":
			continue
		}
		s.extension(name, nil)
		if code := p.Register(addrOf(t, s.SIP), name, phonePassword, 3600); code != 200 {
			t.Fatalf("%s is not registered: %d", name, code)
		}
	}
	s.route(packet{"operator": "101"})
	return s
}

// tell shows the timeline of the call if the test has failed.
func (s *scene) tell() {
	if !s.t.Failed() || s.id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.API.Follow(ctx, s.id, func(e call.Event) bool { // until ctx ends
		s.t.Logf("%s %s leg=%s operator=%s digits=%s action=%s reason=%s", e.At.Format(time.StampMilli), e.Type, e.Leg, e.Operator, e.Digits, e.Action, e.Reason)
		return true
	})
}

// dials lets one call a number, and finds the call.
func (s *scene) dials(who, number string, d call.Direction) {
	s.t.Helper()
	password := phonePassword
	from := who
	switch who {
	case "client":
		from, password = clientNumber, ""
	case "line":
		from = "101"
	}
	s.people[who].Call(addrOf(s.t, s.SIP), from, password, number)
	s.id = s.only(d)
}

// The four kinds of call in which 101 talks to the client, or to 104.
func (s *scene) inbound()  { s.dials("client", "+74951112233", call.Inbound) }
func (s *scene) outbound() { s.dials("101", "89160000001", call.Outbound) }
func (s *scene) calledBack() {
	s.id = s.callback(packet{
		"managers": "101", "client": clientNumber, "trunks_client": []string{"city"}, "greeting": "1", "connecting_text": "1", "client_delay_ms": 0, "after_call_s": 0,
	}).CallID
}

// press presses keys, one after another.
func (s *scene) press(who, keys string) {
	s.t.Helper()
	until(s.t, who+" has a call", func() bool { return s.people[who].Sound() != nil })
	for _, k := range []byte(keys) {
		s.people[who].Sound().Press(k, nil)
	}
}

// behaves sets how a phone treats calls.
func (s *scene) behaves(who string, m telephonytest.Manner) { s.people[who].Behave(m) }

// rings waits until a phone does.
func (s *scene) rings(who string) {
	s.t.Helper()
	until(s.t, who+" rings", func() bool { return s.people[who].State() == telephonytest.PhoneRinging })
}

// is waits for an event on the timeline.
func (s *scene) is(what call.Type) { s.t.Helper(); s.until(s.id, is(what, "")) }

// leaves hangs up; vanishes does not say so.
func (s *scene) leaves(who string)   { s.people[who].Hangup("") }
func (s *scene) vanishes(who string) { s.people[who].Die() }

// refers presses the phone's own transfer key.
func (s *scene) refers(who, to string) {
	s.t.Helper()
	if code := s.people[who].Refer(to); code != 202 {
		s.t.Errorf("REFER of %s: %d", who, code)
	}
}

// holds presses the phone's hold key.
func (s *scene) holds(who string, on bool) {
	s.t.Helper()
	if code := s.people[who].Hold(on); code != 200 {
		s.t.Errorf("hold of %s: %d", who, code)
	}
}

const (
	// lasts is how long a moment is listened to.
	lasts = 1300 * time.Millisecond
	// look is in what pieces.
	look = 160 * time.Millisecond
)

// hears waits until it is so and lets it last: "client-101" hear each other
// and nobody else, "client:music", "client:ring", "client:101" what one of them
// hears. recorded is
// who is beside the client in the recording meanwhile, "" nobody; "102|101"
// names both sides.
func (s *scene) hears(what, recorded string) {
	s.t.Helper()
	want := map[string][]string{}
	for _, group := range strings.Fields(what) {
		if who, sound, ok := strings.Cut(group, ":"); ok {
			want[who] = []string{sound}
			continue
		}
		all := strings.Split(group, "-")
		for i, who := range all {
			want[who] = slices.Delete(slices.Clone(all), i, i+1)
		}
	}
	var wrong string
	right := func() bool {
		wrong = s.wrong(want)
		return wrong == ""
	}
	began := time.Now()
	for !right() {
		if time.Since(began) > patience {
			s.t.Fatalf("%s: %s", what, wrong)
		}
	}
	m := moment{what: what, from: time.Now()}
	for time.Since(m.from) < lasts {
		if !right() {
			s.t.Errorf("%s: then %s", what, wrong)
			break
		}
	}
	m.to = time.Now()
	left, recorded, ok := strings.Cut(recorded, "|")
	if !ok {
		left, recorded = "client", left
	}
	m.left, m.right = left, strings.FieldsFunc(recorded, func(r rune) bool { return r == '-' })
	s.talks = append(s.talks, m)
}

// wrong listens to all at once and tells what somebody hears that he should not.
func (s *scene) wrong(want map[string][]string) string {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for who := range want {
		if s.people[who].Sound() == nil {
			<-again.C
			return who + " has no call"
		}
		s.people[who].Sound().Forget()
	}
	// Until each has heard enough; or too little for so long that it is silence.
	const enough = int(look * 8000 / time.Second)
	for limit := time.Now().Add(5 * look); time.Now().Before(limit); <-again.C {
		least := enough
		for who := range want {
			least = min(least, len(s.people[who].Sound().Heard()))
		}
		if least == enough {
			break
		}
	}
	for who, whom := range want {
		heard := s.people[who].Sound().Heard()
		if is := sound(heard, whom); is != "" {
			return fmt.Sprintf("%s should hear %v, %s", who, whom, is)
		}
	}
	return ""
}

// sound compares what was heard; "": it is right.
func sound(heard []int16, whom []string) string {
	level := mediatest.Level(heard)
	shares := map[string]float64{"ring": tone.Strength(heard, 8000, 425)}
	most := 0.0
	for who, freq := range tones {
		shares[who] = tone.Strength(heard, 8000, freq)
		most = max(most, shares[who])
	}
	ok := level > -50
	switch whom[0] {
	case "music":
		ok = ok && level < -14 && most < 0.3 && shares["ring"] < 0.7
	case "ring":
		// Its pause is longer than a look; the look may hold an edge of it.
		loud := func(x int16) bool { return x > 200 || x < -200 }
		for len(heard) > 0 && !loud(heard[0]) {
			heard = heard[1:]
		}
		for len(heard) > 0 && !loud(heard[len(heard)-1]) {
			heard = heard[:len(heard)-1]
		}
		const turns = 8000 / 425 * 4 // fewer tell nothing
		ok = len(heard) < turns || tone.Strength(heard, 8000, 425) > 0.7
	default:
		sum := 0.0
		for _, who := range whom {
			ok = ok && shares[who] > 0.7/float64(len(whom)*len(whom))
			sum += shares[who]
		}
		ok = ok && sum > 0.75
	}
	if ok {
		return ""
	}
	return fmt.Sprintf("hears %d ms of %.0f dB, shares %v", len(heard)/8, level, shares)
}

// outcome is what is left of a call.
type outcome struct {
	Status      call.Status
	Responsible string
	Stages      []string // "101 transferred"
	// Passes are the transfers as the timeline has them: "started 101 102 attended
	// keys", "failed …", "hold".
	Passes []string
}

// ends waits for the end of the call and compares all that is left of it.
func (s *scene) ends(want outcome) []call.Event {
	s.t.Helper()
	events := s.told(want)
	s.recorded(events)
	return events
}

// told waits for the end of the call and compares what is told of it.
func (s *scene) told(want outcome) []call.Event {
	s.t.Helper()
	got := outcome{}
	status, events := s.ended(s.id)
	got.Status = status
	for _, e := range events {
		switch e.Type {
		case call.TransferStarted:
			got.Passes = append(got.Passes, fmt.Sprintf("started %s %s %s %s", e.Operator, e.Number, e.Action, e.Method))
		case call.TransferDone:
			got.Passes = append(got.Passes, fmt.Sprintf("completed %s %s", e.Operator, e.Action))
		case call.TransferFailed:
			got.Passes = append(got.Passes, fmt.Sprintf("failed %s %s", e.Operator, e.Number))
		case call.TransferReturned:
			got.Passes = append(got.Passes, "returned "+e.Operator)
		case call.Held, call.Resumed, call.Merged:
			got.Passes = append(got.Passes, string(e.Type))
		}
	}
	var c struct {
		Responsible string `json:"responsible"`
		Stages      []struct {
			Operator string       `json:"operator"`
			Outcome  call.Outcome `json:"outcome"`
		} `json:"stages"`
	}
	must(s.t, s.API.Do(limit(s.t), "GET", "/api/v1/calls/"+s.id, nil, &c))
	got.Responsible = c.Responsible
	for _, g := range c.Stages {
		got.Stages = append(got.Stages, g.Operator+" "+string(g.Outcome))
	}
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		s.t.Errorf("the call is\n%s\nwant\n%s", g, w)
	}
	return events
}

// recorded compares the recording with what was heard: the client in every
// moment since he came, nobody beside him but whom he heard, none of them twice.
func (s *scene) recorded(events []call.Event) {
	s.t.Helper()
	rec := s.recording(s.id)
	zero := find(s.t, events, call.RecordingStarted, "").At
	if len(s.talks) == 0 {
		s.t.Fatal("nothing was listened to")
	}
	for _, m := range s.talks {
		from, to := m.from.Sub(zero)+slack/2, m.to.Sub(zero)-slack/2
		for who := range tones {
			rec.left.speaks(s.t, m.what, who, who == m.left, from, to)
			rec.right.speaks(s.t, m.what, who, slices.Contains(m.right, who), from, to)
		}
	}
	if s.talks[0].left == "client" {
		// From the first moment to the last, whatever happened in between.
		first, last := s.talks[0].from, s.talks[len(s.talks)-1].to
		rec.left.goesThrough(s.t, tones["client"], first.Sub(zero)+slack/2, last.Sub(zero)-slack/2)
	}
}

// speaks fails unless the person is there once in all of the time, or not at
// all. A hole of more than 40 ms is one.
func (c channel) speaks(t *testing.T, what, who string, there bool, from, to time.Duration) {
	t.Helper()
	low := 0
	for at := from; at+window <= to; at += window {
		level := 0.0
		if len(c.between(at, at+window)) > 0 {
			level = c.level(tones[who], at)
		}
		if low++; level > 6000 {
			low = 0
		}
		switch {
		case !there && level > 1000:
			t.Errorf("%s: %s: %s is recorded at %v (level %.0f)", what, c.name, who, at, level)
			return
		case there && low > 2:
			t.Errorf("%s: %s: %s is missing for 40 ms at %v (level %.0f)", what, c.name, who, at, level)
			return
		case there && level > 11000:
			t.Errorf("%s: %s: %s is there twice at %v (level %.0f)", what, c.name, who, at, level)
			return
		}
	}
}
