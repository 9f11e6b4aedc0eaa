package scenario

import (
	"slices"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/telephony/scripted"
)

// An operator's keys reach the other side, unless they are a code.
func TestKeysThatAreNoCodeAreSentOn(t *testing.T) {
	for name, tt := range map[string]struct {
		by   scripted.Phone
		sent []string
	}{
		"a key that begins no code goes at once": {answers(0).Presses(5*sec, "5"), []string{"5 5s"}},
		"a code begun and not gone on with":      {answers(0).Presses(5*sec, "*"), []string{"* 6s"}},
		"a code begun and gone on with otherwise": {
			answers(0).Presses(5*sec, "*").Presses(5500*time.Millisecond, "7"), []string{"*7 5.5s"},
		},
		"a code that came too slowly": {
			answers(0).Presses(5*sec, "*").Presses(6500*time.Millisecond, "2"), []string{"* 6s", "2 6.5s"},
		},
		"the keys before a code": {answers(0).Presses(5*sec, "1*##102#"), []string{"1 5s", "* 5.2s"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, w := range ways[:3] {
				try(t, func(t *testing.T, s *stage) {
					s.staff()
					s.engine.Phone("102", answers(0))
					w.run(s, t, tt.by.HangsUp(20*sec), answers(0).HangsUp(30*sec))
					var sent []string
					for _, d := range s.engine.SentDigits() {
						if d.Leg != "c1" {
							t.Errorf("sent to %s", d.Leg)
						}
						sent = append(sent, d.Digits+" "+d.From.String())
					}
					same(t, w.name, sent, tt.sent)
				})
			}
		})
	}
}

// The codes are heard only on operators' legs, never the client's.
func TestTheClientsKeysAreNoCodes(t *testing.T) {
	for _, w := range ways[:3] {
		t.Run(w.name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				s.staff()
				s.engine.Phone("102", answers(0))
				w.run(s, t, answers(0).HangsUp(20*sec), answers(0).Presses(5*sec, "*2102#").Presses(10*sec, "##102#").HangsUp(30*sec))
				same(t, "talks", s.talksOf(w), []string{"101-kept 0s-20s"})
				s.hasNot(t, "transfer")
			})
		})
	}
}

// Another code than the default's, and one that is off.
func TestTheCodesAreSettings(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.staff()
		s.features = DefaultFeatures
		s.features.Blind, s.features.Attended = "*9", ""
		s.engine.Phone("102", answers(3*sec))
		w := ways[1]
		w.run(s, t, answers(0).Presses(3*sec, "*2##").Presses(10*sec, "*9102#"), answers(0).HangsUp(30*sec))
		same(t, "talks", s.talksOf(w), []string{"101-kept 0s-10s", "102-kept 13s-30s"})
		var sent string
		for _, d := range s.engine.SentDigits() {
			sent += d.Digits
		}
		if sent != "*2##" {
			t.Errorf("sent on %s", sent)
		}
	})
}

// The client's part is recorded throughout, an operator's while he talks with
// the client, what he says in private apart.
func TestTheRecordingFollowsTheTransfer(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.staff()
		s.engine.Phone("102", answers(3*sec))
		w := ways[1]
		w.run(s, t, answers(0).Presses(5*sec, "*2102#").HangsUp(20*sec), answers(0).HangsUp(30*sec))
		var got []string
		for _, r := range s.engine.Recorded() {
			if r.From != r.To {
				on := r.Track.(track)
				got = append(got, r.Leg+" "+[]string{"left", "right", "private"}[on.side]+" "+r.From.String()+"-"+r.To.String())
			}
		}
		slices.Sort(got)
		same(t, "recorded", got, []string{
			"c1 left 0s-30s",
			"o1 private 5s-20s", "o1 right 0s-5s",
			"o2 private 8s-20s", "o2 right 20s-30s",
		})
	})
}
