package scenario

import (
	"testing"

	"github.com/perezvon/perezvon/internal/call"
)

// The phone's own hold key: the other side hears music until it is resumed.
func TestHoldByThePhonesOwnKey(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				s.staff()
				out := w.run(s, t, answers(0).Holds(5*sec, 4*sec).Holds(15*sec, sec), answers(0).HangsUp(30*sec))
				s.ends(t, out, call.Completed, 30*sec)
				same(t, "talks", s.talksOf(w), []string{"101-kept 0s-30s"})
				by, kept := s.legOf(w, "101"), s.legOf(w, "kept")
				same(t, "heard", s.heardAfter(kept), []string{"tone:music 5s-9s", "tone:music 15s-16s"})
				s.has(t, "5s hold "+by, "9s resumed "+by, "15s hold "+by, "16s resumed "+by)
				if w.kept == "client" {
					same(t, "stages", s.stagesOf(), []string{"101 0s-30s done"})
				}
			})
		})
	}
}

// Both hold: each hears music as long as the other holds.
func TestBothHold(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.staff()
		w := ways[3]
		w.run(s, t, answers(0).Holds(5*sec, 10*sec), answers(0).Holds(8*sec, 4*sec).HangsUp(30*sec))
		same(t, "heard", s.heardAfter(s.legOf(w, "kept")), []string{"tone:music 5s-15s"})
		same(t, "heard", s.heardAfter(s.legOf(w, "101")), []string{"tone:music 8s-12s"})
	})
}

// Many phones hold before they send REFER, and are on hold still when the
// transfer comes to nothing.
func TestHoldThenReferThatFails(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.staff()
		s.engine.Phone("102", busyPhone)
		w := ways[1]
		w.run(s, t, answers(0).Holds(5*sec, 20*sec).Refers(7*sec, "102", ""), answers(0).HangsUp(30*sec))
		same(t, "heard", s.heardAfter("c1"), []string{"tone:music 5s-7s", "tone:music 8s-25s"})
		same(t, "told", s.engine.Referred("o1"), []int{486})
	})
}

// Hold while a colleague is consulted: the colleague hears music.
func TestHoldDuringAConsultation(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.staff()
		s.engine.Phone("102", answers(0))
		w := ways[1]
		w.run(s, t, answers(0).Presses(5*sec, "*2102#").Holds(8*sec, 2*sec).HangsUp(20*sec), answers(0).HangsUp(30*sec))
		same(t, "heard", s.heardAfter("o2"), []string{"tone:music 8s-10s"})
		same(t, "talks", s.talksOf(w), []string{"101-102 5s-20s", "101-kept 0s-5s", "102-kept 20s-30s"})
	})
}
