package directory_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/perezvon/perezvon/internal/directory"
)

// office works weekdays with a lunch break, Saturdays until noon, and nights
// from Friday on.
func office(zone string) *directory.Hours {
	day := directory.Spans{"09:00-13:00", "14:00-18:00"}
	return &directory.Hours{
		Timezone:   zone,
		Week:       directory.Week{Monday: day, Tuesday: day, Wednesday: day, Thursday: day, Friday: append(slices.Clone(day), "22:00-24:00"), Saturday: directory.Spans{"00:00-06:00", "09:00-12:00"}},
		Holidays:   []string{"01-01", "01-02", "2026-05-11"},
		Exceptions: map[string]directory.Spans{"2027-01-02": {"10:00-11:00"}, "12-31": {"09:00-11:00"}, "2026-12-31": nil, "2026-11-22": {"12:00-13:00"}},
	}
}

func TestWhenTheHoursAreOpenAndOpenNext(t *testing.T) {
	for _, tt := range []struct{ at, next string }{ // 2026-11-21 is a Saturday
		{"2026-11-20 08:59:59", "2026-11-20 09:00:00"},
		{"2026-11-20 09:00:00", ""},
		{"2026-11-20 12:59:59", ""},
		{"2026-11-20 13:00:00", "2026-11-20 14:00:00"},
		{"2026-11-20 18:00:00", "2026-11-20 22:00:00"},
		{"2026-11-20 23:59:59", ""}, // a night passes midnight
		{"2026-11-21 00:00:00", ""},
		{"2026-11-21 06:00:00", "2026-11-21 09:00:00"},
		{"2026-11-21 12:00:00", "2026-11-22 12:00:00"}, // a Sunday that is open by exception
		{"2026-11-22 13:00:00", "2026-11-23 09:00:00"},
		{"2026-05-11 10:00:00", "2026-05-12 09:00:00"}, // a holiday of one year
		{"2027-05-11 10:00:00", ""},
		{"2026-12-30 18:00:00", "2027-01-02 10:00:00"}, // closed by exception, holiday, opened by exception of that year
		{"2027-12-31 10:00:00", ""},
		{"2027-12-31 11:00:00", "2028-01-03 09:00:00"}, // exception and holidays of every year, then a Monday
	} {
		for _, zone := range []string{"Europe/Moscow", "America/New_York", "UTC"} {
			here, err := time.LoadLocation(zone)
			if err != nil {
				t.Fatal(err)
			}
			read := func(s string) time.Time {
				at, err := time.ParseInLocation(time.DateTime, s, here)
				if err != nil {
					t.Fatal(err)
				}
				return at
			}
			at, want := read(tt.at), read(tt.at)
			if tt.next != "" {
				want = read(tt.next)
			}
			if got := office(zone).Next(at.UTC()); !got.Equal(want) {
				t.Errorf("%s in %s: next %s, want %s", tt.at, zone, got.In(here), want)
			}
			if office(zone).Open(at.UTC()) != (tt.next == "") {
				t.Errorf("%s in %s: open the wrong way", tt.at, zone)
			}
		}
	}
}

func TestTheHoursFollowTheChangeOfTheClock(t *testing.T) {
	daily := func(span ...string) *directory.Hours {
		return &directory.Hours{Timezone: "Europe/Berlin", Week: directory.Week{Sunday: span}}
	}
	for _, tt := range []struct {
		name     string
		hours    *directory.Hours
		at, next string // UTC
	}{
		// On 2026-03-29 the clock goes from 02:00 to 03:00 at 01:00 UTC.
		{"nine is nine in summer", daily("09:00-18:00"), "2026-03-29T00:00:00Z", "2026-03-29T07:00:00Z"},
		{"nine is nine in winter", daily("09:00-18:00"), "2026-10-25T00:00:00Z", "2026-10-25T08:00:00Z"},
		{"a skipped opening time is the change", daily("02:30-05:00"), "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z"},
		{"a skipped span waits for another week", daily("02:10-02:50"), "2026-03-29T00:00:00Z", "2026-04-05T00:10:00Z"},
		// On 2026-10-25 it goes from 03:00 back to 02:00 at 01:00 UTC.
		{"what comes twice opens first", daily("02:15-02:45"), "2026-10-25T00:00:00Z", "2026-10-25T00:15:00Z"},
		{"and opens again", daily("02:15-02:45"), "2026-10-25T00:45:00Z", "2026-10-25T01:15:00Z"},
		{"the clock jumps back into a span", daily("01:30-02:30"), "2026-10-25T00:40:00Z", "2026-10-25T01:00:00Z"},
	} {
		at, _ := time.Parse(time.RFC3339, tt.at)
		want, _ := time.Parse(time.RFC3339, tt.next)
		if got := tt.hours.Next(at); !got.Equal(want) {
			t.Errorf("%s: %s, want %s", tt.name, got.UTC(), want)
		}
	}
}

func TestTheNextOpeningIsTheFirstOpenMinute(t *testing.T) {
	zones := []string{"Europe/Berlin", "America/New_York", "Asia/Beirut", "Australia/Lord_Howe", "America/Havana", "Europe/Moscow"}
	near := []string{"2026-03-28", "2026-10-24", "2026-03-07", "2026-10-31", "2026-04-04", "2026-10-03", "2026-06-01"}
	rapid.Check(t, func(t *rapid.T) {
		spans := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			from := rapid.IntRange(0, 24*12-1).Draw(t, "from")
			to := rapid.IntRange(from+1, 24*12).Draw(t, "to")
			return fmt.Sprintf("%02d:%02d-%02d:%02d", from/12, from%12*5, to/12, to%12*5)
		}), 0, 2)
		h := directory.Hours{Timezone: rapid.SampledFrom(zones).Draw(t, "zone")}
		for _, day := range []*directory.Spans{&h.Week.Saturday, &h.Week.Sunday, &h.Week.Monday, &h.Week.Tuesday} {
			*day = spans.Draw(t, "spans")
		}
		day, _ := time.Parse(time.DateOnly, rapid.SampledFrom(near).Draw(t, "day"))
		at := day.Add(time.Duration(rapid.IntRange(0, 24*60).Draw(t, "minute")) * time.Minute)
		got := h.Next(at)
		for m := range 3 * 24 * 60 {
			if want := at.Add(time.Duration(m) * time.Minute); h.Open(want) {
				if !got.Equal(want) {
					t.Fatalf("next after %s is %s, not %s", at, got, want)
				}
				return
			}
		}
		if !got.IsZero() && got.Before(at.Add(3*24*time.Hour)) {
			t.Fatalf("next after %s is %s, which is closed", at, got)
		}
	})
}

func TestHoursWithoutAnOpeningInAYearHaveNoNext(t *testing.T) {
	h := &directory.Hours{Timezone: "UTC", Exceptions: map[string]directory.Spans{"2030-01-01": {"09:00-10:00"}}}
	if at := h.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)); !at.IsZero() {
		t.Error(at)
	}
	if at := h.Next(time.Date(2029, 1, 2, 0, 0, 0, 0, time.UTC)); at.IsZero() {
		t.Error("a year ahead is not found")
	}
	var always *directory.Hours
	if now := time.Now(); !always.Open(now) || !always.Next(now).Equal(now) {
		t.Error("no hours are closed")
	}
}
