package freepbx

import (
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/numbering"
	"github.com/perezvon/perezvon/internal/store"
)

// record is one row of the table cdr. A call has several: one for each channel
// that was rung, each member of a queue or a group, each part after a transfer;
// linkedid is the same in all of them.
type record struct {
	calldate            string  // as it stands there, local time
	unix                float64 // the same as MariaDB takes it
	src, dst            string
	channel, dstchannel string
	lastapp             string
	duration, billsec   int64
	disposition         string
	uniqueid, linkedid  string
	cnum                string
}

// outcomes are the dispositions.
var outcomes = map[string]call.ContactOutcome{
	"ANSWERED": call.ContactAnswered, "NO ANSWER": call.ContactNoAnswer, "BUSY": call.ContactBusy,
	"FAILED": call.ContactFailed, "CONGESTION": call.ContactFailed,
}

// extensions are who counts as an operator.
type extensions struct {
	known map[string]bool
	// users are by their devices where FreePBX keeps the two apart.
	users map[string]string
	// guess takes every short number for an extension: what FreePBX has cannot
	// be read.
	guess bool
}

// longestGuess is the most digits that an extension has of which nothing is
// known.
const longestGuess = 6

// is tells that the number is an operator's extension, and which.
func (e extensions) is(number string) (extension string, ok bool) {
	if user := e.users[number]; user != "" {
		number = user
	}
	if e.known[number] {
		return number, true
	}
	return number, e.guess && directory.IsExtension(number) && len(number) <= longestGuess
}

// phone is the operator whose phone a channel is: PJSIP/101-0000002a,
// SIP/101-…, IAX2/101-…, and the legs of queues and of follow-me,
// Local/101@from-queue-…;1 and Local/FMPR-101@….
func (e extensions) phone(channel string) (extension string, ok bool) {
	_, name, ok := strings.Cut(channel, "/")
	if !ok {
		return "", false
	}
	if local(channel) {
		name, _, _ = strings.Cut(name, "@")
		name = strings.TrimPrefix(strings.TrimPrefix(name, "FMPR-"), "FMGL-")
		return e.is(name)
	}
	if at := strings.LastIndexByte(name, '-'); at >= 0 {
		name = name[:at]
	}
	return e.is(name)
}

// local tells a channel that is no phone but a way within the dialplan.
func local(channel string) bool { return strings.HasPrefix(channel, "Local/") }

// contact is what the record says of an operator and a client; false: nothing.
// at is when the record begins.
func (r record) contact(e extensions, at time.Time) (c store.ForeignContact, ok bool) {
	outcome, ok := outcomes[r.disposition]
	if !ok || at.Unix() <= 0 {
		return c, false
	}
	c = store.ForeignContact{CallID: r.linkedid, At: at, Outcome: outcome}
	if c.CallID == "" {
		c.CallID = r.uniqueid
	}
	if c.CallID == "" { // a table that has been thinned out
		c.CallID = r.calldate + " " + r.src + " " + r.dst
	}
	callee, inside := e.phone(r.dstchannel)
	if r.dstchannel == "" {
		// Nobody was rung. What answered then was no operator but voicemail, a
		// menu, music; what did not was his phone that was not there.
		callee, inside = e.is(r.dst)
		inside = inside && (outcome != call.ContactAnswered || r.lastapp == "" || r.lastapp == "Dial")
	}
	caller, own := e.caller(r)
	switch {
	case inside && !own:
		c.Operator, c.Direction, c.Client = callee, call.Inbound, r.src
		if key, _ := numbering.Key(r.src); key == "" {
			c.Client = r.cnum
		}
		if outcome == call.ContactAnswered && r.duration > r.billsec {
			c.At = at.Add(time.Duration(r.duration-r.billsec) * time.Second)
		}
	case own && !inside:
		c.Operator, c.Direction, c.Client = caller, call.Outbound, r.dst
	default:
		return c, false
	}
	key, _ := numbering.Key(c.Client)
	return c, key != ""
}

// caller is the operator who calls: whose phone the channel is; in the legs
// within the dialplan, and where the channel does not tell, whose number the
// call had before it was given one to show outside (cnum).
func (e extensions) caller(r record) (extension string, ok bool) {
	if r.channel != "" && !local(r.channel) {
		if extension, ok := e.phone(r.channel); ok {
			return extension, true
		}
	}
	if r.cnum != "" {
		return e.is(r.cnum)
	}
	return e.is(r.src)
}

// times are when the record begins, and when it ends in wall time.
func (r record) times(zone *time.Location) (begin, end time.Time) {
	local, err := time.Parse(wall, r.calldate)
	if err != nil {
		return time.Time{}, time.Time{}
	}
	begin = time.UnixMilli(int64(r.unix * 1000)).UTC()
	if zone != nil {
		if at, err := time.ParseInLocation(wall, r.calldate, zone); err == nil {
			begin = at.UTC()
		}
	}
	return begin, local.Add(time.Duration(r.duration) * time.Second)
}
