package callback

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/numbering"
)

// Limits of lists and texts, in entries and characters.
const (
	maxManagers  = 20
	maxTrunks    = 16
	maxShortText = 500
	maxLongText  = 2000
	maxDigits    = 64
	maxGroup     = 64
	maxAttempt   = 1000

	maxStartWithinS = 7 * 24 * 3600
)

var (
	name      = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	language  = regexp.MustCompile(`^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$`)
	voice     = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{N} _.+:/-]{0,63}$`)
	callerID  = regexp.MustCompile(`^\+?[A-Za-z0-9._*#-]{2,32}$`)
	extension = regexp.MustCompile(`^[0-9]{2,10}$`)
	digits    = regexp.MustCompile(`^[0-9*#A-D,]+$`)
	key       = regexp.MustCompile(`^[0-9*#]$`)
)

// check gathers what is wrong with a packet.
type check struct {
	bad    invalid.Error
	region string
	allow  []netip.Prefix
}

func (c *check) packet(p *Packet) {
	if p.Widget != "" {
		c.matches("widget", p.Widget, name, "letters, digits, - and _, at most 64")
	}
	if p.DialMode != DialSequential && p.DialMode != DialParallel {
		c.bad.Add("dial_mode", "want sequential or parallel")
	}
	if p.FailoverOn != FailoverNetwork && p.FailoverOn != FailoverAny {
		c.bad.Add("failover_on", "want network or any")
	}

	c.text("greeting", p.Greeting, maxShortText)
	c.text("connecting_text", p.ConnectingText, maxShortText)
	c.text("ivr_text", p.IVRText, maxLongText)
	c.text("extra_info", p.ExtraInfo, maxLongText)
	CheckVoice(&c.bad, p.Language, p.Voice)

	c.within("ivr_repeats_before_connect", p.RepeatsBeforeConnect, 1, 16)
	c.within("ivr_repeats_before_hangup", p.RepeatsBeforeHangup, 17, 24)
	if p.RepeatsBeforeConnect != nil && p.RepeatsBeforeHangup != nil {
		c.bad.Add("ivr_repeats_before_hangup", "give this or ivr_repeats_before_connect, not both")
	}
	c.within("extension_delay_ms", p.ExtensionDelayMS, 0, 30000)
	c.within("client_delay_ms", p.ClientDelayMS, 0, 60000)
	c.within("manager_timeout_s", p.ManagerTimeoutS, 5, 120)
	c.within("client_timeout_s", p.ClientTimeoutS, 5, 120)
	c.within("after_call_s", p.AfterCallS, 0, 60)
	c.within("attempt", &p.Attempt, 1, maxAttempt)
	c.within("start_within_s", p.StartWithinS, 1, maxStartWithinS)

	c.keys(p)
	if p.DTMFToManager != "" {
		c.digits("dtmf_to_manager", p.DTMFToManager)
	}

	const wantCallerID = "want a number like +74951234567, or the trunk's own form: letters, digits and . _ * # -, 2 to 32"
	for _, f := range []struct{ path, value string }{
		{"client_caller_id", p.ClientCallerID},
		{"default_caller_id_manager", p.DefaultCallerIDManager},
		{"default_caller_id_client", p.DefaultCallerIDClient},
	} {
		if f.value != "" {
			c.matches(f.path, f.value, callerID, wantCallerID)
		}
	}
	if p.Trunk != "" {
		c.matches("trunk", p.Trunk, name, "want a trunk's name")
	}
	c.trunks("trunks_manager", p.TrunksManager)
	c.trunks("trunks_client", p.TrunksClient)

	if p.ClientIP != "" {
		ip, err := netip.ParseAddr(p.ClientIP)
		if err != nil || ip.Zone() != "" {
			c.bad.Add("client_ip", "want an IPv4 or IPv6 address")
		} else {
			p.ClientIP = ip.Unmap().String() // one spelling: rates count by it
		}
	}
	c.url("log_url", p.LogURL)
	c.url("status_url", p.StatusURL)
	c.url("events_url", p.EventsURL)
}

// managers judges the list and returns it with the numbers normalised.
func (c *check) managers(list Managers) Managers {
	if len(list) == 0 || len(list) > maxManagers {
		c.bad.Add("managers", fmt.Sprintf("want 1 to %d managers", maxManagers))
		return nil
	}
	list = slices.Clone(list)
	for i := range list {
		c.manager(managerPath(i), &list[i])
	}
	return list
}

func (c *check) manager(path string, t *ManagerTarget) {
	switch {
	case t.Number == "" && t.SIP == "":
		c.bad.Add(path, "want a number or sip")
	case t.Number != "" && t.SIP != "":
		c.bad.Add(path, "give number or sip, not both")
	case t.SIP != "":
		user, _, _ := strings.Cut(strings.TrimPrefix(t.SIP, "sip:"), "@")
		if c.matches(path+".sip", user, extension, "want an operator's extension, 2 to 10 digits") {
			t.SIP = user
		}
	case isExtension(t.Number):
		// An operator of ours; whether he exists is seen when he is called.
	default:
		t.Number = c.number(path+".number", t.Number)
	}
	if t.Extension != "" {
		c.digits(path+".extension", t.Extension)
	}
	c.text(path+".group", t.Group, maxGroup)
}

func isExtension(s string) bool {
	return len(s) <= maxExtension && extension.MatchString(s)
}

// client judges "number^extension" and returns it with the number normalised.
func (c *check) client(s string) string {
	if strings.TrimSpace(s) == "" {
		c.bad.Add("client", "the client's number is missing")
		return s
	}
	number, ext, has := strings.Cut(s, beforeExtension)
	number = c.number("client", number)
	if !has {
		return number
	}
	ext = strings.TrimSpace(ext)
	c.digits("client", ext)
	return number + beforeExtension + ext
}

func (c *check) number(path, s string) string {
	e164, err := numbering.Normalize(s, c.region)
	if err != nil {
		c.bad.Add(path, err.Error())
		return s
	}
	return e164
}

// keys judges the keys: one key each, no two the same.
func (c *check) keys(p *Packet) {
	taken := make(map[string]string)
	for _, f := range []struct{ path, value string }{
		{"dtmf_connect", p.DTMFConnect},
		{"dtmf_extra_info", p.DTMFExtraInfo},
		{"dtmf_cancel", p.DTMFCancel},
		{"dtmf_cancel_recalls", p.DTMFCancelRecalls},
		{"dtmf_reschedule", p.DTMFReschedule},
	} {
		if f.value == "" || !c.matches(f.path, f.value, key, "want one key of 0-9*#") {
			continue
		}
		if other, ok := taken[f.value]; ok {
			c.bad.Add(f.path, "the same key as "+other)
			continue
		}
		taken[f.value] = f.path
	}
}

func (c *check) trunks(path string, list []string) {
	if len(list) > maxTrunks {
		c.bad.Add(path, fmt.Sprintf("want at most %d trunks", maxTrunks))
		return
	}
	for i, s := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		if c.matches(at, s, name, "want a trunk's name") && slices.Contains(list[:i], s) {
			c.bad.Add(at, "named before; each trunk is tried once")
		}
	}
}

func (c *check) within(path string, n *int, low, high int) {
	if n != nil && (*n < low || *n > high) {
		c.bad.Add(path, fmt.Sprintf("want %d to %d", low, high))
	}
}

func (c *check) digits(path, s string) {
	if len(s) > maxDigits || !digits.MatchString(s) {
		c.bad.Add(path, fmt.Sprintf("want up to %d of 0-9*#A-D, and , for a pause", maxDigits))
	}
}

// CheckVoice finds what is no language or no voice in the fields of these names.
func CheckVoice(bad *invalid.Error, lang, name string) {
	if !language.MatchString(lang) {
		bad.Add("language", "want a code like ru or en")
	}
	if !voice.MatchString(name) {
		bad.Add("voice", "want female, male or a voice's name")
	}
}

func (c *check) matches(path, s string, form *regexp.Regexp, want string) bool {
	if form.MatchString(s) {
		return true
	}
	c.bad.Add(path, want)
	return false
}

func (c *check) text(path, s string, most int) {
	switch {
	case !utf8.ValidString(s):
		c.bad.Add(path, "not valid UTF-8")
	case utf8.RuneCountInString(s) > most:
		c.bad.Add(path, fmt.Sprintf("longer than %d characters", most))
	case strings.ContainsFunc(s, unspeakable):
		c.bad.Add(path, "holds control characters")
	}
}

func unspeakable(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t'
}
