package scenario

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/perezvon/perezvon/internal/callback"
)

// Names of the prompts on the timeline.
const (
	promptGreeting     = "greeting"
	promptIVR          = "ivr"
	promptInstructions = "instructions"
	promptExtraInfo    = "extra_info"
	promptConnecting   = "connecting"
	promptAfterCall    = "after_call"
)

// phrases is what the server says about keys, in one language. Each %s is the
// name of a key.
type phrases struct {
	connect, extraInfo, reschedule, cancel string
	cancelRecalls, rescheduleAfter         string
	star, pound                            string
	digits                                 [10]string
}

var russian = phrases{
	connect:         "Чтобы позвонить клиенту, нажмите %s.",
	extraInfo:       "Чтобы прослушать дополнительную информацию, нажмите %s.",
	reschedule:      "Чтобы отложить звонок, нажмите %s.",
	cancel:          "Чтобы отменить звонок, нажмите %s.",
	cancelRecalls:   "Чтобы отменить повторные звонки, нажмите %s.",
	rescheduleAfter: "Чтобы запланировать новый звонок, нажмите %s.",
	star:            "звёздочку",
	pound:           "решётку",
	digits:          [10]string{"ноль", "один", "два", "три", "четыре", "пять", "шесть", "семь", "восемь", "девять"},
}

var english = phrases{
	connect:         "To call the client, press %s.",
	extraInfo:       "To hear more about the request, press %s.",
	reschedule:      "To put the call off, press %s.",
	cancel:          "To cancel the call, press %s.",
	cancelRecalls:   "To cancel further calls, press %s.",
	rescheduleAfter: "To plan another call, press %s.",
	star:            "star",
	pound:           "pound",
	digits:          [10]string{"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"},
}

func phrasesOf(language string) phrases {
	if callback.IsRussian(language) {
		return russian
	}
	return english
}

// with puts the key into the phrase; "" where the key is not set.
func (ph phrases) with(phrase, key string) string {
	switch key {
	case "":
		return ""
	case "*":
		return fmt.Sprintf(phrase, ph.star)
	case "#":
		return fmt.Sprintf(phrase, ph.pound)
	}
	return fmt.Sprintf(phrase, ph.digits[key[0]-'0'])
}

// instructions says what the keys do before the client is called. Only keys
// that are set are spoken of, and not the one for information that is spoken
// by itself.
func instructions(p callback.Packet) string {
	ph := phrasesOf(p.Language)
	info := p.DTMFExtraInfo
	if info == "#" || p.ExtraInfo == "" {
		info = ""
	}
	return sentences(
		ph.with(ph.connect, p.DTMFConnect),
		ph.with(ph.extraInfo, info),
		ph.with(ph.reschedule, p.DTMFReschedule),
		ph.with(ph.cancel, p.DTMFCancel),
	)
}

// afterCallInstructions says what the keys do once the client has gone.
func afterCallInstructions(p callback.Packet) string {
	ph := phrasesOf(p.Language)
	cancel := p.DTMFCancelRecalls
	if cancel == "" {
		cancel = p.DTMFCancel
	}
	return sentences(ph.with(ph.cancelRecalls, cancel), ph.with(ph.rescheduleAfter, p.DTMFReschedule))
}

func sentences(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
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
	if number(p.AfterCallS) > 0 {
		texts = append(texts, afterCallInstructions(p))
	}
	return slices.DeleteFunc(texts, func(s string) bool { return s == "" })
}

// warmUp lets everything be spoken ahead, while the phones ring, so that
// nobody waits for a voice. What fails is told when it is needed.
func (s *course) warmUp(ctx context.Context) error {
	for _, text := range Texts(s.packet) {
		if _, err := s.Speech.Say(ctx, s.voice, text); err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}
