package numbering

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The technical numbers of the tests' tree, on top of what ships.
const (
	russianNumber    = "+74951110000"
	petersburgNumber = "+78123330000"
	kazakhNumber     = "+77272220000"
	germanNumber     = "+4930901820"
	europeanNumber   = "+35722123456"
)

func technical(numbers ...string) []Location {
	var own []Location
	for i := 0; i < len(numbers); i += 2 {
		own = append(own, Location{ID: numbers[i], Number: numbers[i+1]})
	}
	return own
}

func tree(t testing.TB, own ...Location) *Tree {
	t.Helper()
	tree, err := NewTree(Shipped(), own)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func specification(t testing.TB) *Tree {
	return tree(t, technical("ru", russianNumber, "ru-spe", petersburgNumber, "kz", kazakhNumber, "de", germanNumber, "europe", europeanNumber)...)
}

// Numbers of people.
const (
	almaty, kazakhMobile    = "+77273334455", "+77012345678"
	moscow, russianMobile   = "+74951234567", "+79161234567"
	yekaterinburg, kazan    = "+73432345678", "+78432345678"
	petersburg              = "+78122345678"
	berlin, munich          = "+4930123456", "+498912345678"
	bucharest, paris, milan = "+40212345678", "+33123456789", "+390212345678"
	dubai                   = "+97142345678"
	custom                  = "+78005553535"
)

// The table of specification 1-callback §4, row by row.
func TestEachSideSeesWhatTheTableOfTheSpecificationSays(t *testing.T) {
	world := specification(t)
	today := tree(t, technical("ru", russianNumber, "kz", kazakhNumber, "europe", germanNumber)...)
	tests := []struct {
		row             string
		tree            *Tree
		manager, client string
		custom          string
		toManager       string
		toClient        string
	}{
		{"Kazakhstan, Kazakhstan", world, almaty, kazakhMobile, "", kazakhMobile, almaty},
		{"Kazakhstan, Kazakhstan, custom", world, almaty, kazakhMobile, custom, kazakhMobile, custom},
		{"Russia, Kazakhstan", world, moscow, kazakhMobile, custom, russianNumber, kazakhNumber},
		{"Kazakhstan, Russia", world, kazakhMobile, moscow, custom, kazakhNumber, russianNumber},
		{"a region with its own number, Kazakhstan", world, petersburg, almaty, custom, petersburgNumber, kazakhNumber},
		{"regions without one", world, yekaterinburg, kazan, "", kazan, yekaterinburg},
		{"regions without one, custom", world, yekaterinburg, russianMobile, custom, russianMobile, custom},
		{"a region without, a region with its own", world, kazan, petersburg, custom, russianNumber, petersburgNumber},
		{"a region with its own, the same", world, petersburg, "+78123456789", "", "+78123456789", petersburg},
		{"Germany, Germany", world, berlin, munich, "", munich, berlin},
		{"Germany, Germany, custom", world, berlin, munich, custom, munich, custom},
		{"Germany, Romania", world, berlin, bucharest, custom, germanNumber, europeanNumber},
		{"France, Italy", world, paris, milan, custom, europeanNumber, europeanNumber},
		{"France, Italy, today", today, paris, milan, custom, germanNumber, germanNumber},
		{"France, France", world, paris, "+33198765432", "", "+33198765432", paris},
		{"UAE, Russia", world, dubai, moscow, custom, germanNumber, russianNumber},
		{"UAE, Germany: one location, two countries", world, dubai, berlin, custom, germanNumber, germanNumber},
		{"UAE, UAE", world, dubai, "+971501234567", "", "+971501234567", dubai},
		{"UAE, Russia, today", today, dubai, moscow, "", germanNumber, russianNumber},
	}
	for _, tt := range tests {
		c := Choose(tt.manager, tt.client, tt.custom, tt.tree)
		if c.TowardManager != tt.toManager || c.TowardClient != tt.toClient {
			t.Errorf("%s: the manager sees %q, the client %q; want %q, %q\n%s", tt.row, c.TowardManager, c.TowardClient, tt.toManager, tt.toClient, c.Explanation("en"))
		}
	}
}

func TestEachDirectionCanBeSwitchedOff(t *testing.T) {
	world := specification(t)
	tests := []struct {
		off                 []Direction
		toManager, toClient string
	}{
		{nil, russianNumber, kazakhNumber},
		{[]Direction{TowardManager}, kazakhMobile, kazakhNumber},
		{[]Direction{TowardClient}, russianNumber, moscow},
		{[]Direction{TowardManager, TowardClient}, kazakhMobile, moscow},
	}
	for _, tt := range tests {
		c := Choose(moscow, kazakhMobile, custom, world, tt.off...)
		if c.TowardManager != tt.toManager || c.TowardClient != tt.toClient {
			t.Errorf("off %v: %q, %q; want %q, %q", tt.off, c.TowardManager, c.TowardClient, tt.toManager, tt.toClient)
		}
	}
}

func TestWhereNoLocationHasANumberNothingIsChosen(t *testing.T) {
	shipped, onlyPetersburg := tree(t), tree(t, technical("ru-spe", petersburgNumber)...)
	tests := []struct {
		why                 string
		tree                *Tree
		manager, client     string
		custom              string
		toManager, toClient string
	}{
		{"as shipped", shipped, moscow, kazakhMobile, "", "", ""},
		{"as shipped, one location", shipped, moscow, russianMobile, "", "", ""},
		{"as shipped, custom", shipped, moscow, kazakhMobile, custom, "", custom},
		{"no tree", nil, moscow, kazakhMobile, custom, "", custom},
		{"no tree, nothing asked", nil, moscow, kazakhMobile, "", "", ""},
		{"one end only", onlyPetersburg, moscow, petersburg, custom, "", petersburgNumber},
		{"the other end only", onlyPetersburg, petersburg, moscow, custom, petersburgNumber, ""},
		{"an operator's own phone", specification(t), "", petersburg, "", "", petersburgNumber},
		{"an operator's own phone, custom", specification(t), "", petersburg, custom, "", custom},
		{"satellites are in no country", specification(t), "+870773111632", "+870773111633", custom, "", custom},
		{"nothing at all", specification(t), "", "", "", "", ""},
	}
	for _, tt := range tests {
		c := Choose(tt.manager, tt.client, tt.custom, tt.tree)
		if c.TowardManager != tt.toManager || c.TowardClient != tt.toClient {
			t.Errorf("%s: %q, %q; want %q, %q", tt.why, c.TowardManager, c.TowardClient, tt.toManager, tt.toClient)
		}
	}
}

func TestExplanationTellsPlacesNumbersAndReasons(t *testing.T) {
	world := specification(t)
	tests := []struct {
		manager, client, custom string
		off                     []Direction
		ru, en                  string
	}{
		{
			moscow, kazakhMobile, "", nil,
			"Менеджер +74951234567: Россия › Москва; технический номер там — +74951110000 (Россия). " +
				"Клиент +77012345678: Казахстан; технический номер там — +77272220000 (Казахстан). " +
				"Менеджер видит +74951110000: стороны в разных локациях, поэтому каждой показан номер её локации (Россия). " +
				"Клиент видит +77272220000: стороны в разных локациях, поэтому каждой показан номер её локации (Казахстан).",
			"The manager +74951234567 is in Russia › Moscow; the technical number there is +74951110000 (Russia). " +
				"The client +77012345678 is in Kazakhstan; the technical number there is +77272220000 (Kazakhstan). " +
				"The manager sees +74951110000: the two are in different locations, so each is shown the number of its own (Russia). " +
				"The client sees +77272220000: the two are in different locations, so each is shown the number of its own (Kazakhstan).",
		},
		{
			dubai, munich, "", []Direction{TowardClient},
			"Менеджер +97142345678: Объединённые Арабские Эмираты, это не локация, ближайшая — Европа › Германия; технический номер там — +4930901820 (Германия). " +
				"Клиент +498912345678: Европа › Германия; технический номер там — +4930901820 (Германия). " +
				"Менеджер видит +4930901820: стороны в одной локации (Германия), но в разных странах, поэтому показан её технический номер. " +
				"Клиент видит +97142345678: подстановка в эту сторону выключена, поэтому показан настоящий номер.",
			"The manager +97142345678 is in United Arab Emirates, which is no location; the nearest one is Europe › Germany; the technical number there is +4930901820 (Germany). " +
				"The client +498912345678 is in Europe › Germany; the technical number there is +4930901820 (Germany). " +
				"The manager sees +4930901820: the two are in one location (Germany) but in different countries, so its technical number is shown. " +
				"The client sees +97142345678: substitution is switched off in this direction, so the real number is shown.",
		},
		{
			"", "+870773111632", "", []Direction{TowardClient},
			"Менеджер: нет номера, по которому видна локация. Клиент +870773111632: вне стран; технический номер там и выше не задан. " +
				"Менеджер видит номер по умолчанию из заказа, а без него — номер транка: технические номера не заданы ни для одной из сторон, правила локаций не действуют. " +
				"Клиент видит номер по умолчанию из заказа, а без него — номер транка: подстановка в эту сторону выключена, поэтому показан настоящий номер, но у менеджера его нет.",
			"The manager has no number to tell a location by. The client +870773111632 is in no country; no technical number is set there or above. " +
				"The manager sees the default number of the order, or else the trunk's own: no technical number is set for either end, so the location rules do not apply. " +
				"The client sees the default number of the order, or else the trunk's own: substitution is switched off in this direction, so the real number is shown, but the manager has none.",
		},
	}
	for _, tt := range tests {
		c := Choose(tt.manager, tt.client, tt.custom, world, tt.off...)
		if diff := cmp.Diff(tt.ru, c.Explanation("ru")); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if diff := cmp.Diff(tt.en, c.Explanation("en")); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

// anyTree draws a tree: shipped locations with technical numbers of their own,
// and locations that an administrator could add.
func anyTree(t *rapid.T) (own []Location, numbers map[string]string) {
	numbers = map[string]string{}
	technicalNumber := func(id string) string {
		n := fmt.Sprintf("+4930%07d", 1000000+len(numbers))
		numbers[id] = n
		return n
	}
	ids := rapid.SliceOfDistinct(rapid.SampledFrom([]string{
		"world", "ru", "ru-mow", "ru-mos", "ru-spe", "ru-sve", "kz", "kz-ala", "europe", "de", "fr", "cy", "va",
	}), rapid.ID[string]).Draw(t, "numbered")
	for _, id := range ids {
		own = append(own, Location{ID: id, Number: technicalNumber(id)})
	}
	parents := append([]string{"world", "ru", "ru-mow", "europe", "kz"}, ids...)
	for _, p := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"1", "7916", "7495123", "7701", "49", "39", "971", "870", "3"}), 0, 4, rapid.ID[string]).Draw(t, "prefixes") {
		l := Location{ID: "own-" + p, Parent: rapid.SampledFrom(parents).Draw(t, "parent"), Name: Name{EN: p}, Prefixes: []string{p}}
		if rapid.Bool().Draw(t, "with a number") {
			l.Number = technicalNumber(l.ID)
		}
		parents = append(parents, l.ID)
		own = append(own, l)
	}
	return own, numbers
}

func TestChoiceIsTotalDeterministicAndNeverShowsTheOtherSidesNumber(t *testing.T) {
	people := []string{
		"", "101", "+", "+0", "++", "+7", "+1", almaty, kazakhMobile, moscow, russianMobile, yekaterinburg, kazan, petersburg, berlin, munich, bucharest,
		paris, milan, dubai, "+14155552671", "+390669812345", "+870773111632", "+88312345678", "+999123", "+74959876543", "+447911123456",
	}
	ship := Shipped()
	rapid.Check(t, func(t *rapid.T) {
		own, numbers := anyTree(t)
		tree, err := NewTree(ship, own)
		if err != nil {
			t.Fatal(err)
		}
		number := rapid.OneOf(rapid.SampledFrom(people), rapid.String(), rapid.StringMatching(`\+[0-9]{0,16}`))
		manager, client := number.Draw(t, "manager"), number.Draw(t, "client")
		wanted := rapid.SampledFrom([]string{"", custom}).Draw(t, "custom")
		off := rapid.SliceOfDistinct(rapid.SampledFrom([]Direction{TowardManager, TowardClient}), rapid.ID[Direction]).Draw(t, "off")

		c := Choose(manager, client, wanted, tree, off...)
		for _, language := range []string{"ru", "en"} {
			if text := c.Explanation(language); strings.Contains(text, "%!") || text == "" {
				t.Fatalf("explanation: %s", text)
			}
		}

		// The same again, and whatever the order of the locations.
		shuffled, err := NewTree(rapid.Permutation(ship).Draw(t, "ship"), rapid.Permutation(own).Draw(t, "own"))
		if err != nil {
			t.Fatal(err)
		}
		again := Choose(manager, client, wanted, shuffled, off...)
		if again.TowardManager != c.TowardManager || again.TowardClient != c.TowardClient || again.Explanation("ru") != c.Explanation("ru") {
			t.Fatalf("%q, %q once; %q, %q then", c.TowardManager, c.TowardClient, again.TowardManager, again.TowardClient)
		}

		// Of the technical numbers an end sees that of its own location or none.
		for _, end := range []struct {
			seen string
			own  place
		}{{c.TowardManager, c.ends[TowardManager]}, {c.TowardClient, c.ends[TowardClient]}} {
			for id, n := range numbers {
				if end.seen == n && (end.own.owner() == nil || end.own.owner().ID != id) {
					t.Fatalf("an end in %+v sees %s of %s", end.own, n, id)
				}
			}
		}

		// Swapping the ends swaps what they see, but for the custom number.
		swap := make([]Direction, len(off))
		for i, d := range off {
			swap[i] = 1 - d
		}
		if back := Choose(client, manager, "", tree, swap...); manager != "" && client != "" && wanted == "" &&
			(back.TowardManager != c.TowardClient || back.TowardClient != c.TowardManager) {
			t.Fatalf("%q, %q one way; %q, %q the other", c.TowardManager, c.TowardClient, back.TowardManager, back.TowardClient)
		}
		if !slices.Contains([]string{"", wanted, c.ends[TowardManager].number}, c.TowardClient) && c.ends[TowardClient].owner() == nil {
			t.Fatalf("%q comes from nowhere", c.TowardClient)
		}
	})
}

// Both ends of every call are looked up: a few hundred nanoseconds without an
// allocation; some ten microseconds where countries share a calling code (+1).
func BenchmarkChoose(b *testing.B) {
	world := specification(b)
	for _, bb := range []struct{ name, manager, client string }{
		{"Russia-Kazakhstan", moscow, kazakhMobile}, {"Germany-Romania", berlin, bucharest}, {"US-Canada", "+14155552671", "+16135550123"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Choose(bb.manager, bb.client, custom, world)
			}
		})
	}
}

// The tree is built when an administrator has changed it.
func BenchmarkNewTree(b *testing.B) {
	own := technical("ru", russianNumber, "kz", kazakhNumber)
	for b.Loop() {
		if _, err := NewTree(Shipped(), own); err != nil {
			b.Fatal(err)
		}
	}
}
