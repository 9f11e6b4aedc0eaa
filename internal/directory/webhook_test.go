package directory

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/invalid"
)

func TestAWebhookGetsTheEventsItNames(t *testing.T) {
	for _, tt := range []struct {
		events     string
		directions []call.Direction
		direction  call.Direction
		typ        call.Type
		want       bool
	}{
		{"*", nil, call.Inbound, call.Ended, true},
		{"call.ended", nil, call.Inbound, call.Ended, true},
		{"call.ended", nil, call.Inbound, call.Created, false},
		{"call.ended joined", nil, call.Internal, call.Joined, true},
		{"leg.*", nil, call.Callback, call.Answered, true},
		{"leg.*", nil, call.Callback, call.Ended, false},
		{"recording.*", nil, call.Callback, call.RecordingState, false}, // "recording" is not in the group
		{"*", []call.Direction{call.Inbound}, call.Callback, call.Ended, false},
		{"*", []call.Direction{call.Inbound, call.Callback}, call.Callback, call.Ended, true},
	} {
		w := Webhook{Events: strings.Fields(tt.events), Directions: tt.directions}
		if got := w.Wants(tt.direction, tt.typ); got != tt.want {
			t.Errorf("%s of %v, %s of %s: %v", tt.events, tt.directions, tt.typ, tt.direction, got)
		}
	}
}

func TestWhatIsWrongWithAWebhookIsNamed(t *testing.T) {
	good := Webhook{URL: "https://example.com/hook", Events: []string{"call.ended"}}
	if err := good.Validate(); err != nil || !good.On() {
		t.Error(err)
	}
	for field, spoil := range map[string]func(*Webhook){
		"url":           func(w *Webhook) { w.URL = "http://127.0.0.1/" },
		"events":        func(w *Webhook) { w.Events = nil },
		"events[1]":     func(w *Webhook) { w.Events = []string{"*", "call.endd"} },
		"events[0]":     func(w *Webhook) { w.Events = []string{"le*"} },
		"directions[0]": func(w *Webhook) { w.Directions = []call.Direction{"sideways"} },
		"description":   func(w *Webhook) { w.Description = strings.Repeat("я", 501) },
	} {
		w := good
		spoil(&w)
		var fields invalid.Error
		if !errors.As(w.Validate(), &fields) || len(fields) != 1 || fields[0].Path != field {
			t.Errorf("%s: %v", field, fields)
		}
	}
	if err := (Webhook{}).Validate(); err == nil {
		t.Error("an empty one passes")
	}
	local := Webhook{URL: "http://10.1.2.3/", Events: []string{"*"}}
	if err := local.Validate(netip.MustParsePrefix("10.1.0.0/16")); err != nil {
		t.Error(err)
	}
}
