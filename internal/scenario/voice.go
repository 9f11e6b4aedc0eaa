package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/perezvon/perezvon/internal/telephony"
)

// heed lets l name keys in place of pressing them, until ctx ends, if the packet
// wants that (specification 1-callback §1, voice_control). A key that is named
// is pressed: it joins the queue of keys, so it does what the key does. Keys are
// read by others, and work whatever becomes of the recogniser.
func (s *callbackCourse) heed(ctx context.Context, l *line) {
	if !isTrue(s.packet.VoiceControl) {
		return
	}
	if err := s.Hearing.CheckKeys(s.packet.Language); err != nil {
		s.deaf(err)
		return
	}
	ear := s.Hearing.Listen(s.packet.Language)
	if err := l.Listen(ear); err != nil {
		s.deaf(err)
		return
	}
	defer func() { _ = l.Listen(nil) }()
	failing := false
	for {
		heard, err := ear.Next(ctx)
		switch {
		case context.Cause(ctx) != nil:
			return
		case err != nil && !failing:
			s.deaf(err)
		case err == nil && heard.Key != 0:
			l.Digits().Push(telephony.Digit{Key: heard.Key, At: time.Now(), Method: telephony.MethodVoice, Said: heard.Text})
		case err == nil && heard.Text != "":
			s.note(fmt.Sprintf("voice_control: «%s» names no key", heard.Text))
		}
		failing = err != nil
	}
}

// deaf notes why nothing is understood.
func (s *callbackCourse) deaf(err error) {
	s.note("voice_control: " + err.Error() + "; keys can be pressed")
}

// wantsTranscript tells that the recording is to be written down, as asked.
func (s *course) wantsTranscript(asked bool) bool {
	if !asked {
		return false
	}
	if err := s.Hearing.Check(s.voice.Language); err != nil {
		s.note("transcribe: " + err.Error() + "; there will be no transcript")
		return false
	}
	return true
}
