package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/recording"
	"github.com/perezvon/perezvon/internal/speech/prompts"
	"github.com/perezvon/perezvon/internal/telephony"
)

// Notices keep what callers hear who do not reach an operator: notice.Shelf.
type Notices interface {
	Find(ctx context.Context, account, extension string) (n directory.Notice, found bool, err error)
	// Sound is what a notice sounds like that is not a text.
	Sound(ctx context.Context, n directory.Notice) (*audio.Clip, error)
	// Record keeps what was dictated and lets it be heard; false: nothing was
	// said, and all is as it was.
	Record(ctx context.Context, account, extension string, said *audio.Clip) (n directory.Notice, kept bool, err error)
	// Delete removes a notice; false: there was none.
	Delete(ctx context.Context, account, extension string) (deleted bool, err error)
}

// NoticeRules are what an administrator has set about notices.
type NoticeRules struct {
	// Code is what an operator dials to record his own (*600). Empty: nobody
	// can.
	Code string
	// Allow are the extensions that may; nil: all.
	Allow []directory.Mask
	// Most is how long a recording may be. 0: a minute.
	Most time.Duration
	// On are the reasons for which a notice is heard.
	On []string
	// Template is said for operators who have no notice. Empty: nothing is.
	Template string
}

// Why a caller did not reach an operator.
const (
	MissedNoAnswer    = "no_answer" // his phones rang, or he is paused
	MissedBusy        = "busy"      // he is talking, or declined
	MissedUnavailable = "unavailable"
)

// Missed are the reasons that NoticeRules.On may have.
func Missed() []string { return []string{MissedNoAnswer, MissedBusy, MissedUnavailable} }

// missedBy is why an operator was not reached who was called, "" if that is no
// matter of his phones.
func missedBy(err error) string {
	u := (*unreached)(nil)
	if !errors.As(err, &u) {
		return ""
	}
	switch refusalOf(u.last, u.operator) {
	case busy, declined:
		return MissedBusy
	case noAnswer:
		return MissedNoAnswer
	}
	return MissedUnavailable
}

// missedAs is the same for an operator who was not called for what occupied
// says.
func missedAs(occupied string) string {
	switch telephony.DeviceState(occupied) {
	case telephony.Ringing, telephony.InUse, telephony.Busy, telephony.OnHold:
		return MissedBusy
	case telephony.Unavailable:
		return MissedUnavailable
	}
	return MissedNoAnswer
}

// notice lets the caller hear what the operator wants those to hear who do not
// reach him. The caller is picked up for it, as Asterisk's Playback does. heard
// tells that there was anything; the error is why there is nobody to go on
// with.
func (a *arrival) notice(ctx context.Context, extension, missed string) (heard bool, err error) {
	if a.board.Notices == nil || extension == "" || !slices.Contains(a.board.NoticeRules.On, missed) {
		return false, nil
	}
	text, clip, err := a.noticeOf(ctx, extension)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return false, cause
		}
		a.log.WarnContext(ctx, "a notice cannot be heard", "operator", extension, "err", err)
		a.note("the notice of " + extension + " cannot be heard: " + err.Error())
		return false, nil
	}
	if clip == nil {
		return false, nil
	}
	if err := a.pickUp(ctx); err != nil {
		return false, err
	}
	a.event(call.Event{Type: call.NoticePlayed, Leg: a.caller.ID(), Operator: extension, Reason: missed})
	return true, a.play(ctx, a.caller, promptNotice, text, clip)
}

// noticeOf is what is heard in place of an operator: his notice if it is on,
// the template if he has none. A nil clip: nothing.
func (a *arrival) noticeOf(ctx context.Context, extension string) (text string, clip *audio.Clip, err error) {
	n, found, err := a.board.Notices.Find(ctx, a.account, extension)
	switch {
	case err != nil, found && !n.Enabled:
		return "", nil, err
	case found && n.Source != directory.NoticeText:
		clip, err = a.board.Notices.Sound(ctx, n)
		return "", clip, err
	case found:
		text = n.Text
	default:
		text = a.board.NoticeRules.Template
	}
	if text == "" {
		return "", nil, nil
	}
	clip, err = a.Speech.Say(ctx, a.voice, text)
	return text, clip, err
}

// dialsNoticeCode tells that the operator's phone dialled the service code. It
// comes before all that can be dialled, so nothing can take its place.
func (a *arrival) dialsNoticeCode() bool {
	code := a.board.NoticeRules.Code
	return code != "" && a.info.To == code && a.board.Notices != nil
}

// ownNotice lets an operator record, delete or listen to his notice
// (specification 4-operator-notices). Whose it is, the authenticated phone
// tells.
func (a *arrival) ownNotice(ctx context.Context, extension string) error {
	a.begin(call.Internal, extension, target{role: call.Client, operator: extension})
	on, _, free := a.whileOn(ctx, a.caller)
	defer free()
	allow := a.board.NoticeRules.Allow
	if len(allow) > 0 && !slices.ContainsFunc(allow, func(m directory.Mask) bool { return m.Match(extension) }) {
		return a.refuse(on, 403, promptRefusal, a.words(prompts.NumberForbidden), fmt.Errorf("%w: %s is not for %s", errForbidden, a.info.To, extension))
	}
	err := a.answer(on)
	if err == nil {
		err = a.noticeMenu(on, extension)
	}
	switch {
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case err == nil || callerLeft(err):
		return errAnnounced
	}
	return err
}

const (
	noticeAsked = 3 // times
	noticeWait  = 5 * time.Second
	// noticeMost is NoticeRules.Most where it is not set.
	noticeMost = time.Minute
)

func (a *arrival) noticeMenu(ctx context.Context, extension string) error {
	for range noticeAsked {
		mark, err := a.ask(ctx, a.caller, promptNoticeMenu, a.words(prompts.NoticeMenu), "123", noticeWait)
		switch {
		case errors.Is(err, errNoKey):
			continue
		case errors.Is(err, errWrongKey):
			err = a.say(ctx, a.caller, promptWrongKey, a.words(wrongKey))
		case err == nil && mark == "1":
			return a.recordNotice(ctx, extension)
		case err == nil && mark == "2":
			return a.deleteNotice(ctx, extension)
		case err == nil:
			err = a.listenToNotice(ctx, extension) // and ask what now
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// recordNotice takes what the operator says until he presses a key or hangs up;
// either keeps it.
func (a *arrival) recordNotice(ctx context.Context, extension string) error {
	if err := a.say(ctx, a.caller, promptNotice, a.words(prompts.NoticeRecord)); err != nil {
		return err
	}
	if err := a.play(ctx, a.caller, promptBeep, "", tone.Beep()); err != nil {
		return err
	}
	a.caller.Digits().Drain() // keys before the tone were impatience
	most := a.board.NoticeRules.Most
	if most == 0 {
		most = noticeMost
	}
	take := recording.NewTake(most)
	a.caller.Record(take)
	_, ended := first(ctx,
		func(ctx context.Context) error { _, err := a.anyKey(ctx, a.caller); return err },
		func(ctx context.Context) error { return a.pause(ctx, a.caller, "while the notice is recorded", most) },
	)
	a.caller.Record(nil)

	keeping, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	n, kept, err := a.board.Notices.Record(keeping, a.account, extension, take.Clip())
	words := prompts.NoticeThanks
	switch {
	case err != nil:
		a.log.ErrorContext(ctx, "a notice is not kept", "operator", extension, "err", err)
		a.note("the notice is not kept: " + err.Error())
		words = prompts.NotAvailable
	case !kept:
		a.note("nothing was said, so the notice is as it was")
		words = prompts.NoticeNone
	default:
		a.event(call.Event{Type: call.NoticeRecorded, Operator: extension, DurationS: n.Length.Seconds()})
	}
	if ended != nil {
		return ended
	}
	return a.say(ctx, a.caller, promptNotice, a.words(words))
}

func (a *arrival) deleteNotice(ctx context.Context, extension string) error {
	deleted, err := a.board.Notices.Delete(ctx, a.account, extension)
	words := prompts.NoticeDeleted
	switch {
	case err != nil:
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		a.log.ErrorContext(ctx, "a notice is not deleted", "operator", extension, "err", err)
		a.note("the notice is not deleted: " + err.Error())
		words = prompts.NotAvailable
	case deleted:
		a.event(call.Event{Type: call.NoticeDeleted, Operator: extension})
	}
	return a.say(ctx, a.caller, promptNotice, a.words(words))
}

// listenToNotice lets the operator hear his notice, on or off.
func (a *arrival) listenToNotice(ctx context.Context, extension string) error {
	n, found, err := a.board.Notices.Find(ctx, a.account, extension)
	switch {
	case err == nil && !found:
		return a.say(ctx, a.caller, promptNotice, a.words(prompts.NoticeNone))
	case err == nil && n.Source == directory.NoticeText:
		return a.say(ctx, a.caller, promptNotice, n.Text)
	}
	var clip *audio.Clip
	if err == nil {
		clip, err = a.board.Notices.Sound(ctx, n)
	}
	if err == nil {
		return a.play(ctx, a.caller, promptNotice, "", clip)
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	a.log.ErrorContext(ctx, "a notice cannot be heard", "operator", extension, "err", err)
	a.note("the notice cannot be heard: " + err.Error())
	return a.say(ctx, a.caller, promptNotice, a.words(prompts.NotAvailable))
}
