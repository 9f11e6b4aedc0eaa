package ari

import (
	"encoding/json"
	"time"
)

// The types of events that Event has fields for.
const (
	StasisStart          = "StasisStart"
	StasisEnd            = "StasisEnd"
	ChannelStateChange   = "ChannelStateChange"
	ChannelDestroyed     = "ChannelDestroyed"
	ChannelHangupRequest = "ChannelHangupRequest"
	ChannelDtmfReceived  = "ChannelDtmfReceived"
	ChannelHold          = "ChannelHold"
	ChannelUnhold        = "ChannelUnhold"
	ChannelTransfer      = "ChannelTransfer"
	ChannelDialplan      = "ChannelDialplan"
	DialEvent            = "Dial"
	DeviceStateChanged   = "DeviceStateChanged"
)

// Event is what Asterisk told. Which fields are set depends on its Type; nothing
// is invented for one that Asterisk left out.
type Event struct {
	Type        string `json:"type"`
	Application string `json:"application"`
	// Args are those of a channel that came into the application (StasisStart).
	Args    []string `json:"args"`
	Channel *Channel `json:"channel"`
	// Peer is the channel that is called, DialStatus how far that is: empty
	// (begun), RINGING, PROGRESS, ANSWER, BUSY, CONGESTION, NOANSWER, CANCEL,
	// CHANUNAVAIL (Dial).
	Peer       *Channel `json:"peer"`
	DialStatus string   `json:"dialstatus"`
	// Digit is a key (ChannelDtmfReceived): the event comes when it is let go.
	// DurationMS is how long it was held, in milliseconds.
	Digit      string `json:"digit"`
	DurationMS int    `json:"duration_ms"`
	// Cause is why a channel ended, by Q.850; TechCause what the other side
	// said, a SIP status, 0: nothing, or an Asterisk that does not tell
	// (ChannelDestroyed, ChannelHangupRequest).
	Cause     int    `json:"cause"`
	CauseText string `json:"cause_txt"`
	TechCause int    `json:"tech_cause"`
	// State is how far a transfer has come that we told of before; empty: it is
	// news (ChannelTransfer).
	State string `json:"state"`
	// ReferTo is where a phone wants its call to go, ReferredBy who wants it
	// (ChannelTransfer).
	ReferTo    *ReferTo    `json:"refer_to"`
	ReferredBy *ReferredBy `json:"referred_by"`
	// DialplanApp is the dialplan's application that the channel has come to,
	// and DialplanData what it was given: Stasis, perezvon (ChannelDialplan).
	DialplanApp  string `json:"dialplan_app"`
	DialplanData string `json:"dialplan_app_data"`
	// DeviceState is what a device does (DeviceStateChanged).
	DeviceState *DeviceState `json:"device_state"`
	// Timestamp is when it happened, by Asterisk's clock.
	Timestamp Time `json:"timestamp"`
}

// Channel is one side of a call in Asterisk.
type Channel struct {
	ID string `json:"id"`
	// Name begins with the technology and the endpoint: PJSIP/101-00000001.
	Name string `json:"name"`
	// State is one of the State… constants, or another of Asterisk's.
	State     string   `json:"state"`
	Caller    CallerID `json:"caller"`
	Connected CallerID `json:"connected"`
	Dialplan  struct {
		Context string `json:"context"`
		Exten   string `json:"exten"`
	} `json:"dialplan"`
	// Vars are what Asterisk is configured to tell, and of external media where
	// Asterisk takes RTP.
	Vars map[string]string `json:"channelvars"`
}

// The states of a channel that matter.
const (
	StateDown    = "Down"
	StateRing    = "Ring"    // it calls us
	StateRinging = "Ringing" // we call it
	StateUp      = "Up"
)

// CallerID is a number and a name.
type CallerID struct {
	Name   string `json:"name"`
	Number string `json:"number"`
}

// ReferTo is where a transfer is to go.
type ReferTo struct {
	Requested *struct {
		Destination string `json:"destination"`
		// Parameters are those of the protocol, as Replaces.
		Parameters []struct {
			Name  string `json:"parameter_name"`
			Value string `json:"parameter_value"`
		} `json:"additional_protocol_params"`
	} `json:"requested_destination"`
	// Destination is the phone's other channel, of an attended transfer, if it
	// is here.
	Destination *Channel `json:"destination_channel"`
	Connected   *Channel `json:"connected_channel"`
}

// ReferredBy is who wants a transfer.
type ReferredBy struct {
	Source    *Channel `json:"source_channel"`
	Connected *Channel `json:"connected_channel"`
}

// Bridge is where channels hear each other.
type Bridge struct {
	ID       string   `json:"id"`
	Type     string   `json:"bridge_type"`
	Channels []string `json:"channels"`
}

// Application is what a Stasis application has to do with.
type Application struct {
	// Channels are the identifiers of those that are in it.
	Channels []string `json:"channel_ids"`
}

// DeviceState is what a device does, in the words of DEVICE_STATE().
type DeviceState struct {
	Name  string `json:"name"`
	State string `json:"state"`
}

// Time is a moment as Asterisk writes it: 2026-11-21T11:49:19.419+0000.
type Time struct{ time.Time }

// UnmarshalJSON reads it; what cannot be read is the zero time.
func (t *Time) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	t.Time, _ = time.Parse("2006-01-02T15:04:05.000-0700", s)
	return nil
}
