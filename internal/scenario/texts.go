package scenario

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/speech/prompts"
)

// Names of the prompts on the timeline.
const (
	promptGreeting     = "greeting"
	promptIVR          = "ivr"
	promptInstructions = "instructions"
	promptExtraInfo    = "extra_info"
	promptConnecting   = "connecting"
	promptAfterCall    = "after_call"
	promptAnnouncement = "announcement"
	promptMenu         = "menu"
	promptWrongKey     = "wrong_key"
	promptOffer        = "callback_offer"
	promptWillCall     = "will_call"
	promptRefusal      = "refusal"
	promptPlace        = "queue_position"
	promptNotice       = "notice"
	promptNoticeMenu   = "notice_menu"
	promptBeep         = "beep"
)

// instructions says what the keys do before the client is called. Only keys
// that are set are spoken of, and not the one for information that is spoken
// by itself.
func instructions(p callback.Packet) string {
	info := p.DTMFExtraInfo
	if info == "#" || p.ExtraInfo == "" {
		info = ""
	}
	return sentences(
		press(p, prompts.PressToConnect, p.DTMFConnect),
		press(p, prompts.PressForInfo, info),
		press(p, prompts.PressToReschedule, p.DTMFReschedule),
		press(p, prompts.PressToCancel, p.DTMFCancel),
	)
}

// afterCallInstructions says what the keys do once the client has gone.
func afterCallInstructions(p callback.Packet) string {
	return sentences(
		prompts.Text(p.Language, prompts.ClientLeft),
		press(p, prompts.PressToCancelRecall, cmp.Or(p.DTMFCancelRecalls, p.DTMFCancel)),
		press(p, prompts.PressToCallAgain, p.DTMFReschedule),
	)
}

// press says what a key does; nothing where the key is not set.
func press(p callback.Packet, what prompts.ID, key string) string {
	if key == "" {
		return ""
	}
	return prompts.Press(p.Language, what, key[0])
}

// sentences puts together those that are not empty.
func sentences(parts ...string) string {
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	return strings.Join(parts, ". ")
}

// Texts is everything that the server may say on a call of this packet, in the
// order of its use: to be checked at the door, and spoken ahead of time.
func Texts(p callback.Packet) []string {
	texts := []string{p.Greeting, p.IVRText}
	if p.Smartcall() {
		texts = append(texts, instructions(p))
	}
	if p.DTMFExtraInfo != "" {
		texts = append(texts, p.ExtraInfo)
	}
	texts = append(texts, p.ConnectingText)
	if number(p.AfterCallS) > 0 && cmp.Or(p.DTMFCancel, p.DTMFCancelRecalls, p.DTMFReschedule) != "" {
		texts = append(texts, afterCallInstructions(p))
	}
	return slices.DeleteFunc(texts, func(s string) bool { return s == "" })
}

// warmUp lets everything be spoken ahead, while the phones ring, so that
// nobody waits for a voice. What fails is told when it is needed.
func (s *callbackCourse) warmUp(ctx context.Context) error {
	for _, text := range Texts(s.packet) {
		if _, err := s.Speech.Say(ctx, s.voice, text); err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}
