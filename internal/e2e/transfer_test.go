package e2e

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/apiclient"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/serverproc"
	"github.com/perezvon/perezvon/internal/softphone"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest/peers"
)

// Tones of the colleagues.
const (
	secondTone = 1300
	thirdTone  = 1700
	fourthTone = 2100
)

// presses is says with keys.
func presses(freq float64, d time.Duration, keys ...softphone.Key) softphone.Script {
	s := says(freq, d)
	s.Keys = keys
	return s
}

// A client calls in and is passed on three times: attended, blind, attended. Each hears whom he should; the recording has the client
// throughout and each operator in his stage, and no private word; the stages
// and the responsible are exact.
func TestAClientIsPassedOnThreeTimes(t *testing.T) { onBothEngines(t, aClientIsPassedOnThreeTimes) }

func aClientIsPassedOnThreeTimes(t *testing.T, start engine) {
	t.Helper()
	srv := start(t, serverproc.Options{})
	srv.operator("101", presses(managerTone, 7*time.Second, softphone.Key{After: 3 * time.Second, Digits: "*2102#"}), nil)
	srv.operator("102", presses(secondTone, 0, softphone.Key{After: 5 * time.Second, Digits: "##103#"}), nil)
	srv.operator("103", presses(thirdTone, 6*time.Second, softphone.Key{After: 2 * time.Second, Digits: "*2104#"}), nil)
	srv.operator("104", says(fourthTone, 6*time.Second), nil)
	client := srv.carrier("city", softphone.Script{})
	srv.route(packet{"operator": "101"})

	recorder, err := softphone.NewRecorder()
	must(t, err)
	began := time.Now()
	leg, err := client.Call(limit(t), "+74951112233")
	must(t, err)
	script := says(clientTone, 0)
	leg.Record(recorder)
	if err := script.Talk(limit(t), leg); err == nil {
		t.Error("the client was not hung up when the last operator was")
	}
	file := filepath.Join(t.TempDir(), "heard.wav")
	must(t, recorder.Save(limit(t), file))

	id := srv.only(call.Inbound)
	events := srv.expect(id, call.Completed)
	var joined, parted []call.Event
	for _, e := range events {
		switch e.Type {
		case call.Joined:
			joined = append(joined, e)
		case call.Parted:
			parted = append(parted, e)
		}
	}
	if len(joined) != 4 || len(parted) != 4 {
		t.Fatalf("%d joined, %d parted: %+v", len(joined), len(parted), events)
	}
	var c struct {
		Responsible string `json:"responsible"`
		Stages      []struct {
			Operator string       `json:"operator"`
			Outcome  call.Outcome `json:"outcome"`
		} `json:"stages"`
	}
	must(t, srv.API.Do(limit(t), "GET", "/api/v1/calls/"+id, nil, &c))
	var stages []string
	for _, g := range c.Stages {
		stages = append(stages, g.Operator+" "+string(g.Outcome))
	}
	if want := []string{"101 transferred", "102 transferred", "103 transferred", "104 done"}; c.Responsible != "104" || !slices.Equal(stages, want) {
		t.Errorf("responsible %s, stages %v, want %v", c.Responsible, stages, want)
	}

	// What the client heard.
	wav, err := os.ReadFile(file)
	must(t, err)
	heard := readStereo(t, wav).left
	key := find(t, events, call.KeyPressed, "").At // *2
	const edge = 200 * time.Millisecond
	heard.has(t, managerTone, joined[0].At.Sub(began)+edge, key.Sub(began)-2*edge)
	heard.hasNot(t, managerTone, key.Sub(began)+edge, joined[1].At.Sub(began))
	heard.hasNot(t, secondTone, 0, joined[1].At.Sub(began)-edge)
	heard.has(t, secondTone, joined[1].At.Sub(began)+edge, parted[1].At.Sub(began)-2*time.Second)   // before the keys
	heard.has(t, thirdTone, joined[2].At.Sub(began)+edge, joined[2].At.Sub(began)+edge+time.Second) // before the keys
	heard.has(t, fourthTone, joined[3].At.Sub(began)+edge, parted[3].At.Sub(began)-edge)
	// At the attended transfers the colleague follows the music at once.
	most := srv.gap()
	for _, i := range []int{1, 3} {
		if gap := heard.gap(joined[i].At.Sub(began)-edge, joined[i].At.Sub(began)+edge+most); gap > most {
			t.Errorf("the client heard nothing for %v when he was passed on to %s", gap, c.Stages[i].Operator)
		}
	}

	// What is recorded.
	rec := srv.recording(id)
	zero := find(t, events, call.RecordingStarted, "").At
	at := func(e call.Event) time.Duration { return e.At.Sub(zero) }
	rec.right.has(t, managerTone, at(joined[0])+edge, key.Sub(zero)-2*edge)
	rec.right.hasNot(t, managerTone, key.Sub(zero)+edge, at(parted[3]))
	rec.right.hasNot(t, secondTone, 0, at(joined[1])-edge)
	rec.right.has(t, secondTone, at(joined[1])+edge, at(parted[1])-2*time.Second)
	rec.right.hasNot(t, secondTone, at(parted[1])+edge, at(parted[3]))
	rec.right.has(t, thirdTone, at(joined[2])+edge, at(joined[2])+edge+time.Second)
	rec.right.hasNot(t, fourthTone, 0, at(joined[3])-edge)
	rec.right.has(t, fourthTone, at(joined[3])+edge, at(parted[3])-edge)
	rec.left.goesThrough(t, clientTone, edge, at(parted[3])-edge)
	if gap := rec.right.gap(at(joined[1])-edge, at(joined[1])+edge+most); gap > edge+most {
		t.Errorf("nothing is recorded of the second operator for %v", gap-edge)
	}
}

// gap is the longest silence between the two moments.
func (c channel) gap(from, to time.Duration) (longest time.Duration) {
	const step = 5 * time.Millisecond
	run := time.Duration(0)
	for at := from; at+step <= to; at += step {
		if run += step; rms(c.between(at, at+step)) > 100 {
			run = 0
		}
		longest = max(longest, run)
	}
	return longest
}

// goesThrough fails unless the tone is there in each window, whatever else is.
func (c channel) goesThrough(t *testing.T, freq float64, from, to time.Duration) {
	t.Helper()
	c.without(t, freq, c.moved, from, to, func(at time.Duration) (bool, string) {
		level := 0.0
		if len(c.between(at, at+window)) > 0 {
			level = c.level(freq, at)
		}
		return level >= 3000, fmt.Sprintf("level %.0f", level)
	})
}

// level is the amplitude of a tone in the window that begins at a moment.
func (c channel) level(freq float64, at time.Duration) float64 {
	w := c.between(at, at+window)
	return math.Sqrt2 * rms(w) * math.Sqrt(tone.Strength(w, c.rate, freq))
}

// A phone's transfer key (REFER): the outcome of ##, heard and recorded in one
// call; the phone is told and hangs up.
func TestATransferByThePhonesOwnKey(t *testing.T) { onBothEngines(t, aTransferByThePhonesOwnKey) }

func aTransferByThePhonesOwnKey(t *testing.T, start engine) {
	t.Helper()
	srv := start(t, serverproc.Options{})
	srv.extension("101", nil)
	srv.operator("102", says(secondTone, 4*time.Second), nil)
	srv.carrier("city", says(clientTone, 0))

	phone := peers.Caller{
		Server: addrOf(t, srv.SIP), Number: "84951112233", From: "101", Username: "101", Password: phonePassword, Tone: managerTone, Refer: "102",
	}.Start(t)
	id := srv.only(call.Outbound)
	events := srv.expect(id, call.Completed)
	must(t, phone.Wait(limit(t)))
	find(t, events, call.TransferStarted, "o1")
	find(t, events, call.TransferDone, "o2")
	joined := find(t, events, call.Joined, "o2")
	var parted call.Event
	for _, e := range events {
		if e.Type == call.Parted && e.Leg == "o2" {
			parted = e
		}
	}
	var c apiclient.Call
	must(t, srv.API.Do(limit(t), "GET", "/api/v1/calls/"+id, nil, &c))
	if c.Responsible != "102" {
		t.Errorf("responsible is %s", c.Responsible)
	}
	rec := srv.recording(id)
	zero := find(t, events, call.RecordingStarted, "").At
	const edge = 200 * time.Millisecond
	rec.right.has(t, secondTone, joined.At.Sub(zero)+edge, parted.At.Sub(zero)-edge)
	rec.left.goesThrough(t, clientTone, edge, parted.At.Sub(zero)-edge)
}
