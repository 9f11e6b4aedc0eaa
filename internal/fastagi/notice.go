package fastagi

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/scenario"
)

// VarNotice is what agi://host/notice sets: one of Notice….
const VarNotice = "PEREZVON_NOTICE"

// What became of a notice.
const (
	NoticePlayed = "PLAYED"
	NoticeOff    = "OFF"    // there is one, and it is not to be heard now
	NoticeNone   = "NONE"   // the operator has none, and there is no template
	NoticeFailed = "FAILED" // it could not be heard
)

// longestNotice bounds how long one may play: what may be uploaded, with room.
const longestNotice = 6 * time.Minute

// Notices are operators': notice.Shelf.
type Notices interface {
	Find(ctx context.Context, account, extension string) (n directory.Notice, found bool, err error)
}

// Notice is the script of agi://host/notice: the caller hears what the operator
// wants those to hear who do not reach him (specification 4-operator-notices).
//
//	AGI(agi://host/notice)
//	AGI(agi://host/notice,101)
//
// The operator is the first argument, by default whom the call was connected
// to last (CONNECTEDLINE(num,i), as the source has it). Why he was not reached,
// DIALSTATUS tells. Asterisk fetches the sound over HTTP.
type Notice struct {
	Notices Notices
	Sounds  *Sounds
	// Rules say for which reasons notices are heard, and the template.
	Rules   scenario.NoticeRules
	Account string
	Logger  *slog.Logger
}

// Serve is the Script.
func (n *Notice) Serve(ctx context.Context, s *Session) error {
	extension := s.Arg(0)
	if extension == "" {
		var err error
		if extension, err = s.Eval("${CONNECTEDLINE(num,i)}"); err != nil {
			return err
		}
	}
	status, err := s.Eval("${DIALSTATUS}")
	if err != nil {
		return err
	}
	outcome, err := n.play(ctx, s, extension, missedBy(status))
	n.Logger.InfoContext(ctx, "notice", "channel", s.Channel(), "operator", extension, "dialstatus", status, "outcome", outcome)
	if errors.Is(err, ErrHangup) {
		return err
	}
	return errors.Join(err, s.Set(VarNotice, outcome))
}

func (n *Notice) play(ctx context.Context, s *Session, extension, missed string) (outcome string, err error) {
	if !directory.IsExtension(extension) {
		return NoticeNone, nil
	}
	if !slices.Contains(n.Rules.On, missed) {
		return NoticeOff, nil
	}
	kept, found, err := n.Notices.Find(ctx, n.Account, extension)
	var sound string
	switch {
	case err != nil:
		return NoticeFailed, err
	case found && !kept.Enabled:
		return NoticeOff, nil
	case found:
		sound = n.Sounds.Notice(kept)
	case n.Rules.Template != "":
		sound = n.Sounds.Template()
	default:
		return NoticeNone, nil
	}
	played, err := s.Play(sound, longestNotice)
	if err != nil {
		return NoticeFailed, err
	}
	if !played {
		return NoticeFailed, errors.New("asterisk could not play " + sound + ": it needs res_http_media_cache, and to reach this server's public URL")
	}
	return NoticePlayed, nil
}

// missedBy is the reason in the words of the rules, by what Dial has left.
func missedBy(dialStatus string) string {
	switch dialStatus {
	case "BUSY":
		return scenario.MissedBusy
	case "CHANUNAVAIL", "CONGESTION":
		return scenario.MissedUnavailable
	}
	return scenario.MissedNoAnswer
}
