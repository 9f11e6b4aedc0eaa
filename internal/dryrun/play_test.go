package dryrun_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/dryrun"
	"github.com/perezvon/perezvon/internal/numbering"
)

var at = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// scene is one manager outside and a client, everybody at his default.
func scene(t interface{ Fatalf(string, ...any) }, p callback.Packet) dryrun.Scene {
	p, err := p.Normalize("RU")
	if err != nil {
		t.Fatalf("the test's packet: %v", err)
	}
	client, _ := p.ClientNumber()
	return dryrun.Scene{
		Created: call.Event{CallID: "call", At: at, Type: call.Created, Direction: call.Callback, CallbackID: "callback", Widget: "site", Attempt: p.Attempt, Number: client},
		StartAt: at, Packet: p,
	}
}

func simple() callback.Packet {
	return callback.Packet{Managers: callback.Managers{{Number: "+74951234567"}}, Client: "+79161234567", Trunk: "main", Greeting: "Звонок с сайта"}
}

func play(t *testing.T, s dryrun.Scene) (events []call.Event) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var err error
		if events, err = dryrun.Play(t.Context(), s); err != nil {
			t.Error(err)
		}
	})
	return events
}

func line(e call.Event) string {
	words := []string{fmt.Sprint(e.Seq), e.At.Sub(at).String(), string(e.Type)}
	for _, w := range []string{e.Leg, e.Trunk, e.Prompt, e.Action} {
		if w != "" {
			words = append(words, w)
		}
	}
	if e.Status != nil {
		words = append(words, e.Status.String())
	}
	return strings.Join(words, " ")
}

func timeline(events []call.Event) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintln(&b, line(e))
	}
	return b.String()
}

// "A dry run that returns the timeline the scenario would take for given
// answers of manager and client".
func TestADryRunIsTheTimelineTheScenarioWouldTake(t *testing.T) {
	s := scene(t, simple())
	s.SpeechMS = map[string]int64{"Звонок с сайта": 2000, "Звонок клиенту": 1000}
	want := `1 0s call.created
2 0s callerid.chosen m1
3 0s callerid.chosen c1
4 0s leg.dialing m1 main
5 0s leg.ringing m1
6 3s leg.answered m1
7 3s recording.started
8 3s prompt.started m1 greeting
9 5s prompt.ended m1 greeting
10 5s wait m1
11 8s prompt.started m1 connecting
12 9s prompt.ended m1 connecting
13 9s leg.dialing c1 main
14 9s leg.ringing c1
15 12s leg.answered c1
16 12s joined m1
17 1m12s leg.ended c1
18 1m12s parted m1
19 1m12s leg.ended m1
20 1m12s call.ended 200 completed
`
	if got := timeline(play(t, s)); !sameButOrder(got, want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// sameButOrder leaves the order within one instant alone: who hung up and the
// parting are told by two goroutines.
func sameButOrder(a, b string) bool {
	sorted := func(s string) []string {
		lines := strings.Split(s, "\n")
		for i, l := range lines {
			_, lines[i], _ = strings.Cut(l, " ")
		}
		slices.Sort(lines)
		return lines
	}
	return slices.Equal(sorted(a), sorted(b))
}

func seconds(s float64) *float64 { return &s }

func TestEachAnswerHasItsStatus(t *testing.T) {
	keys := func(p *callback.Packet) { p.DTMFCancel, p.DTMFReschedule, p.DTMFConnect = "0", "9", "5" }
	asIs := func(*callback.Packet) {}
	for _, tt := range []struct {
		name            string
		change          func(*callback.Packet)
		manager, client dryrun.Script
		down            []string
		want            call.Status
	}{
		{"nobody does anything", asIs, dryrun.Script{}, dryrun.Script{}, nil, call.Completed},
		{"the manager does not answer", asIs, dryrun.Script{Answer: dryrun.NoAnswer}, dryrun.Script{}, nil, call.ManagerNoAnswer},
		{"he answers too late", asIs, dryrun.Script{AfterS: seconds(31)}, dryrun.Script{}, nil, call.ManagerNoAnswer},
		{"he is busy", asIs, dryrun.Script{Answer: dryrun.Busy}, dryrun.Script{}, nil, call.ManagerBusy},
		{"he declines", asIs, dryrun.Script{Answer: dryrun.Declined}, dryrun.Script{}, nil, call.ManagerDeclined},
		{"his phone is off", asIs, dryrun.Script{Answer: dryrun.Unavailable}, dryrun.Script{}, nil, call.ManagerNoAnswer},
		{"his number does not exist", asIs, dryrun.Script{Answer: dryrun.Unknown}, dryrun.Script{}, nil, call.ManagerNoAnswer},
		{"the network fails", asIs, dryrun.Script{Answer: dryrun.Fails}, dryrun.Script{}, nil, call.ManagerTrunkFailure},
		{"the trunk is down", asIs, dryrun.Script{}, dryrun.Script{}, []string{"main"}, call.ManagerTrunkFailure},
		{"he hangs up", asIs, dryrun.Script{HangsUpAfterS: seconds(1)}, dryrun.Script{}, nil, call.ManagerHungUp},
		{"he cancels", keys, dryrun.Script{Keys: []dryrun.Press{{Key: "0", AfterS: 1}}}, dryrun.Script{}, nil, call.CancelledByManager},
		{"he reschedules", keys, dryrun.Script{Keys: []dryrun.Press{{Key: "9", AfterS: 1}}}, dryrun.Script{}, nil, call.RescheduledByManager},
		{"he connects", keys, dryrun.Script{Keys: []dryrun.Press{{Key: "5", AfterS: 1}}}, dryrun.Script{Answer: dryrun.Busy}, nil, call.ClientBusy},
		{"he presses nothing", func(p *callback.Packet) { keys(p); p.RepeatsBeforeHangup = new(int); *p.RepeatsBeforeHangup = 17 }, dryrun.Script{}, dryrun.Script{}, nil, call.RepeatLimit},
		{"the client does not answer", asIs, dryrun.Script{}, dryrun.Script{Answer: dryrun.NoAnswer}, nil, call.ClientNoAnswer},
		{"he declines", asIs, dryrun.Script{}, dryrun.Script{Answer: dryrun.Declined}, nil, call.ClientDeclined},
		{"his phone is off", asIs, dryrun.Script{}, dryrun.Script{Answer: dryrun.Unavailable}, nil, call.ClientUnavailable},
		{"his number does not exist", asIs, dryrun.Script{}, dryrun.Script{Answer: dryrun.Unknown}, nil, call.ClientUnknown},
		{"the network fails", func(p *callback.Packet) { p.TrunksManager = []string{"other"} }, dryrun.Script{}, dryrun.Script{}, []string{"main"}, call.ClientTrunkFailure},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := simple()
			tt.change(&p)
			s := scene(t, p)
			s.Manager, s.Client, s.TrunksDown = []dryrun.Script{tt.manager}, tt.client, tt.down
			events := play(t, s)
			if end := events[len(events)-1]; end.Status == nil || *end.Status != tt.want {
				t.Errorf("want %v, got\n%s", tt.want, timeline(events))
			}
		})
	}
}

// Scripts are by manager, in the order of the groups, whoever has more phones
// or is on the list twice.
func TestEachManagerHasHisScript(t *testing.T) {
	p := simple()
	p.Managers = callback.Managers{{Number: "101", Group: "b"}, {Number: "+79161234567"}, {Number: "102", Group: "b"}}
	p.TrunksManager = []string{"down", "up"}
	s := scene(t, p)
	s.Phones, s.TrunksDown = map[string][]string{"101": {"+74950000001", "+74950000002"}}, []string{"down"}
	s.Manager = []dryrun.Script{{Answer: dryrun.Declined}, {Answer: dryrun.NoAnswer}, {Answer: dryrun.Busy}}
	got := timeline(play(t, s))
	for _, want := range []string{
		" leg.failed m1\n", " leg.failed m2 down\n", " leg.failed m2.2 up\n", " leg.failed m3.2 up\n", // 101 declines on all his phones
		" 2s leg.dialing m4\n", " 32s leg.failed m4\n", // then 102 rings to the timeout
		" 32s leg.dialing m5 down\n", " 702 manager_busy\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q in\n%s", want, got)
		}
	}
}

// A closed widget begins at its opening; the choice of caller ID is that of the
// account's locations.
func TestADryRunBeginsAtTheOpeningAndKnowsTheLocations(t *testing.T) {
	p := simple()
	p.Managers[0].Number = "+77273334455"
	s := scene(t, p)
	s.StartAt, s.Begin = at.Add(15*time.Hour), []call.Event{{Type: call.Note}}
	s.Locations = []numbering.Location{{ID: "ru", Number: "+74951110000"}, {ID: "kz", Number: "+77272220000"}}
	events := play(t, s)
	got := timeline(events)
	if !strings.HasPrefix(got, "1 0s call.created\n2 15h0m0s note\n3 15h0m0s callerid.chosen m1\n") {
		t.Error(got)
	}
	var shown []string
	for _, e := range events {
		if e.Type == call.Dialing {
			shown = append(shown, e.CallerID)
		}
	}
	if !slices.Equal(shown, []string{"+77272220000", "+74951110000"}) {
		t.Errorf("shown: %v", shown)
	}
}

func TestAnOrderThatBreaksARuleIsNamedByField(t *testing.T) {
	for want, body := range map[string]string{
		"":                            `{"packet": {"client": "1", "managers": "101_102"}, "manager": [{"answer": "busy", "after_s": 2.5}, {"keys": [{"key": "#", "after_s": 1}]}], "client": {"hangs_up_after_s": 5}, "at": "2026-11-24T09:00:00+03:00"}`,
		"packet.managers[0]":          `{"packet": {"managers": "_101"}}`,
		"packet.managers":             `{"packet": {"managers": [{"phone": 1}]}}`,
		"packet.client":               `{"packet": {"client": 1}}`,
		"manager[1].answer":           `{"manager": [{}, {"answer": "sleeps"}]}`,
		"manager[0].keys":             `{"manager": [{"answer": "busy", "keys": [{"key": "1"}]}]}`,
		"manager[0].keys[1].key":      `{"manager": [{"keys": [{"key": "1"}, {"key": "12"}]}]}`,
		"manager[0].keys[0].after_s":  `{"manager": [{"keys": [{"key": "1", "after_s": -1}]}]}`,
		"client.after_s":              `{"client": {"after_s": 601}}`,
		"client.hangs_up_after_s":     `{"client": {"answer": "declined", "hangs_up_after_s": 1}}`,
		"manager[0].hangs_up_after_s": `{"manager": [{"hangs_up_after_s": 1e9}]}`,
		"manager":                     `{"manager": [` + strings.Repeat("{},", 20) + `{}]}`,
		"trunks_down":                 `{"trunks_down": [` + strings.Repeat(`"a",`, 32) + `"a"]}`,
		"at":                          `{"at": "2020-01-01T00:00:00Z"}`,
	} {
		var o dryrun.Order
		err := json.Unmarshal([]byte(body), &o)
		if err == nil {
			err = o.Check(at)
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want+": ")) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// What a scene needs survives the way to the child.
func TestASceneIsPlayedTheSameAfterItsWayThroughJSON(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := scenes(rt)
		b, err := json.Marshal(s)
		if err != nil {
			rt.Fatal(err)
		}
		var back dryrun.Scene
		if err := json.Unmarshal(b, &back); err != nil {
			rt.Fatal(err)
		}
		if again, err := json.Marshal(back); err != nil || string(again) != string(b) {
			rt.Errorf("%s\nis\n%s", again, b)
		}
	})
}

var moments = rapid.SampledFrom([]float64{0, 0.5, 1, 2, 3, 5, 8, 13, 30, 60})

func answers(t *rapid.T, who string) dryrun.Script {
	a := dryrun.Script{Answer: rapid.SampledFrom([]string{
		"", dryrun.Answers, dryrun.Answers, dryrun.NoAnswer, dryrun.Busy, dryrun.Declined, dryrun.Unavailable, dryrun.Unknown, dryrun.Fails,
	}).Draw(t, who)}
	if rapid.Bool().Draw(t, who+" after") {
		a.AfterS = seconds(moments.Draw(t, who+" after"))
	}
	if a.Answer != "" && a.Answer != dryrun.Answers {
		return a
	}
	for range rapid.IntRange(0, 4).Draw(t, who+" presses") {
		a.Keys = append(a.Keys, dryrun.Press{Key: rapid.SampledFrom([]string{"0", "2", "5", "9", "*", "#"}).Draw(t, "key"), AfterS: moments.Draw(t, "pressed")})
	}
	if rapid.Bool().Draw(t, who+" hangs up") {
		a.HangsUpAfterS = seconds(moments.Draw(t, who+" hangs up"))
	}
	return a
}

func scenes(t *rapid.T) dryrun.Scene {
	p := simple()
	p.Managers = nil
	phones := map[string][]string{}
	for i := range rapid.IntRange(1, 4).Draw(t, "managers") {
		n := strconv.Itoa(rapid.IntRange(0, 5).Draw(t, "manager"))
		m := callback.ManagerTarget{Number: rapid.SampledFrom([]string{"+7495000000", "+7727333444", "+4930901820"}).Draw(t, "country") + n}
		if rapid.Bool().Draw(t, "operator") {
			m = callback.ManagerTarget{SIP: "10" + n}
			phones[m.SIP] = rapid.SampledFrom([][]string{nil, {"+7916000000" + n}}).Draw(t, "phones")
		}
		m.Group = rapid.SampledFrom([]string{"", "first", strconv.Itoa(i)}).Draw(t, "group")
		m.Extension = rapid.SampledFrom([]string{"", "1", "2,3"}).Draw(t, "extension")
		p.Managers = append(p.Managers, m)
	}
	p.Client = rapid.SampledFrom([]string{"+79161234567", "+74950000001", "+77012345678", "+35722000001^7"}).Draw(t, "client")
	p.DialMode = rapid.SampledFrom([]string{"sequential", "parallel"}).Draw(t, "mode")
	p.TrunksClient = rapid.SampledFrom([][]string{nil, {"a", "b"}}).Draw(t, "trunks")
	p.FailoverOn = rapid.SampledFrom([]string{callback.FailoverNetwork, callback.FailoverAny}).Draw(t, "failover")
	text := rapid.StringOfN(rapid.RuneFrom([]rune("абв def. ")), 0, 40, -1)
	p.Greeting, p.IVRText, p.ExtraInfo = text.Draw(t, "greeting"), text.Draw(t, "ivr"), text.Draw(t, "extra")
	p.Language = rapid.SampledFrom([]string{"ru", "en"}).Draw(t, "language")
	if rapid.Bool().Draw(t, "hangs up at the limit") {
		repeats := rapid.IntRange(17, 24).Draw(t, "limit")
		p.RepeatsBeforeHangup = &repeats
	}
	keys := []*string{&p.DTMFConnect, &p.DTMFExtraInfo, &p.DTMFCancel, &p.DTMFCancelRecalls, &p.DTMFReschedule}
	for i, k := range rapid.Permutation([]string{"5", "#", "*", "9", "0"}).Draw(t, "keys") {
		if rapid.Bool().Draw(t, "key set") {
			*keys[i] = k
		}
	}
	p.DTMFToManager = rapid.SampledFrom([]string{"", "1,2"}).Draw(t, "to the manager")
	for _, n := range []**int{&p.ClientDelayMS, &p.ExtensionDelayMS, &p.AfterCallS} {
		if rapid.Bool().Draw(t, "delay") {
			ms := rapid.IntRange(0, 60).Draw(t, "delay")
			*n = &ms
		}
	}
	for _, b := range []**bool{&p.SubstituteForClient, &p.SubstituteForManager, &p.VoiceControl, &p.Transcribe} {
		if rapid.Bool().Draw(t, "switch") {
			on := rapid.Bool().Draw(t, "on")
			*b = &on
		}
	}
	p.Attempt = rapid.IntRange(1, 3).Draw(t, "attempt")
	s := scene(t, p)
	s.Phones = phones
	s.StartAt = at.Add(time.Duration(rapid.SampledFrom([]int{0, 0, 3600}).Draw(t, "waits")) * time.Second)
	s.TrunksDown = rapid.SampledFrom([][]string{nil, nil, nil, {"a"}, {"main"}, {"a", "b"}}).Draw(t, "down")
	s.Locations = rapid.SampledFrom([][]numbering.Location{nil, {{ID: "ru", Number: "+74951110000"}, {ID: "kz", Number: "+77272220000"}}}).Draw(t, "locations")
	for i := range rapid.IntRange(0, 5).Draw(t, "scripts") {
		s.Manager = append(s.Manager, answers(t, fmt.Sprint("manager ", i)))
	}
	s.Client = answers(t, "client")
	return s
}

// "1,000 random packets through the dry run end in exactly one final status
// each with a gapless timeline."
func TestRandomPacketsEndInOneStatusWithAGaplessTimeline(t *testing.T) {
	seen, ran := make(map[call.Status]int), 0
	for range 10 { // of 100 each
		rapid.Check(t, func(rt *rapid.T) {
			s := scenes(rt)
			ran++
			events := play(t, s)
			whole(rt, s, events)
			if rt.Failed() {
				rt.Logf("%s", timeline(events))
				return
			}
			seen[*events[len(events)-1].Status]++
		})
	}
	t.Log(ran, seen)
	if ran < 1000 || len(seen) < 12 {
		t.Errorf("%d ran, which came to %v", ran, seen)
	}
}

// whole is true of the timeline of every call.
func whole(t *rapid.T, s dryrun.Scene, events []call.Event) {
	const dialled, answered, over = 1, 2, 3
	legs := make(map[string]int)
	created, ended, joined := 0, 0, 0
	var last call.Event
	step := func(e call.Event, to int, from ...int) {
		if !slices.Contains(from, legs[e.Leg]) {
			t.Errorf("%s after state %d", line(e), legs[e.Leg])
		}
		legs[e.Leg] = to
	}
	for i, e := range events {
		if e.Seq != int64(i+1) || e.CallID != "call" || e.At.Before(last.At) {
			t.Errorf("out of order: %s after %s", line(e), line(last))
		}
		last = e
		switch e.Type {
		case call.Created:
			created++
		case call.Ended:
			ended++
			if e.Status == nil || !slices.Contains(call.Statuses(), *e.Status) || *e.Status == call.Interrupted {
				t.Errorf("ended as %v: %s", e.Status, e.Reason)
			}
		case call.Dialing:
			step(e, dialled, 0)
		case call.Answered:
			step(e, answered, dialled)
		case call.DialFailed:
			step(e, over, dialled, 0) // 0: there was no trunk to go out by
		case call.DialCancelled:
			step(e, over, dialled)
		case call.LegEnded:
			step(e, over, answered, dialled) // dialled: it answered second, in the same instant
		case call.Joined:
			joined++
		case call.Parted:
			joined--
		}
	}
	if created != 1 || events[0].Type != call.Created || ended != 1 || last.Type != call.Ended || joined != 0 {
		t.Errorf("%d beginnings, %d ends, %d joined", created, ended, joined)
	}
	for leg, state := range legs {
		if state != over {
			t.Errorf("%s did not end", leg)
		}
	}
	if !events[0].At.Equal(at) || len(events) > 1 && events[1].At.Before(s.StartAt) {
		t.Errorf("it begins at %v, %v", events[0].At, events[1].At)
	}
}
