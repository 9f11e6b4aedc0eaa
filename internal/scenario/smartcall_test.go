package scenario

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/telephony/scripted"
)

// A round of these tests is the IVR text of 5 s, instructions of 3 s and 3 s
// for a key; the greeting takes 2 s before the first.
const round = 11 * sec

func smart(s *stage) {
	s.packet.IVRText, s.packet.DTMFConnect = "ivr", "5"
	s.packet.DTMFCancel, s.packet.DTMFReschedule = "*", "0"
	s.packet.ExtraInfo, s.packet.DTMFExtraInfo = "extra", "2"
	s.packet.AfterCallS = ptr(0)
	s.engine.Phone(clientNumber, scripted.Answers(sec).HangsUp(sec))
}

// "`ivr_text` and the Smartcall instructions are spoken, repeated up to the
// limit; below or at 16 repeats the client is then called, above it the call
// is ended with status 707."
func TestRepeatLimits(t *testing.T) {
	for _, tt := range []struct {
		connect, hangup *int
		rounds          int
		status          call.Status
	}{
		{nil, nil, 3, call.Completed},
		{ptr(1), nil, 1, call.Completed},
		{ptr(16), nil, 16, call.Completed},
		{nil, ptr(17), 17, call.RepeatLimit},
		{nil, ptr(24), 24, call.RepeatLimit},
	} {
		try(t, func(t *testing.T, s *stage) {
			smart(s)
			s.packet.RepeatsBeforeConnect, s.packet.RepeatsBeforeHangup = tt.connect, tt.hangup
			s.engine.Phone(managerNumber, scripted.Answers(0))
			out := s.run(t)
			ends := 2*sec + time.Duration(tt.rounds)*round
			if tt.status == call.Completed {
				ends += 3 * sec // the connecting text, the client's ringing, the talk; no client_delay_ms
			}
			s.ends(t, out, tt.status, ends)
			for _, text := range []string{"ivr", instructions(s.packet)} {
				n := 0
				for _, h := range s.engine.Heard("m1") {
					if h.Key == text && h.Whole {
						n++
					}
				}
				if n != tt.rounds {
					t.Errorf("%q was heard %d times, want %d", text, n, tt.rounds)
				}
			}
		})
	}
}

// "connect: the client is called only on this key"; it interrupts speech.
func TestTheConnectKey(t *testing.T) {
	for _, tt := range []struct {
		during string
		after  time.Duration
		heard  string
	}{
		{"greeting", sec, "greeting… 0s-1s"},
		{"ivr", 4 * sec, "ivr… 2s-4s"},
		{"instructions", 8 * sec, "INSTRUCTIONS… 7s-8s"},
		{"wait", 12 * sec, "silence… 10s-12s"},
		{"second round", 14 * sec, "ivr… 13s-14s"},
	} {
		t.Run(tt.during, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				smart(s)
				s.engine.Phone(managerNumber, scripted.Answers(0).Presses(tt.after, "5"))
				s.ends(t, s.run(t), call.Completed, tt.after+3*sec)
				s.has(t, fmt.Sprintf("%v key m1 5 connect", tt.after), fmt.Sprintf("%v prompt.started m1 connecting", tt.after))
				heard := strings.ReplaceAll(strings.Join(s.heard("m1"), "\n"), instructions(s.packet), "INSTRUCTIONS")
				if !strings.Contains(heard, tt.heard) {
					t.Errorf("want %s in\n%s", tt.heard, heard)
				}
			})
		})
	}
}

func TestCancelAndRescheduleDuringSmartcall(t *testing.T) {
	for key, status := range map[string]call.Status{"*": call.CancelledByManager, "0": call.RescheduledByManager} {
		for _, after := range []time.Duration{sec, 4 * sec, 8 * sec, 12 * sec, 25 * sec} {
			try(t, func(t *testing.T, s *stage) {
				smart(s)
				s.engine.Phone(managerNumber, scripted.Answers(0).Presses(after, key))
				s.ends(t, s.run(t), status, after)
				s.hasNot(t, "dialing c1")
			})
		}
	}
}

// "Extra info is spoken on its key"; then the course goes on.
func TestTheExtraInfoKey(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		smart(s)
		s.packet.RepeatsBeforeConnect = ptr(1)
		s.engine.Phone(managerNumber, scripted.Answers(0).
			Presses(4*sec, "2").  // cuts the IVR text
			Presses(5*sec, "2").  // from the beginning again
			Presses(10*sec, "2")) // cuts the instructions
		s.ends(t, s.run(t), call.Completed, 20*sec)
		want := []string{
			"greeting 0s-2s", "ivr… 2s-4s", "extra… 4s-5s", "extra 5s-9s",
			"INSTRUCTIONS… 9s-10s", "extra 10s-14s", "silence… 14s-17s", "connecting 17s-18s", "tone:ringback… 18s-19s",
		}
		got := strings.Split(strings.ReplaceAll(strings.Join(s.heard("m1"), "\n"), instructions(s.packet), "INSTRUCTIONS"), "\n")
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		s.has(t, "4s key m1 2 extra_info", "4s prompt.ended m1 ivr (interrupted)", "4s prompt.started m1 extra_info")
	})
}

func TestTheExtraInfoKeyWhileTheClientRings(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.packet.ExtraInfo, s.packet.DTMFExtraInfo = "extra", "2"
		s.engine.Phone(managerNumber, scripted.Answers(0).Presses(10*sec, "2").Presses(25*sec, "2"))
		s.engine.Phone(clientNumber, scripted.Answers(20*sec).HangsUp(sec))
		s.ends(t, s.run(t), call.Completed, 27*sec)
		want := []string{"tone:ringback… 6s-10s", "extra 10s-14s", "tone:ringback… 14s-25s", "extra… 25s-26s"}
		if d := cmp.Diff(want, s.heard("m1")[3:]); d != "" {
			t.Error(d)
		}
	})
}

// "or by itself with `#`".
func TestTheExtraInfoByItself(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		smart(s)
		s.packet.DTMFExtraInfo, s.packet.RepeatsBeforeConnect = "#", ptr(2)
		s.engine.Phone(managerNumber, scripted.Answers(0))
		s.ends(t, s.run(t), call.Completed, 2*sec+2*round+4*sec+3*sec)
		s.has(t, "7s prompt.started m1 instructions", "10s prompt.started m1 extra_info", "14s wait m1 (for a key)")
		if strings.Contains(instructions(s.packet), "информацию") {
			t.Error("the instructions speak of a key that nobody needs")
		}
	})
	try(t, func(t *testing.T, s *stage) { // without Smartcall and IVR
		s.packet.ExtraInfo, s.packet.DTMFExtraInfo = "extra", "#"
		s.engine.Phone(managerNumber, scripted.Answers(0))
		s.engine.Phone(clientNumber, scripted.Refuses(0, 486))
		s.ends(t, s.run(t), call.ClientBusy, 10*sec)
		s.has(t, "2s prompt.started m1 extra_info", "6s wait m1 (before the client is called)")
	})
}

// An IVR text without Smartcall: "If Smartcall is not connected, the client is
// called by itself."
func TestIVRWithoutSmartcall(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.packet.IVRText, s.packet.RepeatsBeforeConnect = "ivr", ptr(2)
		s.packet.DTMFCancel = "*"
		s.engine.Phone(managerNumber, scripted.Answers(0))
		s.engine.Phone(clientNumber, scripted.Refuses(0, 486))
		s.ends(t, s.run(t), call.ClientBusy, (2+5+3+5+3+3+1)*sec)
		s.hasNot(t, "instructions")
	})
}

func TestInstructionsSpeakOnlyOfKeysThatAreSet(t *testing.T) {
	for _, tt := range []struct {
		p    callback.Packet
		want string
	}{
		{callback.Packet{DTMFConnect: "5"}, "Чтобы позвонить клиенту, нажмите 5"},
		{
			callback.Packet{DTMFConnect: "*", DTMFExtraInfo: "2", ExtraInfo: "x", DTMFReschedule: "0", DTMFCancel: "#", Language: "ru-RU"},
			"Чтобы позвонить клиенту, нажмите звёздочку. Чтобы узнать о клиенте, нажмите 2. " +
				"Чтобы отложить звонок, нажмите 0. Чтобы отменить звонок, нажмите решётку",
		},
		{callback.Packet{DTMFConnect: "5", DTMFExtraInfo: "2", Language: "en"}, "To call the client, press 5"},
		{callback.Packet{DTMFConnect: "#", DTMFCancel: "*", Language: "de"}, "To call the client, press hash. To cancel the call, press star"},
	} {
		if got := instructions(tt.p); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	after := callback.Packet{DTMFCancel: "1", DTMFCancelRecalls: "9", DTMFReschedule: "0"}
	if got, want := afterCallInstructions(after), "Клиент завершил разговор. Чтобы больше не звонить клиенту, нажмите 9. Чтобы запланировать новый звонок, нажмите 0"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What the door has checked is all that will be spoken.
func TestTextsIsEverythingThatIsSpoken(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		smart(s)
		s.packet.AfterCallS, s.packet.RepeatsBeforeConnect = ptr(15), ptr(1)
		s.engine.Phone(managerNumber, scripted.Answers(0).Presses(3*sec, "2"))
		s.run(t)
		p, err := s.packet.Normalize("RU")
		if err != nil {
			t.Fatal(err)
		}
		want := make(map[string]bool)
		for _, text := range Texts(p) {
			want[text] = true
		}
		said := make(map[string]bool)
		for _, e := range s.journal.events {
			if e.Type == call.PromptStarted {
				said[e.Text] = true
			}
		}
		if d := cmp.Diff(want, said); d != "" {
			t.Error(d)
		}
	})
}
