package directory_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
)

func widget() directory.Widget {
	return directory.Widget{
		Name:            "site-1",
		Packet:          callback.Packet{Managers: callback.Managers{{Number: "+74951234567", Group: "sales"}, {Number: "101"}}, Greeting: "Привет", LogURL: "http://10.0.0.1/"},
		RecallIntervals: []directory.Duration{directory.Duration(5 * time.Minute), directory.Duration(time.Hour)},
		Hours:           office("Europe/Moscow"),
		Blacklist:       []string{"+79161234567", "+7809*", "+7800???0000"},
		RatePerClient:   &directory.Rate{Count: 3, Per: directory.Duration(time.Hour)},
		RatePerAddress:  &directory.Rate{Count: 10, Per: directory.Duration(24 * time.Hour)},
	}
}

func TestAWidgetThatBreaksARuleIsNamedByField(t *testing.T) {
	for want, change := range map[string]func(*directory.Widget){
		"":                   func(*directory.Widget) {},
		"name":               func(w *directory.Widget) { w.Name = "a b" },
		"client":             func(w *directory.Widget) { w.Client = "+79161234567" },
		"managers[0].number": func(w *directory.Widget) { w.Managers[0].Number = "8 495 123-45-67" },
		"dial_mode":          func(w *directory.Widget) { w.DialMode = "round_robin" },
		"recall_intervals": func(w *directory.Widget) {
			w.RecallIntervals = make([]directory.Duration, 101)
			fill(w.RecallIntervals)
		},
		"recall_intervals[1]":            func(w *directory.Widget) { w.RecallIntervals[1] = directory.Duration(time.Second) },
		"recall_on[0]":                   func(w *directory.Widget) { w.RecallOn = []directory.StatusName{"busy"} },
		"recall_on[1]":                   func(w *directory.Widget) { w.RecallOn = []directory.StatusName{"client_busy", "client_busy"} },
		"hours.timezone":                 func(w *directory.Widget) { w.Hours.Timezone = "Europe/Moskau" },
		"hours.week.mon[0]":              func(w *directory.Widget) { w.Hours.Week.Monday = directory.Spans{"9-18"} },
		"hours.week.tue[1]":              func(w *directory.Widget) { w.Hours.Week.Tuesday = directory.Spans{"00:00-24:00", "18:00-09:00"} },
		"hours.week":                     func(w *directory.Widget) { w.Hours.Week, w.Hours.Exceptions = directory.Week{}, nil },
		"hours.holidays[1]":              func(w *directory.Widget) { w.Hours.Holidays = []string{"02-29", "2026-02-29"} },
		"hours.holidays[0]":              func(w *directory.Widget) { w.Hours.Holidays = []string{"12-31"} },
		"hours.exceptions.1-1":           func(w *directory.Widget) { w.Hours.Exceptions["1-1"] = nil },
		"hours.exceptions.2026-11-22[0]": func(w *directory.Widget) { w.Hours.Exceptions["2026-11-22"] = directory.Spans{"24:00-24:00"} },
		"blacklist[0]":                   func(w *directory.Widget) { w.Blacklist[0] = "8916" },
		"blacklist[1]":                   func(w *directory.Widget) { w.Blacklist[1] = "+" },
		"responsible_source":             func(w *directory.Widget) { w.ResponsibleSource = call.SourceCRM },
		"responsible_crm_timeout_ms": func(w *directory.Widget) {
			w.ResponsibleFirst, w.ResponsibleSource, w.ResponsibleCRMTimeoutMS = true, call.SourceCRM, 10001
		},
		"rate_per_client.count": func(w *directory.Widget) { w.RatePerClient.Count = 0 },
		"rate_per_address.per":  func(w *directory.Widget) { w.RatePerAddress.Per = -1 },
	} {
		w := widget()
		change(&w)
		names(t, w.Validate(), want)
	}
}

func fill(list []directory.Duration) {
	for i := range list {
		list[i] = directory.Duration(time.Minute)
	}
}

func TestAWidgetIsFlatJSONAndReadsEachForm(t *testing.T) {
	var w directory.Widget
	if err := json.Unmarshal([]byte(`{
		"name": "site-1", "managers": "84951234567^12_101", "greeting": "Привет", "voice_control": false, "client_delay_ms": 0,
		"recall_intervals": ["5m", 900, "1h30m", "1d12h", "2d"], "recall_on": ["client_busy", 408, "701"],
		"rate_per_client": {"count": 3, "per": 60}
	}`), &w); err != nil {
		t.Fatal(err)
	}
	w, err := w.Normalize("RU")
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"name":"site-1","managers":[{"number":"+74951234567","extension":"12"},{"number":"101"}],"greeting":"Привет","voice_control":false,"client_delay_ms":0,` +
		`"recall_intervals":["5m","15m","1h30m","36h","48h"],"recall_on":["client_busy","client_no_answer","manager_no_answer"],"rate_per_client":{"count":3,"per":"1m"}}`
	if d := cmp.Diff(want, string(b)); d != "" {
		t.Error(d)
	}
	var back directory.Widget
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(w, back); d != "" {
		t.Error(d)
	}
	w.RecallOn = []directory.StatusName{}
	if b, err = json.Marshal(w); err != nil || !strings.Contains(string(b), `"recall_on":[]`) {
		t.Error("no recalls at all is not kept apart from the default", string(b), err)
	}
	for _, body := range []string{`{"name":"a","recall_intervals":["soon"]}`, `{"name":"a","recall_intervals":[1e300]}`, `{"name":"a","recall_intervals":[{}]}`, `{"name":"a","recall_intervals":["1d-1h"]}`, `{"name":"a","recall_intervals":["99999d"]}`} {
		var w directory.Widget
		if err := json.Unmarshal([]byte(body), &w); err != nil {
			t.Fatal(err)
		}
		names(t, w.Validate(), "recall_intervals[0]")
	}
}

func TestWhenAnotherAttemptIsDue(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.DateTime, s)
		if err != nil {
			t.Fatal(err)
		}
		return v.Add(-3 * time.Hour) // Moscow
	}
	plain := directory.Widget{RecallIntervals: []directory.Duration{directory.Duration(5 * time.Minute), directory.Duration(time.Hour)}}
	chosen, never, open := plain, plain, plain
	chosen.RecallOn = []directory.StatusName{"client_declined"}
	never.RecallOn = []directory.StatusName{}
	open.Hours = office("Europe/Moscow")
	for _, tt := range []struct {
		name       string
		widget     directory.Widget
		attempt    int
		status     call.Status
		reschedule bool
		now, want  string
	}{
		{"the first interval", plain, 1, call.ClientBusy, false, "2026-11-20 10:00:00", "2026-11-20 10:05:00"},
		{"the second", plain, 2, call.Interrupted, false, "2026-11-20 10:00:00", "2026-11-20 11:00:00"},
		{"no more intervals", plain, 3, call.ClientBusy, false, "2026-11-20 10:00:00", ""},
		{"both talked", plain, 1, call.Completed, false, "2026-11-20 10:00:00", ""},
		{"an unknown number is not called again", plain, 1, call.ClientUnknown, false, "2026-11-20 10:00:00", ""},
		{"cancelled", plain, 1, call.CancelledByManager, false, "2026-11-20 10:00:00", ""},
		{"the statuses are the widget's", chosen, 1, call.ClientDeclined, false, "2026-11-20 10:00:00", "2026-11-20 10:05:00"},
		{"and only those", chosen, 1, call.ClientBusy, false, "2026-11-20 10:00:00", ""},
		{"an empty list is none", never, 1, call.ClientBusy, false, "2026-11-20 10:00:00", ""},
		{"rescheduled, whatever the status", plain, 1, call.Completed, true, "2026-11-20 10:00:00", "2026-11-20 10:05:00"},
		{"rescheduled after the last", plain, 7, call.RescheduledByManager, true, "2026-11-20 10:00:00", "2026-11-20 11:00:00"},
		{"rescheduled without a widget", directory.Widget{}, 1, call.RescheduledByManager, true, "2026-11-20 10:00:00", "2026-11-20 10:15:00"},
		{"no widget, no recalls", directory.Widget{}, 1, call.ClientBusy, false, "2026-11-20 10:00:00", ""},
		{"within the hours", open, 1, call.ClientBusy, false, "2026-11-20 12:00:00", "2026-11-20 12:05:00"},
		{"moved past lunch", open, 1, call.ClientBusy, false, "2026-11-20 12:57:00", "2026-11-20 14:00:00"},
		{"moved past the holidays", open, 2, call.ClientBusy, false, "2026-12-30 17:30:00", "2027-01-02 10:00:00"},
		{"not for ever", plain, 1000, call.RescheduledByManager, true, "2026-11-20 10:00:00", ""},
	} {
		got, ok := tt.widget.RecallAt(tt.attempt, tt.status, tt.reschedule, at(tt.now))
		if ok != (tt.want != "") || ok && !got.Equal(at(tt.want)) {
			t.Errorf("%s: %v %v", tt.name, got, ok)
		}
	}
}

func TestWhoIsOnTheBlacklist(t *testing.T) {
	w := widget()
	for number, want := range map[string]bool{
		"+79161234567": true, "+79161234568": false, "+791612345678": false,
		"+78095550011": true, "+7809": true, "+780": false,
		"+78001230000": true, "+78001230001": false, "+780012300000": false, "": false,
	} {
		if w.Blocked(number) != want {
			t.Errorf("%q: %v", number, !want)
		}
	}
	if strings.Contains(directory.Duration(90*time.Minute).String(), "0s") {
		t.Error("not the shortest form")
	}
}
