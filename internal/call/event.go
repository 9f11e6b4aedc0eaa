package call

import "time"

// Type names what an Event tells. The words are part of the outward contract:
// backends, the console and `GET /api/v1/calls/{id}/events` show them.
type Type string

// What can happen on a call. The comment behind each says which fields of
// Event it fills besides seq, at, call_id and type.
const (
	Created          Type = "call.created"       // direction, number (the client's), attempt, callback_id, widget
	NodeChosen       Type = "node.chosen"        // node, reason
	Arrived          Type = "leg.arrived"        // leg, role, number (or operator), trunk, caller_id (the number it called), sip_call_id: a phone called us
	CallerIDChosen   Type = "callerid.chosen"    // role, caller_id, reason
	Dialing          Type = "leg.dialing"        // leg, role, number, trunk or operator, caller_id, timeout_ms
	Progress         Type = "leg.progress"       // leg, sip_code, early_media
	Ringing          Type = "leg.ringing"        // leg, sip_code
	Answered         Type = "leg.answered"       // leg, role, operator, codec, sip_call_id, elapsed_ms
	DialFailed       Type = "leg.failed"         // leg, role, trunk, sip_code, reason, elapsed_ms
	DialCancelled    Type = "leg.cancelled"      // leg, reason: we gave up ringing it
	Skipped          Type = "operator.skipped"   // operator, reason: not rung (INUSE, UNAVAILABLE, paused…)
	LegEnded         Type = "leg.ended"          // leg, by, sip_code, reason
	PromptStarted    Type = "prompt.started"     // leg, prompt, text
	PromptEnded      Type = "prompt.ended"       // leg, prompt, reason (finished, interrupted)
	DigitReceived    Type = "digit"              // leg, digits, method, text (what was said, if the key was spoken)
	DigitsSent       Type = "digits.sent"        // leg, digits
	KeyPressed       Type = "key"                // leg, digits, action: what the scenario took the digit for
	Waiting          Type = "wait"               // leg, reason, timeout_ms
	RecordingStarted Type = "recording.started"  // transcribe, language: a transcript is wanted of it
	Joined           Type = "joined"             // leg, other
	Parted           Type = "parted"             // leg, other, reason, outcome
	Held             Type = "hold"               // leg: its phone has put the other on hold
	Resumed          Type = "resumed"            // leg
	TransferStarted  Type = "transfer.started"   // leg (who transfers), operator, number (dialled), action (attended, blind), method (keys, refer, api)
	TransferDone     Type = "transfer.completed" // leg (who has the other now), operator, number, action (attended, blind, three_way)
	TransferFailed   Type = "transfer.failed"    // leg (who transfers), operator, number, reason
	QueueJoined      Type = "queue.joined"       // leg, queue, position
	QueueLeft        Type = "queue.left"         // leg, queue, reason (answered, abandoned, timeout, full, empty, callback, ended), operator (who answered), elapsed_ms: the wait
	TransferReturned Type = "transfer.returned"  // leg (who transferred and gets the other back), operator, number
	Merged           Type = "merged"             // leg, operator, number, other_call: the leg came from that call, or went there
	Continued        Type = "call.continued"     // reason, elapsed_ms: the server was restarted and goes on with the call; for how long it was away
	Ended            Type = "call.ended"         // status, reason, reschedule, cancel_recalls, next_attempt_at
	RecordingState   Type = "recording"          // recording (ready, failed, none), duration_s, reason
	Transcribed      Type = "transcript.ready"   // segments
	NotTranscribed   Type = "transcript.failed"  // reason
	NoticePlayed     Type = "notice.played"      // leg, operator, reason (no_answer, busy, unavailable): the caller hears the operator's notice
	NoticeRecorded   Type = "notice.recorded"    // operator, duration_s
	NoticeDeleted    Type = "notice.deleted"     // operator
	Note             Type = "note"               // reason: a decision or a trouble worth telling
)

// Role says whom a leg belongs to.
type Role string

// The roles of legs.
const (
	Manager  Role = "manager"  // of a callback: called first
	Client   Role = "client"   // the call belongs to the client
	Operator Role = "operator" // takes an inbound or transferred call
	// Colleague is asked by an operator before a transfer, and does not have the
	// client yet.
	Colleague Role = "colleague"
)

// Event is one fact on a call's append-only timeline, written as it happens
// (specification 1-callback §7). Fields that do not apply are left out.
type Event struct {
	Seq    int64     `json:"seq" doc:"Position on the call's timeline, from 1, without holes"`
	At     time.Time `json:"at"`
	CallID string    `json:"call_id"`
	// Account is whose call it is. It is set on events that were stored, and by
	// the writer on Created alone; it never leaves the server.
	Account string `json:"-"`
	Type    Type   `json:"type"`
	Leg     string `json:"leg,omitempty" doc:"Name of the leg, unique within the call: m1, m2, c1…"`
	Other   string `json:"other,omitempty" doc:"The second leg where an event is about two"`
	Role    Role   `json:"role,omitempty"`

	Direction  Direction `json:"direction,omitempty"`
	CallbackID string    `json:"callback_id,omitempty"`
	Widget     string    `json:"widget,omitempty"`
	Attempt    int       `json:"attempt,omitempty"`

	Node       string `json:"node,omitempty" doc:"The media node that carries the call out"`
	Number     string `json:"number,omitempty" doc:"The number dialled or calling, E.164 where it has that form"`
	Operator   string `json:"operator,omitempty" doc:"Extension of the operator the leg belongs to"`
	Trunk      string `json:"trunk,omitempty"`
	CallerID   string `json:"caller_id,omitempty" doc:"The number shown to this leg"`
	SIPCode    int    `json:"sip_code,omitempty"`
	SIPCallID  string `json:"sip_call_id,omitempty" doc:"The leg's Call-ID in the signalling, to find it in a log or a capture"`
	Q850       int    `json:"q850,omitempty" doc:"The carrier's cause (ITU-T Q.850) beside sip_code"`
	Codec      string `json:"codec,omitempty"`
	EarlyMedia bool   `json:"early_media,omitempty"`
	By         string `json:"by,omitempty" doc:"Who ended it: far (the phone), us (the scenario), network (media or transport died)"`

	Queue    string `json:"queue,omitempty" doc:"Name of the queue"`
	Position int    `json:"position,omitempty" doc:"Place in the queue, from 1"`

	Prompt string `json:"prompt,omitempty" doc:"Which prompt: greeting, connecting, ringback…"`
	Text   string `json:"text,omitempty" doc:"What it says, or what was said"`
	Digits string `json:"digits,omitempty"`
	Method string `json:"method,omitempty" doc:"How a digit came: rfc4733, info, inband; voice: it was spoken. How a transfer was asked for: keys, refer, api"`
	Action string `json:"action,omitempty" doc:"What a key was taken for: cancel, connect…"`

	Outcome   Outcome `json:"outcome,omitempty" doc:"How a stage ended"`
	OtherCall string  `json:"other_call,omitempty" doc:"The other call where an event is about two"`

	Reason string  `json:"reason,omitempty"`
	Status *Status `json:"status,omitempty"`
	// Reschedule and CancelRecalls are what the manager wanted by a key.
	Reschedule    bool `json:"reschedule,omitempty" doc:"The manager wants another attempt after the next interval"`
	CancelRecalls bool `json:"cancel_recalls,omitempty" doc:"The manager wants no further attempts"`
	// NextAttemptAt is decided when the end is stored, in the same transaction.
	NextAttemptAt *time.Time `json:"next_attempt_at,omitempty" doc:"When the callback's next attempt is planned"`

	Recording  string  `json:"recording,omitempty"`
	Transcribe bool    `json:"transcribe,omitempty" doc:"A transcript is wanted"`
	Language   string  `json:"language,omitempty" doc:"In which the transcript is wanted"`
	Segments   int     `json:"segments,omitempty" doc:"How many segments the transcript has"`
	DurationS  float64 `json:"duration_s,omitempty"`
	ElapsedMS  int64   `json:"elapsed_ms,omitempty"`
	TimeoutMS  int64   `json:"timeout_ms,omitempty"`
}
