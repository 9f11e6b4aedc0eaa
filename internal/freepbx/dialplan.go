package freepbx

import (
	"bytes"
	_ "embed"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"text/template"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/invalid"
)

// NoAnswerDestination is where the generated dialplan has operators' notices,
// as users.noanswer_dest wants it.
const NoAnswerDestination = "operators-alert,s,1"

// Dialplan is what the generated extensions_custom.conf is made of: the
// contexts of the sources (002-responsible-manager, 004-operator-notices) for a
// dialplan that stays in charge.
type Dialplan struct {
	// AGI is this server's FastAGI, agi://host:port.
	AGI string
	// DIDs are the called numbers whose callers are looked up as soon as they
	// come; none: all.
	DIDs []string
	// Queue takes who has no free manager. Default 1000, as in the source.
	Queue string
	// Ring is how long the manager is rung. Default 15 s.
	Ring time.Duration
	// Window and Policy are those of the look-up. Default: the server's.
	Window, Policy string
	// NoticeCode is what operators dial to record their notices. Default *600.
	NoticeCode string
	// NoticeAllow are masks of the extensions that may (directory.Mask). Default:
	// all.
	NoticeAllow []string
	// MarkPrompt is the sound that asks an operator what to do, a file of
	// Asterisk's without its extension. Default beep.
	MarkPrompt string
}

//go:embed extensions_custom.conf
var dialplanText string

var (
	agiHost     = regexp.MustCompile(`^agi://[A-Za-z0-9.\[\]:_-]+$`)
	calledPlain = regexp.MustCompile(`^\+?[0-9]{1,20}$`)
	queueName   = regexp.MustCompile(`^[0-9A-Za-z_-]{1,40}$`)
	soundFile   = regexp.MustCompile(`^[A-Za-z0-9_/-]{1,100}$`)
	serviceCode = regexp.MustCompile(`^[*#][0-9*#]{1,9}$`)
)

// Text is the file, or an invalid.Error. Nothing of what is given can be
// dialplan of its own.
func (d Dialplan) Text() (string, error) {
	if d.Queue == "" {
		d.Queue = "1000"
	}
	if d.Ring == 0 {
		d.Ring = 15 * time.Second
	}
	if d.NoticeCode == "" {
		d.NoticeCode = "*600"
	}
	if d.MarkPrompt == "" {
		d.MarkPrompt = "beep"
	}
	if len(d.NoticeAllow) == 0 {
		d.NoticeAllow = []string{"_X."}
	}
	if err := d.check(); err != nil {
		return "", err
	}
	query := url.Values{}
	for name, value := range map[string]string{"window": d.Window, "policy": d.Policy} {
		if value != "" {
			query.Set(name, value)
		}
	}
	look := d.AGI + "/responsible"
	if len(query) > 0 {
		look += "?" + query.Encode()
	}
	t, err := template.New("extensions_custom.conf").Option("missingkey=error").Parse(dialplanText)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{
		"Look": look, "Notice": d.AGI + "/notice", "DIDs": d.DIDs, "Queue": d.Queue, "RingS": int(d.Ring / time.Second),
		"Code": d.NoticeCode, "Allow": d.NoticeAllow, "Mark": d.MarkPrompt,
	})
	return b.String(), err
}

func (d Dialplan) check() error {
	var bad invalid.Error
	if !agiHost.MatchString(d.AGI) {
		bad.Add("agi", "want agi://host:port of this server's FastAGI")
	}
	for i, did := range d.DIDs {
		if !calledPlain.MatchString(did) {
			bad.Add(fmt.Sprintf("dids[%d]", i), "want a called number as the carrier sends it: digits, with or without +")
		}
	}
	if !queueName.MatchString(d.Queue) {
		bad.Add("queue", "want the number of a queue")
	}
	if d.Ring < time.Second || d.Ring > 5*time.Minute {
		bad.Add("ring", "want 1s to 5m")
	}
	if d.Window != "" {
		var w directory.Duration
		if err := w.UnmarshalJSON([]byte(`"` + d.Window + `"`)); err != nil || w <= 0 {
			bad.Add("window", "want a time such as 24h or 30d")
		}
	}
	if d.Policy != "" && d.Policy != directory.ResponsibleLast && d.Policy != directory.ResponsibleFirst {
		bad.Add("policy", "want last or first")
	}
	if !serviceCode.MatchString(d.NoticeCode) {
		bad.Add("notice_code", "want * or # and up to nine keys")
	}
	if !soundFile.MatchString(d.MarkPrompt) {
		bad.Add("mark_prompt", "want the name of a sound without its extension: custom/mark")
	}
	for i, mask := range d.NoticeAllow {
		if _, err := directory.ParseMask(mask); err != nil || strings.ContainsAny(mask, ",()${}\n") {
			bad.Add(fmt.Sprintf("notice_allow[%d]", i), "want a mask such as _1XX")
		}
	}
	return bad.Err()
}
