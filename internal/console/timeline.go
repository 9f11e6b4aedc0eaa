package console

import (
	"fmt"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/call"
)

// line is one event as people read it.
type line struct {
	Seq   int64
	At    time.Time
	Since time.Duration // the start of the call
	// Sound is where the event is in the recording, in seconds; Audible tells
	// that it is in it.
	Sound   float64
	Audible bool
	Leg     string
	Kind    string // colour: good, bad, key, say, end, plain
	Text    string
	Detail  string
}

func timeline(events []call.Event, l lang) []line {
	lines := make([]line, 0, len(events))
	var begin, sound time.Time
	for _, e := range events {
		if begin.IsZero() {
			begin = e.At
		}
		if e.Type == call.RecordingStarted && sound.IsZero() {
			sound = e.At
		}
	}
	ended := false
	for _, e := range events {
		n := line{Seq: e.Seq, At: e.At, Since: e.At.Sub(begin), Leg: e.Leg, Kind: kindOf(e), Text: describe(e, l), Detail: detail(e, l)}
		if !sound.IsZero() && !e.At.Before(sound) && !ended {
			n.Sound, n.Audible = e.At.Sub(sound).Seconds(), true
		}
		ended = ended || e.Type == call.Ended
		lines = append(lines, n)
	}
	return lines
}

func kindOf(e call.Event) string {
	switch e.Type {
	case call.Answered, call.Joined, call.TransferDone:
		return "good"
	case call.DialFailed, call.NotTranscribed, call.TransferFailed:
		return "bad"
	case call.KeyPressed, call.DigitReceived, call.DigitsSent, call.TransferStarted, call.TransferReturned, call.Held, call.Resumed:
		return "key"
	case call.PromptStarted, call.PromptEnded:
		return "say"
	case call.Ended:
		if e.Status != nil && toneOf(*e.Status) == "bad" {
			return "bad"
		}
		return "end"
	}
	return "plain"
}

// describe says an event in a sentence.
func describe(e call.Event, l lang) string {
	who := first(e.Operator, e.Number)
	switch e.Type {
	case call.Created:
		return fmt.Sprintf(l.text("event.created."+string(e.Direction)), e.Number)
	case call.Arrived:
		return fmt.Sprintf(l.text("event.arrived"), who, e.CallerID)
	case call.Skipped:
		return fmt.Sprintf(l.text("event.skipped"), e.Operator)
	case call.NodeChosen:
		return fmt.Sprintf(l.text("event.node"), e.Node)
	case call.CallerIDChosen:
		return fmt.Sprintf(l.text("event.callerid"), l.role(e.Role), e.CallerID)
	case call.Dialing:
		return fmt.Sprintf(l.text("event.dialing"), l.role(e.Role), who)
	case call.Progress:
		if e.EarlyMedia {
			return l.text("event.earlymedia")
		}
		return l.text("event.progress")
	case call.Ringing:
		return l.text("event.ringing")
	case call.Answered:
		if e.Role == call.Client && who == "" {
			return l.text("event.pickedup")
		}
		return fmt.Sprintf(l.text("event.answered"), l.role(e.Role), who)
	case call.DialFailed:
		return fmt.Sprintf(l.text("event.failed"), l.role(e.Role))
	case call.DialCancelled:
		return l.text("event.cancelled")
	case call.LegEnded:
		return l.text(first("event.ended."+e.By, "event.ended."))
	case call.PromptStarted:
		return fmt.Sprintf(l.text("event.prompt"), l.prompt(e.Prompt))
	case call.PromptEnded:
		return fmt.Sprintf(l.text("event.promptended"), l.prompt(e.Prompt))
	case call.DigitReceived:
		return fmt.Sprintf(l.text("event.digit"), e.Digits)
	case call.DigitsSent:
		return fmt.Sprintf(l.text("event.digitssent"), e.Digits)
	case call.KeyPressed:
		return fmt.Sprintf(l.text("event.key"), e.Digits, l.text("action."+e.Action))
	case call.Waiting:
		return fmt.Sprintf(l.text("event.wait"), l.seconds(time.Duration(e.TimeoutMS)*time.Millisecond))
	case call.RecordingStarted:
		return l.text("event.recording")
	case call.Joined:
		return fmt.Sprintf(l.text("event.joined"), e.Leg, e.Other)
	case call.Parted:
		return l.text("event.parted")
	case call.Held:
		return l.text("event.hold")
	case call.Resumed:
		return l.text("event.resumed")
	case call.TransferStarted:
		return fmt.Sprintf(l.text("event.transfer.started"), e.Operator, e.Number)
	case call.TransferDone:
		return fmt.Sprintf(l.text("event.transfer.done"), who)
	case call.TransferFailed:
		return fmt.Sprintf(l.text("event.transfer.failed"), e.Number)
	case call.TransferReturned:
		return fmt.Sprintf(l.text("event.transfer.returned"), e.Operator)
	case call.Merged:
		return fmt.Sprintf(l.text("event.merged"), who)
	case call.Continued:
		return fmt.Sprintf(l.text("event.continued"), l.seconds(time.Duration(e.ElapsedMS)*time.Millisecond))
	case call.QueueJoined:
		return fmt.Sprintf(l.text("event.queue.joined"), e.Queue, fmt.Sprint(e.Position))
	case call.QueueLeft:
		return fmt.Sprintf(l.text("event.queue.left"), e.Queue, l.text("queue."+e.Reason))
	case call.NoticePlayed:
		return fmt.Sprintf(l.text("event.notice.played"), e.Operator)
	case call.NoticeRecorded:
		return fmt.Sprintf(l.text("event.notice.recorded"), e.Operator)
	case call.NoticeDeleted:
		return fmt.Sprintf(l.text("event.notice.deleted"), e.Operator)
	case call.Ended:
		if e.Status == nil {
			return l.text("event.over")
		}
		return l.text("event.over") + ": " + l.status(*e.Status)
	case call.RecordingState:
		return l.text("event.recording." + e.Recording)
	case call.Transcribed, call.NotTranscribed:
		return l.text("event." + string(e.Type))
	case call.Note:
		return e.Reason
	}
	return string(e.Type)
}

// detail is what a support engineer wants besides.
func detail(e call.Event, l lang) string {
	var parts []string
	add := func(key, value string) {
		if value != "" {
			parts = append(parts, strings.TrimSpace(l.text(key)+" "+value))
		}
	}
	add("detail.trunk", e.Trunk)
	if e.Type == call.Dialing {
		add("detail.callerid", e.CallerID)
	}
	if e.SIPCode != 0 {
		add("detail.sip", fmt.Sprint(e.SIPCode))
	}
	if e.Type != call.Note && e.Type != call.QueueLeft && (e.Type != call.PromptEnded || e.Reason != "finished") {
		add("detail.reason", l.reason(e.Reason))
	}
	add("detail.codec", e.Codec)
	add("detail.method", e.Method)
	if e.ElapsedMS > 0 {
		add("detail.after", l.seconds(time.Duration(e.ElapsedMS)*time.Millisecond))
	}
	if e.Type == call.Dialing && e.TimeoutMS > 0 {
		add("detail.timeout", l.seconds(time.Duration(e.TimeoutMS)*time.Millisecond))
	}
	if e.DurationS > 0 {
		add("detail.length", l.seconds(time.Duration(e.DurationS*float64(time.Second))))
	}
	if e.Text != "" {
		parts = append(parts, "«"+e.Text+"»")
	}
	return strings.Join(parts, " · ")
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
