package dispatch_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/dispatch"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

// noEnglish speaks whatever has a Russian letter.
type noEnglish struct{ voice }

func (noEnglish) Check(_ context.Context, _ speech.Voice, text string) error {
	if strings.ContainsAny(text, "аеиоу") {
		return nil
	}
	return errors.New("cannot be spoken")
}

func TestATextThatNothingCanSpeakIsRefused(t *testing.T) {
	s := dispatch.New(dispatch.Config{Store: storetest.Open(t), Speech: noEnglish{}})
	announce := func(text string) directory.Step { return directory.Step{Announce: &directory.Announce{Text: text}} }
	menu := directory.Step{Menu: &directory.Menu{Text: "Press one", TimeoutS: 5, Repeats: 1, Keys: map[string]directory.Steps{"1": {announce("Да"), announce("Yes")}}}}
	_, err := s.CheckRoute(t.Context(), directory.Route{Name: "main", Steps: directory.Steps{
		announce("Здравствуйте"), menu, {CallbackOffer: &directory.CallbackOffer{Text: "Call you back?", Key: "1", Widget: "site"}},
	}})
	unspoken(t, err, `steps[1].menu.keys["1"][1].announce.text`, "steps[1].menu.text", "steps[2].callback_offer.text")

	_, err = s.CheckRoute(t.Context(), directory.Route{Name: "main", Transcribe: true, Steps: directory.Steps{announce("Здравствуйте")}})
	unspoken(t, err, "transcribe") // without a recogniser

	q := directory.NewQueue("1000")
	q.Announce, q.CallbackOffer, q.Fallback = &directory.QueueAnnounce{Text: "Wait"}, &directory.CallbackOffer{Text: "Call", Key: "1"}, directory.Steps{announce("Bye")}
	_, err = s.CheckQueue(t.Context(), q)
	unspoken(t, err, "announce.text", "callback_offer.text", "fallback[0].announce.text")

	q.Announce, q.CallbackOffer, q.Fallback = nil, &directory.CallbackOffer{Key: "1"}, directory.Steps{{Number: &directory.ToNumber{Number: "8 495 123-45-67", RingS: 45}}}
	q, err = s.CheckQueue(t.Context(), q)
	if err != nil || q.Fallback[0].Number.Number != "+74951234567" {
		t.Errorf("%+v, %v", q.Fallback, err)
	}
}

func unspoken(t *testing.T, err error, want ...string) {
	t.Helper()
	var bad invalid.Error
	errors.As(err, &bad)
	var got []string
	for _, f := range bad {
		got = append(got, f.Path)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%v: %s", err, d)
	}
}
