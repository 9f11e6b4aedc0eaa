package directory_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
)

func TestWhatAMaskTakes(t *testing.T) {
	for mask, tt := range map[string]struct{ yes, no string }{
		"_7495XXXXXXX": {"74951234567 74950000000", "7495123456 749512345678 74961234567 +74951234567"},
		"_1XX":         {"100 199", "10 200 1000 1*0"},
		"_NZX":         {"210 999", "110 200 19"},
		"_[1-3579]0":   {"10 20 30 50 70 90", "40 60 80 00"},
		"_8[-]":        {"", ""}, // not a mask
		"_+7.":         {"+74 +7495x", "+7 74951234567"},
		"_7!":          {"7 74951234567", "8 "},
		"_.":           {"1 s anonymous", ""},
		"_*6X#":        {"*60# *69#", "*6# 60#"},
		"_7-495-xxx":   {"7495123", "7-495-123"},
	} {
		m, err := directory.ParseMask(mask)
		if (err != nil) != (tt.yes == "" && tt.no == "") {
			t.Errorf("%s: %v", mask, err)
		}
		if err != nil {
			continue
		}
		for number := range strings.FieldsSeq(tt.yes) {
			if !m.Match(number) {
				t.Errorf("%s does not take %s", mask, number)
			}
		}
		for number := range strings.FieldsSeq(tt.no) {
			if m.Match(number) {
				t.Errorf("%s takes %s", mask, number)
			}
		}
		if m.Match("") {
			t.Errorf("%s takes nothing at all", mask)
		}
	}
	for _, bad := range []string{"", "7", "_", "_-", "_[", "_[]", "_[12", "_[a]", "_[5-1]", "_[1-]", "_7.1", "_7!!", "_7 1", "_a", "_7é", "_" + strings.Repeat("X", 64)} {
		if m, err := directory.ParseMask(bad); err == nil {
			t.Errorf("%q is taken for %v", bad, m)
		}
	}
}

// "masks by Asterisk's order": the order is that of the list.
func TestTheMoreSpecificMaskComesFirst(t *testing.T) {
	order := []string{"_123", "_12[34]", "_12[35]", "_12N", "_12Z", "_12X", "_12.", "_12!", "_1[2-4]3", "_1X3", "_1XX", "_1X.", "_[12]XX", "_NXX", "_ZXX", "_XXX", "_XX", "_X.", "_X!", "_.", "_!"}
	for i, a := range order {
		for j, b := range order {
			if a == "_XX" && b == "_XXX" || a == "_XXX" && b == "_XX" {
				continue // no number fits both; longer or shorter is as good
			}
			x, y := parse(t, a), parse(t, b)
			if c := x.Compare(y); c < 0 != (i < j) || c == 0 != (i == j) {
				t.Errorf("%s against %s: %d", a, b, c)
			}
		}
	}
}

func parse(t testing.TB, s string) directory.Mask {
	t.Helper()
	m, err := directory.ParseMask(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return m
}

func FuzzParseMask(f *testing.F) {
	for _, s := range []string{"_7495XXXXXXX", "_[1-57]N!", "_+7.", "_[-1]", "_*#-Z"} {
		f.Add(s, "74951234567")
	}
	f.Fuzz(func(t *testing.T, s, number string) {
		m, err := directory.ParseMask(s)
		if err != nil {
			return
		}
		if m.String() != s || m.Compare(m) != 0 {
			t.Fatalf("%q is not itself", s)
		}
		all, one := parse(t, "_!"), parse(t, "_.")
		if !all.Match(number) || number != "" && !one.Match(number) {
			t.Fatalf("%q is no number", number)
		}
		if m.Match(number) && number != "" && m.Compare(all) > 0 {
			t.Fatalf("%q comes after the mask that takes all", s)
		}
	})
}

func TestTheMostSpecificRouteIsTaken(t *testing.T) {
	monday := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC) // noon in Moscow
	add := func(name, called, trunk, caller string, priority int) directory.Route {
		return directory.Route{Name: name, Match: directory.Match{Called: called, Trunk: trunk, Caller: caller}, Priority: priority}
	}
	order := []directory.Route{ // each before those after it
		add("exact, trunk, caller", "+74951234567", "carrier", "+79161234567", 0),
		add("exact, trunk, caller's mask", "84951234567", "carrier", "_7916.", 0),
		add("exact, trunk, callers' wider mask", "74951234567", "carrier", "_79.", 0),
		add("exact, trunk", "101, 7 495 123-45-67", "backup, carrier", "", 0),
		add("exact, caller", "+74951234567", "", "89161234567", 0),
		add("exact, priority", "+74951234567", "", "", 7),
		add("exact", "+74951234567", "", "", 0),
		add("exact, by name", "+74951234567", "", "", 0),
		add("mask, trunk", "_7495123XXXX", "carrier", "", 0),
		add("mask", "_7495123XXXX", "", "", 0),
		add("mask with a set, fifth digit", "_7495[1-9]XXXXXX", "", "", 0),
		add("mask with a smaller set, tenth digit", "_7495XXXXX[67]7", "", "", 0),
		add("wider mask", "_7495XXXXXXX", "", "", 9),
		add("widest", "_7.", "", "", 0),
		add("any, trunk, caller", "", "carrier", "+79161234567", 0),
		add("any, trunk", "", "carrier", "", 0),
		add("any, caller", "", "", "+79161234567", 0),
		add("any, priority", "", "", "", 1),
		add("any", "", "", "", 0),
	}
	for i := range order {
		list := slices.Clone(order[i:])
		slices.Reverse(list)
		got, reason, ok := directory.MatchRoute(list, "+74951234567", "carrier", "+79161234567", monday, "RU")
		if !ok || got.Name != order[i].Name {
			t.Errorf("%s: got %q: %s", order[i].Name, got.Name, reason)
		}
	}
}

func TestWhichCallsARouteIsFor(t *testing.T) {
	monday := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC) // noon in Moscow
	sunday := monday.AddDate(0, 0, -1)
	for _, tt := range []struct {
		name                  string
		match                 directory.Match
		hours                 *directory.Hours
		called, trunk, caller string
		now                   time.Time
		reason                string // empty: it is not
	}{
		{"everything", directory.Match{}, nil, "", "", "", monday, "route r takes every call"},
		{"spelt by the carrier in its own way", directory.Match{Called: "+74951234567"}, nil, "84951234567", "", "", monday, "route r matches by called +74951234567"},
		{"spelt by the administrator in his own way", directory.Match{Called: "8 (495) 123-45-67"}, nil, "74951234567", "", "", monday, "route r matches by called 8 (495) 123-45-67"},
		{"another number", directory.Match{Called: "+74951234567"}, nil, "+74951234568", "", "", monday, ""},
		{"an extension", directory.Match{Called: "101"}, nil, "101", "", "", monday, "route r matches by called 101"},
		{"an account's name", directory.Match{Called: "SIP-user"}, nil, "sip-user", "", "", monday, "route r matches by called SIP-user"},
		{"a mask with the country code alone", directory.Match{Called: "_7495XXXXXXX"}, nil, "+74951234567", "", "", monday, "route r matches by called _7495XXXXXXX"},
		{"a mask with +", directory.Match{Called: "_+7495."}, nil, "84951234567", "", "", monday, "route r matches by called _+7495."},
		{"a mask as dialled in Russia", directory.Match{Called: "_8495XXXXXXX"}, nil, "+74951234567", "", "", monday, "route r matches by called _8495XXXXXXX"},
		{"the best of a list", directory.Match{Called: "_7.,_74.,+74950000000"}, nil, "74951234567", "", "", monday, "route r matches by called _74."},
		{"trunk", directory.Match{Trunk: "a,b"}, nil, "1", "b", "", monday, "route r matches by trunk b"},
		{"another trunk", directory.Match{Trunk: "a,b"}, nil, "1", "c", "", monday, ""},
		{"caller", directory.Match{Caller: "_7916XXXXXXX"}, nil, "1", "c", "89161234567", monday, "route r matches by caller _7916XXXXXXX"},
		{"a caller who hides", directory.Match{Caller: "anonymous"}, nil, "1", "c", "", monday, "route r matches by caller anonymous"},
		{"a caller who says so", directory.Match{Caller: "anonymous"}, nil, "1", "c", "Anonymous", monday, "route r matches by caller anonymous"},
		{"a caller who does not hide", directory.Match{Caller: "anonymous"}, nil, "1", "c", "+79161234567", monday, ""},
		{"open", directory.Match{}, office("Europe/Moscow"), "1", "c", "", monday, "route r takes every call"},
		{"closed", directory.Match{}, &directory.Hours{Timezone: "UTC", Week: directory.Week{Monday: directory.Spans{"09:00-18:00"}}}, "1", "c", "", sunday, ""},
		{"hostile", directory.Match{Called: "_7."}, nil, "7'; DROP TABLE routes --", "../", "\x00\xff", monday, "route r matches by called _7."},
	} {
		r := directory.Route{Name: "r", Match: tt.match, Hours: tt.hours, Steps: directory.Steps{toQueue}}
		_, reason, ok := directory.MatchRoute([]directory.Route{r}, tt.called, tt.trunk, tt.caller, tt.now, "RU")
		if ok != (tt.reason != "") || ok && reason != tt.reason {
			t.Errorf("%s: %v %s", tt.name, ok, reason)
		}
		if !ok && (reason == "outside the hours of r") != (tt.hours != nil) {
			t.Errorf("%s: %s", tt.name, reason)
		}
	}
}

func TestWhomAnOperatorMayCall(t *testing.T) {
	for _, tt := range []struct {
		outbound, number, region string
		want                     bool
	}{
		{"", "+74951234567", "RU", true},
		{"", "+4930123456", "RU", false},
		{"home", "+77011234567", "RU", false}, // Kazakhstan, with the same calling code
		{"home", "+77011234567", "kz", true},
		{"home", "+882161234567", "RU", false}, // of no country
		{"home", "101", "RU", false},
		{"any", "+4930123456", "RU", true},
		{"none", "+74951234567", "RU", false},
	} {
		if got := (directory.Operator{Outbound: tt.outbound}).MayDial(tt.number, tt.region); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

// The order of the list says nothing, and nothing that a trunk can send breaks
// anything.
func FuzzMatchRoute(f *testing.F) {
	f.Add("+74951234567", "main", "89161234567", int64(1))
	f.Add("101;ext=5", "", "anonymous", int64(2))
	f.Add("_7!", "a,b", "tel:+7-916-123-45-67", int64(3))
	routes := []directory.Route{
		{Name: "a", Match: directory.Match{Called: "84951234567, 101"}}, {Name: "b", Match: directory.Match{Called: "_7495XXXXXXX", Trunk: "main"}},
		{Name: "c", Match: directory.Match{Called: "_!", Caller: "anonymous"}}, {Name: "d", Match: directory.Match{Caller: "_+7916."}, Priority: 2},
		{Name: "e", Match: directory.Match{Trunk: "main"}}, {Name: "f", Hours: office("Europe/Moscow")}, {Name: "g", Match: directory.Match{Called: "_7N.,_[4-8]!"}},
	}
	f.Fuzz(func(t *testing.T, called, trunk, caller string, at int64) {
		now := time.Unix(at%4e9, 0)
		first, why, ok := directory.MatchRoute(routes, called, trunk, caller, now, "RU")
		if why == "" || ok != (first.Name != "") {
			t.Fatalf("%v %q %q", ok, first.Name, why)
		}
		turned := slices.Clone(routes)
		slices.Reverse(turned)
		if again, reason, _ := directory.MatchRoute(turned, called, trunk, caller, now, "RU"); again.Name != first.Name || reason != why {
			t.Fatalf("%q or %q", first.Name, again.Name)
		}
	})
}

// A call waits for its route: a hundred numbers with a route each are found at
// once.
func BenchmarkMatchRoute(b *testing.B) {
	routes := make([]directory.Route, 100)
	for i := range routes {
		routes[i] = directory.Route{Name: string(rune('a' + i)), Match: directory.Match{Called: "+7495123450" + string(rune('0'+i%10)), Caller: "_7916XXXXXXX"}}
	}
	for b.Loop() {
		directory.MatchRoute(routes, "+74951234509", "main", "+79161234567", time.Time{}, "RU")
	}
}
