package callback

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/invalid"
)

// ofOneRequest are the fields that are no settings.
var ofOneRequest = []string{"Widget", "Client", "ClientIP", "Attempt"}

// settings is a packet with every setting.
func settings() Packet {
	p := full()
	p.Widget, p.Client, p.ClientIP, p.Attempt = "", "", "", 0
	return p
}

// "Each field can also be set once on the widget; the packet wins over the
// widget, the widget over the server's default."
func TestThePacketWinsOverTheWidget(t *testing.T) {
	w := settings()
	request := Packet{Widget: "site", Client: "+79161234567", ClientIP: "203.0.113.7", Attempt: 2}
	got := reflect.ValueOf(request.Or(w))
	for i := range got.NumField() {
		name := got.Type().Field(i).Name
		want := reflect.ValueOf(w).Field(i).Interface()
		if slices.Contains(ofOneRequest, name) {
			want = reflect.ValueOf(request).Field(i).Interface()
		}
		if d := cmp.Diff(want, got.Field(i).Interface()); d != "" {
			t.Errorf("%s is not the widget's: %s", name, d)
		}
	}

	own := Packet{
		Managers: Managers{{Number: "+74950000009"}}, Client: "+79161234567", DialMode: "sequential", Greeting: "a", ConnectingText: "b", IVRText: "c",
		RepeatsBeforeConnect: n(1), ExtraInfo: "d", Language: "de", Voice: "male", VoiceControl: new(false), Transcribe: new(false),
		ExtensionDelayMS: n(1), ClientDelayMS: n(2), ManagerTimeoutS: n(6), ClientTimeoutS: n(7), AfterCallS: n(8),
		DTMFConnect: "1", DTMFExtraInfo: "2", DTMFCancel: "3", DTMFCancelRecalls: "4", DTMFReschedule: "6", DTMFToManager: "7",
		ClientCallerID: "x1", DefaultCallerIDManager: "x2", DefaultCallerIDClient: "x3",
		SubstituteForManager: new(true), SubstituteForClient: new(true),
		Trunk: "t", TrunksManager: []string{"tm"}, TrunksClient: []string{"tc"}, FailoverOn: "network", StartWithinS: n(9),
		LogURL: "http://a", StatusURL: "http://b", EventsURL: "http://c",
	}
	if d := cmp.Diff(own, own.Or(w)); d != "" {
		t.Error("the widget won:", d)
	}
}

func TestWhatCountsAsASettingOfThePacket(t *testing.T) {
	no, yes, zero := new(false), new(true), n(0)
	for name, tt := range map[string]struct{ packet, widget, want Packet }{
		"a switch that is off wins over one that is on": {Packet{Transcribe: no}, Packet{Transcribe: yes}, Packet{Transcribe: no}},
		"a switch that is left out does not":            {Packet{}, Packet{Transcribe: yes}, Packet{Transcribe: yes}},
		"a zero wins over a number":                     {Packet{ClientDelayMS: zero}, Packet{ClientDelayMS: n(5)}, Packet{ClientDelayMS: zero}},
		"blank text does not":                           {Packet{Greeting: " \n"}, Packet{Greeting: "Hi"}, Packet{Greeting: "Hi"}},
		"an empty list does not":                        {Packet{TrunksClient: []string{}}, Packet{TrunksClient: []string{"a"}}, Packet{TrunksClient: []string{"a"}}},
		"a list is taken whole": {
			Packet{Managers: Managers{{Number: "101"}}}, Packet{Managers: Managers{{Number: "102"}, {Number: "103"}}}, Packet{Managers: Managers{{Number: "101"}}},
		},
		"a repeat limit keeps the other kind out": {
			Packet{RepeatsBeforeConnect: n(2)}, Packet{RepeatsBeforeHangup: n(20)}, Packet{RepeatsBeforeConnect: n(2)},
		},
		"a trunk keeps the widget's lists out": {
			Packet{Trunk: "mine"}, Packet{TrunksClient: []string{"a"}, TrunksManager: []string{"b"}}, Packet{Trunk: "mine"},
		},
	} {
		if d := cmp.Diff(tt.want, tt.packet.Or(tt.widget)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestSettingsOfAWidgetAreJudgedWithoutAClient(t *testing.T) {
	for _, p := range []Packet{{}, settings(), {RepeatsBeforeHangup: n(17)}} {
		got, err := p.NormalizeSettings("RU")
		if err != nil {
			t.Fatal(err)
		}
		got.Managers, p.Managers = nil, nil
		if d := cmp.Diff(p, got); d != "" {
			t.Error("defaults were filled in:", d)
		}
	}
	got, err := settings().NormalizeSettings("RU")
	if err != nil || got.Managers.String() != "+74951234567^101_102_103" {
		t.Error(got.Managers, err)
	}
	for field, p := range map[string]Packet{
		"client": {Client: "+79161234567"}, "widget": {Widget: "a"}, "client_ip": {ClientIP: "192.0.2.1"}, "attempt": {Attempt: 1},
		"managers[0].number": {Managers: Managers{{Number: "12 34"}}}, "dtmf_cancel": {DTMFConnect: "1", DTMFCancel: "1"},
		"log_url": {LogURL: "http://10.0.0.1/"}, "dial_mode": {DialMode: "x"},
	} {
		_, err := p.NormalizeSettings("RU")
		var bad invalid.Error
		if !errors.As(err, &bad) || len(bad) != 1 || !strings.HasPrefix(bad[0].Path, field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
