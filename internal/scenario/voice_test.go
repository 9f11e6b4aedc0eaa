package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/scripted"
)

// understands is a recogniser that hears these texts one after another; after
// the last it hears nothing. A text that begins with ! is a failure, "…" a
// service that never answers.
type understands struct {
	mu     sync.Mutex
	texts  []string
	phrase []string
	clips  []time.Duration
}

func (*understands) Name() string       { return "scripted" }
func (*understands) Check(string) error { return nil }
func (u *understands) Transcribe(context.Context, speech.Sound, speech.Question) ([]speech.Segment, error) {
	return nil, errors.New("not of this test")
}

func (u *understands) Recognize(ctx context.Context, clip *audio.Clip, q speech.Question) (string, error) {
	u.mu.Lock()
	u.clips = append(u.clips, clip.Duration())
	u.phrase = q.Phrases
	text := ""
	if len(u.texts) > 0 {
		text, u.texts = u.texts[0], u.texts[1:]
	}
	u.mu.Unlock()
	switch {
	case text == "…":
		<-ctx.Done()
		return "", context.Cause(ctx)
	case text != "" && text[0] == '!':
		return "", errors.New(text[1:])
	}
	return text, nil
}

// spokenTo is a stage whose keys may be spoken: 5 connects, 0 cancels.
func spokenTo(s *stage, texts ...string) *understands {
	u := &understands{texts: texts}
	s.hearing = speech.NewHearing(u, "")
	s.packet.VoiceControl = new(true)
	s.packet.DTMFConnect, s.packet.DTMFCancel, s.packet.IVRText = "5", "0", "ivr"
	s.packet.RepeatsBeforeHangup = ptr(17)
	return u
}

// A manager says a word 3 s after his answer, for 400 ms; 700 ms without a
// packet end it.
const (
	word   = 400 * time.Millisecond
	saidAt = 3 * time.Second
	// understoodAt is saidAt, the word but for its last packet, and the quiet.
	understoodAt = "4.08s"
)

func TestASpokenKeyIsThatKey(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		u := spokenTo(s, "пять")
		s.engine.Phone(managerNumber, scripted.Answers(0).Says(saidAt, word))
		s.engine.Phone(clientNumber, scripted.Answers(time.Second).HangsUp(10*time.Second))
		s.ends(t, s.run(t), call.Completed, 31080*time.Millisecond)
		s.has(t, understoodAt+" digit m1 5", understoodAt+" key m1 5 connect", "5.08s leg.dialing c1 "+clientNumber+" main")
		for _, e := range s.journal.events {
			if e.Type == call.DigitReceived && (e.Method != telephony.MethodVoice || e.Text != "пять") {
				t.Errorf("got method %q, text %q", e.Method, e.Text)
			}
		}
		if len(u.clips) != 1 || u.clips[0] != word {
			t.Errorf("the recogniser got %v, want one utterance of %v", u.clips, word)
		}
		if len(u.phrase) == 0 {
			t.Error("the recogniser is not told what may be said")
		}
	})
}

func TestWhatIsSaidThatNamesNoKeyDoesNothing(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		spokenTo(s, "алло", "пять или ноль", "", "нажимаю ноль")
		s.engine.Phone(managerNumber, scripted.Answers(0).Says(saidAt, word).Says(6*time.Second, word).Says(9*time.Second, word).Says(12*time.Second, word))
		s.ends(t, s.run(t), call.CancelledByManager, 13080*time.Millisecond)
		s.has(t,
			understoodAt+" note (voice_control: «алло» names no key)", "7.08s note (voice_control: «пять или ноль» names no key)",
			"13.08s digit m1 0", "13.08s key m1 0 cancel")
	})
}

// A recogniser that is dead or slow delays nothing: the keys that are pressed
// do what they do at once, and the log says what failed.
func TestPressedKeysWorkWhateverBecomesOfTheRecogniser(t *testing.T) {
	for name, tt := range map[string]struct{ text, note string }{
		"dead":  {"!connection refused", "4.08s note (voice_control: recogniser scripted: connection refused; keys can be pressed)"},
		"slow":  {"…", "9.08s note (voice_control: recogniser scripted: no answer within 5s; keys can be pressed)"},
		"hangs": {"…", "8s key m1 0 cancel"},
	} {
		t.Run(name, func(t *testing.T) {
			try(t, func(t *testing.T, s *stage) {
				spokenTo(s, tt.text, tt.text)
				press := 10 * time.Second
				if name == "hangs" {
					press = 8 * time.Second // while the recogniser is asked
				}
				s.engine.Phone(managerNumber, scripted.Answers(0).Says(saidAt, word).Presses(press, "0"))
				s.ends(t, s.run(t), call.CancelledByManager, press)
				s.has(t, tt.note)
			})
		})
	}
}

func TestARecogniserThatFailsOverAndOverIsToldOnce(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		spokenTo(s, "!out of order", "!out of order", "ноль")
		s.engine.Phone(managerNumber, scripted.Answers(0).Says(saidAt, word).Says(6*time.Second, word).Says(9*time.Second, word))
		s.ends(t, s.run(t), call.CancelledByManager, 10080*time.Millisecond)
		n := 0
		for _, e := range s.journal.events {
			if e.Type == call.Note && e.Reason == "voice_control: recogniser scripted: out of order; keys can be pressed" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("told %d times\n%s", n, s.timeline())
		}
	})
}

// After the join a word is part of the talk; after the client has gone the keys
// can be spoken again.
func TestKeysCanBeSpokenAgainAfterTheCall(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		spokenTo(s, "пять", "ноль")
		// joined at 7.08, the client goes at 17.08
		s.engine.Phone(managerNumber, scripted.Answers(0).Says(saidAt, word).Says(10*time.Second, word).Says(20*time.Second, word))
		s.engine.Phone(clientNumber, scripted.Answers(2*time.Second).HangsUp(10*time.Second))
		out := s.run(t)
		if !out.CancelRecalls || s.over != 21080*time.Millisecond {
			t.Errorf("%+v after %v\n%s", out, s.over, s.timeline())
		}
		s.has(t, "7.08s joined m1 c1", "21.08s key m1 0 cancel_recalls")
		s.hasNot(t, "11.08s digit")
	})
}

// Nobody listens any more once the two talk.
func TestNobodyListensToTheTalk(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		spokenTo(s, "пять")
		var listens []bool
		s.wrap = func(e telephony.Engine) telephony.Engine { return watchedEngine{e, &listens} }
		s.packet.AfterCallS = ptr(0)
		s.engine.Phone(managerNumber, scripted.Answers(0).Says(saidAt, word))
		s.engine.Phone(clientNumber, scripted.Answers(0).HangsUp(time.Minute))
		s.run(t)
		if len(listens) != 2 || !listens[0] || listens[1] {
			t.Errorf("listened to: %v, want on and off", listens)
		}
	})
}

// watchedEngine notes who begins and ends to listen.
type watchedEngine struct {
	telephony.Engine
	listens *[]bool
}

func (e watchedEngine) Dial(ctx context.Context, d telephony.Dial) (telephony.Leg, error) {
	l, err := e.Engine.Dial(ctx, d)
	if err != nil {
		return nil, err
	}
	return watchedLeg{l, e.listens}, nil
}

// Join joins the legs within.
func (e watchedEngine) Join(ctx context.Context, legs ...telephony.Leg) error {
	within := make([]telephony.Leg, len(legs))
	for i, l := range legs {
		within[i] = l.(watchedLeg).Leg
	}
	return e.Engine.Join(ctx, within...)
}

type watchedLeg struct {
	telephony.Leg
	listens *[]bool
}

func (l watchedLeg) Listen(li media.Listener) error {
	*l.listens = append(*l.listens, li != nil)
	return l.Leg.Listen(li)
}

// Nobody listens unless the packet asks for it.
func TestNobodyListensUnlessThePacketAsksForIt(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		u := spokenTo(s, "ноль")
		s.packet.VoiceControl = nil
		s.packet.RepeatsBeforeHangup, s.packet.RepeatsBeforeConnect = nil, ptr(1)
		s.engine.Phone(managerNumber, scripted.Answers(0).Says(saidAt, word))
		s.engine.Phone(clientNumber, scripted.Refuses(0, 486))
		if out := s.run(t); out.Status != call.ClientBusy || len(u.clips) > 0 {
			t.Errorf("%v, %d utterances", out, len(u.clips))
		}
	})
}

// The door refuses what cannot be served; an order that was taken before the
// recogniser was removed is carried out without it, and the log says so.
func TestWhatThePacketAsksForInVainIsTold(t *testing.T) {
	const none = "no speech recogniser is set up; start the server with --recognizer and --recognizer-url"
	try(t, func(t *testing.T, s *stage) {
		s.packet.VoiceControl, s.packet.Transcribe = new(true), new(true)
		s.engine.Phone(managerNumber, scripted.Answers(0))
		s.engine.Phone(clientNumber, scripted.Refuses(0, 486))
		s.run(t)
		s.has(t, "0s note (transcribe: "+none+"; there will be no transcript)")
		s.has(t, "0s note (voice_control: "+none+"; keys can be pressed)")
	})
}

func TestAPhoneSystemThatCannotListenIsTold(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		spokenTo(s)
		s.wrap = func(e telephony.Engine) telephony.Engine { return deafEngine{e} }
		s.engine.Phone(managerNumber, scripted.Answers(0).Presses(saidAt, "0"))
		s.ends(t, s.run(t), call.CancelledByManager, saidAt)
		s.has(t, fmt.Sprintf("0s note (voice_control: %s; keys can be pressed)", telephony.ErrCannotListen))
	})
}

type deafEngine struct{ telephony.Engine }

func (e deafEngine) Dial(ctx context.Context, d telephony.Dial) (telephony.Leg, error) {
	l, err := e.Engine.Dial(ctx, d)
	if err != nil {
		return nil, err
	}
	return deafLeg{l}, nil
}

type deafLeg struct{ telephony.Leg }

func (deafLeg) Listen(media.Listener) error { return telephony.ErrCannotListen }

func TestATranscriptIsWantedWhenThePacketSaysSo(t *testing.T) {
	for _, want := range []bool{false, true} {
		try(t, func(t *testing.T, s *stage) {
			s.hearing = speech.NewHearing(&understands{}, "")
			s.packet.Transcribe = &want
			s.engine.Phone(managerNumber, scripted.Answers(0))
			s.engine.Phone(clientNumber, scripted.Answers(0).HangsUp(time.Second))
			s.run(t)
			for _, e := range s.journal.events {
				if e.Type == call.RecordingStarted && e.Transcribe != want {
					t.Errorf("got %v, want %v", e.Transcribe, want)
				}
			}
		})
	}
}
