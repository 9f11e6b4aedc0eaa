package directory

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/invalid"
)

// Hours are when somebody works, by the clock on the wall of a place. A nil
// *Hours is always open.
type Hours struct {
	Timezone string `json:"timezone" doc:"IANA name" example:"Europe/Moscow"`
	Week     Week   `json:"week" doc:"Opening times of each weekday; a day without any is closed"`
	// Holidays and Exceptions are by date: "2026-05-09", or "05-09" for every
	// year. A date with its year comes before one without.
	Holidays   []string         `json:"holidays,omitempty" doc:"Closed: 2026-05-09, or 05-09 every year"`
	Exceptions map[string]Spans `json:"exceptions,omitempty" doc:"Opening times of a date instead of its weekday's, by 2026-12-31 or 12-31; an empty list: closed"`
}

// Week holds the spans of each weekday.
type Week struct {
	Monday    Spans `json:"mon,omitempty"`
	Tuesday   Spans `json:"tue,omitempty"`
	Wednesday Spans `json:"wed,omitempty"`
	Thursday  Spans `json:"thu,omitempty"`
	Friday    Spans `json:"fri,omitempty"`
	Saturday  Spans `json:"sat,omitempty"`
	Sunday    Spans `json:"sun,omitempty"`
}

// Spans are the opening times of one day: "09:00-13:00", "14:00-24:00". A night
// is written as the end of one day and the beginning of the next.
type Spans []string

const (
	maxSpans = 24
	maxDates = 1000
	// farthest bounds the search for the next opening, in days: a year, and the
	// leap day.
	farthest = 366
)

var (
	clock    = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`)
	weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // by time.Weekday
)

func (w Week) on(d time.Weekday) Spans {
	return [...]Spans{w.Sunday, w.Monday, w.Tuesday, w.Wednesday, w.Thursday, w.Friday, w.Saturday}[d]
}

// Open tells whether t is within the hours.
func (h *Hours) Open(t time.Time) bool {
	if h == nil {
		return true
	}
	t = t.In(h.location())
	minute := 60*t.Hour() + t.Minute()
	return slices.ContainsFunc(h.spansOf(t), func(s string) bool {
		from, to := bounds(s)
		return from <= minute && minute < to
	})
}

// Next is the first moment from t on that is within the hours; zero if there is
// none within a year. It is true to changes of the clock: an opening time that
// is skipped is the moment after the change, one that comes twice opens twice.
func (h *Hours) Next(t time.Time) time.Time {
	if h.Open(t) {
		return t
	}
	here := h.location()
	year, month, day := t.In(here).Date()
	for i := range farthest + 1 {
		noon := time.Date(year, month, day+i, 12, 0, 0, 0, here) // there is one on every day
		var next time.Time
		for _, s := range h.spansOf(noon) {
			for _, at := range openings(noon, s) {
				if at.After(t) && sameDay(at, noon) && h.Open(at) && (next.IsZero() || at.Before(next)) {
					next = at
				}
			}
		}
		if !next.IsZero() {
			return next
		}
	}
	return time.Time{}
}

// openings are the moments at which the span could begin on that day: by the
// clock before and after a change of it, and at the change itself.
func openings(day time.Time, span string) []time.Time {
	from, _ := bounds(span)
	year, month, date := day.Date()
	at := time.Date(year, month, date, 0, from, 0, 0, day.Location())
	list := []time.Time{at}
	start, end := at.ZoneBounds()
	for _, change := range []time.Time{start, end} {
		if change.IsZero() {
			continue
		}
		_, before := change.Add(-time.Second).Zone()
		_, after := change.Zone()
		shift := time.Duration(after-before) * time.Second
		list = append(list, change, at.Add(shift), at.Add(-shift))
	}
	return list
}

func sameDay(a, b time.Time) bool {
	ay, am, ad := a.Date()
	by, bm, bd := b.Date()
	return ay == by && am == bm && ad == bd
}

// spansOf are the opening times of the day that t is in.
func (h *Hours) spansOf(t time.Time) Spans {
	for _, layout := range []string{time.DateOnly, "01-02"} {
		date := t.Format(layout)
		if spans, ok := h.Exceptions[date]; ok {
			return spans
		}
		if slices.Contains(h.Holidays, date) {
			return nil
		}
	}
	return h.Week.on(t.Weekday())
}

func (h *Hours) location() *time.Location {
	if here, err := time.LoadLocation(h.Timezone); err == nil {
		return here
	}
	return time.UTC // not after Validate
}

// bounds are the minutes of the day between which a valid span lasts.
func bounds(span string) (from, to int) {
	from = minutes(span[:5])
	return from, minutes(span[6:])
}

func minutes(hhmm string) int {
	at := func(i int) int { return int(hhmm[i] - '0') }
	return 60*(10*at(0)+at(1)) + 10*at(3) + at(4)
}

func (h *Hours) validate(bad *invalid.Error, path string) {
	if _, err := time.LoadLocation(h.Timezone); err != nil || h.Timezone == "" || h.Timezone == "Local" {
		bad.Add(path+".timezone", "want a name like Europe/Moscow or UTC")
	}
	before := len(*bad)
	open := false
	for d, name := range weekdays {
		spans := h.Week.on(time.Weekday(d))
		spans.validate(bad, path+".week."+name)
		open = open || len(spans) > 0
	}
	if len(h.Holidays) > maxDates {
		bad.Add(path+".holidays", fmt.Sprintf("want at most %d", maxDates))
	}
	for i, date := range h.Holidays {
		at := fmt.Sprintf("%s.holidays[%d]", path, i)
		_, exception := h.Exceptions[date]
		switch {
		case !isDate(date):
			bad.Add(at, "want a date: 2026-05-09, or 05-09 for every year")
		case exception:
			bad.Add(at, "is among the exceptions too")
		case slices.Contains(h.Holidays[:i], date):
			bad.Add(at, "named twice")
		}
	}
	if len(h.Exceptions) > maxDates {
		bad.Add(path+".exceptions", fmt.Sprintf("want at most %d", maxDates))
	}
	for _, date := range slices.Sorted(maps.Keys(h.Exceptions)) {
		spans, at := h.Exceptions[date], path+".exceptions."+date
		if !isDate(date) {
			bad.Add(at, "want a date: 2026-05-09, or 05-09 for every year")
		}
		spans.validate(bad, at)
		open = open || len(spans) > 0
	}
	if !open && len(*bad) == before {
		bad.Add(path+".week", "is never open")
	}
}

func (s Spans) validate(bad *invalid.Error, path string) {
	if len(s) > maxSpans {
		bad.Add(path, fmt.Sprintf("want at most %d", maxSpans))
		return
	}
	for i, span := range s {
		at := fmt.Sprintf("%s[%d]", path, i)
		if !clock.MatchString(span) {
			bad.Add(at, "want 09:00-18:00")
		} else if from, to := bounds(span); from >= to {
			bad.Add(at, "ends before it begins; write a night as 22:00-24:00 and, on the next day, 00:00-06:00")
		}
	}
}

func isDate(s string) bool {
	if !strings.HasPrefix(s, "0000") && len(s) == len(time.DateOnly) {
		_, err := time.Parse(time.DateOnly, s)
		return err == nil
	}
	_, err := time.Parse(time.DateOnly, "2000-"+s) // a leap year
	return err == nil && len(s) == len("01-02")
}
