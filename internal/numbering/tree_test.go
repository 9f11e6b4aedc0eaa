package numbering

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func located(t *Tree, number string) string {
	p := t.place(number)
	switch {
	case p.node == nil:
		return "-"
	case p.nearest:
		return p.country + " near " + p.node.ID
	}
	return p.country + " " + p.node.ID
}

func TestTheLongestPrefixCountsThenTheCountryThenTheNearest(t *testing.T) {
	world := tree(t,
		Location{ID: "half", Parent: "world", Name: Name{EN: "Everything with 4"}, Prefixes: []string{"4"}},
		Location{ID: "romania-city", Parent: "ro", Name: Name{EN: "Bucharest"}, Prefixes: []string{"4021"}},
		Location{ID: "ae", Parent: "world", Name: Name{EN: "UAE"}, Countries: []string{"AE"}},
		Location{ID: "cy", Nearest: []string{"IL"}},
		Location{ID: "capital", Parent: "ru", Name: Name{RU: "Москва и область"}, Prefixes: []string{"7495", "7496"}},
		Location{ID: "megafon", Parent: "ru", Name: Name{RU: "МегаФон, столица"}, Prefixes: []string{"7926", "7926123"}},
	)
	tests := []struct{ number, want string }{
		{moscow, "RU capital"},
		{"+74991234567", "RU ru-mow"},
		{"+74961234567", "RU capital"},
		{"+74981234567", "RU ru-mos"},
		{"+78185312345", "RU ru-nen"},
		{"+78182123456", "RU ru-ark"},
		{russianMobile, "RU ru"},
		{"+79261234567", "RU megafon"},
		{"+78005553535", "RU ru"},
		{"+77272123456", "KZ kz-ala"},
		{"+77277212345", "KZ kz-alm"},
		{kazakhMobile, "KZ kz"},
		{berlin, "DE de"},
		{"+40212345678", "RO romania-city"},
		{"+40312345678", "RO ro"},
		{"+390669812345", "VA va"},
		{milan, "IT it"},
		{dubai, "AE ae"},
		{"+97221234567", "IL near cy"},
		{"+374101234567", "AM near ru"},
		{"+14155552671", "US near europe"},
		{"+16135550123", "CA near europe"},
		{"+870773111632", " world"},
		{"", "-"}, {"101", "-"}, {"+", "-"}, {"+7495a", "-"}, {"+12345678901234567", "-"},
	}
	for _, tt := range tests {
		if got := located(world, tt.number); got != tt.want {
			t.Errorf("%s is in %q, want %q", tt.number, got, tt.want)
		}
	}
	mow, _ := world.Location("ru-mow")
	if diff := cmp.Diff([]string{"7499"}, mow.Prefixes); diff != "" || mow.Changed || !mow.Ships {
		t.Errorf("Moscow without what was taken from it: %+v\n%s", mow, diff)
	}
	if got := tree(t, Location{ID: "world", Prefixes: []string{}}, Location{ID: "ru-mow", Prefixes: []string{}}); located(got, moscow) != "RU ru" {
		t.Errorf("a list that is there and empty takes away what ships: %s", located(got, moscow))
	}
}

func TestAnOwnLocationChangesTheShippedOneWithItsID(t *testing.T) {
	world := tree(t, Location{ID: "de", Number: germanNumber, Name: Name{RU: "ФРГ"}}, Location{ID: "my", Parent: "de", Name: Name{EN: "Mine"}, Prefixes: []string{"4930"}})
	de, ok := world.Location("de")
	want := Listed{Location{
		ID: "de", Parent: "europe", Name: Name{RU: "ФРГ", EN: "Germany"}, Number: germanNumber, Countries: []string{"DE"}, Nearest: de.Nearest,
	}, true, true}
	if diff := cmp.Diff(want, de); diff != "" || !ok || len(de.Nearest) < 10 {
		t.Errorf("-want +got:\n%s", diff)
	}
	my, _ := world.Location("my")
	if my.Ships || !my.Changed {
		t.Errorf("%+v", my)
	}
	if _, ok := world.Location("nowhere"); ok {
		t.Error("there is a location nowhere")
	}
	if got, want := len(world.Locations()), len(Shipped())+1; got != want {
		t.Errorf("%d locations, want %d", got, want)
	}
	if again, _ := tree(t).Location("de"); again.Number != "" || again.Name.RU != "Германия" {
		t.Errorf("what ships was changed for everybody: %+v", again)
	}
}

func TestNewTreeTellsEverythingThatIsWrong(t *testing.T) {
	tests := []struct {
		own  []Location
		want []string
	}{
		{[]Location{{ID: "Ru", Parent: "ru", Name: Name{EN: "x"}}}, []string{"Ru id"}},
		{[]Location{{ID: "", Parent: "ru", Name: Name{EN: "x"}}}, []string{" id"}},
		{[]Location{{ID: "a", Name: Name{EN: "x"}}}, []string{"a parent"}},
		{[]Location{{ID: "a", Parent: "b", Name: Name{EN: "x"}}}, []string{"a parent"}},
		{[]Location{{ID: "a", Parent: "a", Name: Name{EN: "x"}}}, []string{"a parent"}},
		{[]Location{{ID: "world", Parent: "ru"}}, []string{"world parent"}},
		{[]Location{{ID: "ru", Parent: "ru-mow"}}, []string{"ru parent", "ru-mow parent"}},
		{[]Location{{ID: "a", Parent: "ru"}}, []string{"a name"}},
		{[]Location{{ID: "a", Parent: "ru", Name: Name{EN: "x\n", RU: "\xff"}}}, []string{"a name.ru", "a name.en"}},
		{[]Location{{ID: "ru", Number: "84951110000"}}, []string{"ru number"}},
		{[]Location{{ID: "ru", Number: "office"}}, []string{"ru number"}},
		{[]Location{{ID: "de", Countries: []string{"DE", "de", "XX", "DE", "001"}}}, []string{"de countries[1]", "de countries[2]", "de countries[3]", "de countries[4]"}},
		{[]Location{{ID: "de", Nearest: []string{"USA"}}}, []string{"de nearest[0]"}},
		{[]Location{{ID: "ru", Prefixes: []string{"+7495", "0495", "", "7495x", "1234567890123456"}}}, []string{
			"ru prefixes[0]", "ru prefixes[1]", "ru prefixes[2]", "ru prefixes[3]", "ru prefixes[4]",
		}},
		{[]Location{{ID: "de", Prefixes: make([]string, maxList+1)}}, []string{"de prefixes"}},
		{[]Location{{ID: "de", Number: germanNumber}, {ID: "de"}}, []string{"de id"}},
		{[]Location{{ID: "a", Parent: "ru", Name: Name{EN: "x"}, Prefixes: []string{"7495"}}, {ID: "b", Parent: "ru", Name: Name{EN: "x"}, Prefixes: []string{"7495"}}}, []string{"b prefixes[0]"}},
		{[]Location{{ID: "cy", Nearest: []string{"AE"}}, {ID: "de", Nearest: []string{"AE"}}}, []string{"de nearest[0]"}},
	}
	for _, tt := range tests {
		tree, err := NewTree(Shipped(), tt.own)
		var got []string
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range joined.Unwrap() {
				var bad *LocationError
				if !errors.As(e, &bad) || bad.Message == "" || bad.Error() == "" {
					t.Errorf("%v", e)
					continue
				}
				if len(got) == 0 || got[len(got)-1] != bad.ID+" "+bad.Field {
					got = append(got, bad.ID+" "+bad.Field)
				}
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || tree != nil {
			t.Errorf("%.200s: -want +got:\n%s", fmt.Sprint(tt.own), diff)
		}
	}
}

func TestATreeWithoutWhatShips(t *testing.T) {
	small, err := NewTree(nil, []Location{
		{ID: "world", Number: germanNumber}, {ID: "ru", Parent: "world", Name: Name{EN: "Russia"}, Countries: []string{"RU"}, Number: russianNumber},
	})
	if err != nil {
		t.Fatal(err)
	}
	if c := Choose(moscow, kazakhMobile, "", small); c.TowardManager != russianNumber || c.TowardClient != germanNumber {
		t.Errorf("%q, %q", c.TowardManager, c.TowardClient)
	}
	var none *Tree
	if _, ok := none.Location("ru"); ok || none.Locations() != nil || none.Own() != nil {
		t.Error("no tree has locations")
	}
}

func TestATreeIsMadeAgainOfItsOwn(t *testing.T) {
	own := []Location{{ID: "kz", Number: kazakhNumber}, {ID: "msk-1", Parent: "ru", Name: Name{EN: "Moscow"}, Prefixes: []string{"7495"}, Nearest: []string{}}, {ID: "ru", Number: russianNumber}}
	tree, err := NewTree(Shipped(), own)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(own, tree.Own()); d != "" {
		t.Error(d)
	}
}
