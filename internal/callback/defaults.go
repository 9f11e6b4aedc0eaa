package callback

import (
	"net/netip"
	"strings"
)

// Or is the packet with another's settings where it has none of its own: the
// packet wins over the widget. Blank text, nil numbers and switches, and empty
// lists are none; a switch that is false and a number that is 0 are settings,
// and a list is taken whole or not at all. What belongs to one request is never
// taken over: client, client_ip, attempt and the widget's name.
//
// Where two fields answer one question, the packet's answer by either keeps
// both of the other's out: the two repeat limits, and a side's list of trunks
// where the packet names its trunk.
func (p Packet) Or(d Packet) Packet {
	repeats := p.RepeatsBeforeConnect == nil && p.RepeatsBeforeHangup == nil
	trunk := p.Trunk == ""

	for _, f := range []struct {
		to   *string
		from string
	}{
		{&p.DialMode, d.DialMode},
		{&p.Greeting, d.Greeting},
		{&p.ConnectingText, d.ConnectingText},
		{&p.IVRText, d.IVRText},
		{&p.ExtraInfo, d.ExtraInfo},
		{&p.Language, d.Language},
		{&p.Voice, d.Voice},
		{&p.DTMFConnect, d.DTMFConnect},
		{&p.DTMFExtraInfo, d.DTMFExtraInfo},
		{&p.DTMFCancel, d.DTMFCancel},
		{&p.DTMFCancelRecalls, d.DTMFCancelRecalls},
		{&p.DTMFReschedule, d.DTMFReschedule},
		{&p.DTMFToManager, d.DTMFToManager},
		{&p.ClientCallerID, d.ClientCallerID},
		{&p.DefaultCallerIDManager, d.DefaultCallerIDManager},
		{&p.DefaultCallerIDClient, d.DefaultCallerIDClient},
		{&p.Trunk, d.Trunk},
		{&p.FailoverOn, d.FailoverOn},
		{&p.LogURL, d.LogURL},
		{&p.StatusURL, d.StatusURL},
		{&p.EventsURL, d.EventsURL},
	} {
		if strings.TrimSpace(*f.to) == "" {
			*f.to = f.from
		}
	}

	or(&p.VoiceControl, d.VoiceControl)
	or(&p.Transcribe, d.Transcribe)
	or(&p.SubstituteForManager, d.SubstituteForManager)
	or(&p.SubstituteForClient, d.SubstituteForClient)
	or(&p.ExtensionDelayMS, d.ExtensionDelayMS)
	or(&p.ClientDelayMS, d.ClientDelayMS)
	or(&p.ManagerTimeoutS, d.ManagerTimeoutS)
	or(&p.ClientTimeoutS, d.ClientTimeoutS)
	or(&p.AfterCallS, d.AfterCallS)
	or(&p.StartWithinS, d.StartWithinS)
	if repeats {
		p.RepeatsBeforeConnect, p.RepeatsBeforeHangup = d.RepeatsBeforeConnect, d.RepeatsBeforeHangup
	}

	orList(&p.Managers, d.Managers)
	if trunk {
		orList(&p.TrunksManager, d.TrunksManager)
		orList(&p.TrunksClient, d.TrunksClient)
	}
	return p
}

func or[T any](to **T, from *T) {
	if *to == nil {
		*to = from
	}
}

func orList[S ~[]T, T any](to *S, from S) {
	if len(*to) == 0 {
		*to = from
	}
}

// NormalizeSettings is Normalize for a packet that is the settings of a widget:
// what is there is judged and normalised, nothing is filled in, and nobody need
// be named yet. What belongs to one request may not be there.
func (p Packet) NormalizeSettings(region string, allow ...netip.Prefix) (Packet, error) {
	c := check{region: region, allow: allow}
	for _, f := range []struct {
		path  string
		given bool
	}{
		{"widget", p.Widget != ""}, {"client", p.Client != ""}, {"client_ip", p.ClientIP != ""}, {"attempt", p.Attempt != 0},
	} {
		if f.given {
			c.bad.Add(f.path, "belongs to a request, not to a widget")
		}
	}
	if len(p.Managers) > 0 {
		p.Managers = c.managers(p.Managers)
	}
	filled := p
	filled.Widget, filled.Client, filled.ClientIP, filled.Attempt = "", "", "", 0
	filled.FillIn()
	c.packet(&filled)
	if err := c.bad.Err(); err != nil {
		return Packet{}, err
	}
	return p, nil
}
