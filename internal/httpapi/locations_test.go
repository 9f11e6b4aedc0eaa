package httpapi_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/perezvon/perezvon/internal/httpapi"
	"github.com/perezvon/perezvon/internal/httpapi/httpapitest"
	"github.com/perezvon/perezvon/internal/numbering"
)

func TestLocationsAreThoseThatShipAsTheAdministratorChangesThem(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	var page struct {
		Items []httpapi.Location `json:"items"`
		Next  *string            `json:"next_cursor"`
	}
	count := 0
	for cursor := ""; ; cursor = "&cursor=" + *page.Next {
		page.Next = nil
		s.Do("GET", "/api/v1/locations?limit=100"+cursor, nil).Into(t, &page)
		count += len(page.Items)
		if page.Next == nil {
			break
		}
	}
	if count != len(numbering.Shipped()) {
		t.Errorf("%d locations, %d ship", count, len(numbering.Shipped()))
	}

	get := func(id string) (l httpapi.Location) {
		t.Helper()
		a := s.Do("GET", "/api/v1/locations/"+id, nil)
		if a.Status != 200 {
			t.Fatalf("%s: %d %s", id, a.Status, a.Body)
		}
		a.Into(t, &l)
		return l
	}
	shipped := get("kz")
	want := httpapi.Location{Location: numbering.Location{
		ID: "kz", Parent: "world", Name: numbering.Name{RU: "Казахстан", EN: "Kazakhstan"}, Countries: []string{"KZ"},
	}, Ships: true}
	ignoreNearest := cmpopts.IgnoreFields(numbering.Location{}, "Nearest")
	if diff := cmp.Diff(want, shipped, ignoreNearest); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	// The technical number is all that an administrator needs to say.
	a := s.Do("PUT", "/api/v1/locations/kz", map[string]any{"number": "+77272220000"})
	var changed httpapi.Location
	a.Into(t, &changed)
	want.Number, want.Changed = "+77272220000", true
	if diff := cmp.Diff(want, changed, ignoreNearest); diff != "" || a.Status != 200 {
		t.Errorf("%d, -want +got:\n%s", a.Status, diff)
	}
	if diff := cmp.Diff(changed, get("kz")); diff != "" {
		t.Errorf("-put +got:\n%s", diff)
	}
	// What was read can be written.
	if a := s.Do("PUT", "/api/v1/locations/kz", changed); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := s.Do("DELETE", "/api/v1/locations/kz", nil); a.Status != 204 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if diff := cmp.Diff(shipped, get("kz")); diff != "" {
		t.Errorf("DELETE does not put it back, -shipped +got:\n%s", diff)
	}

	mine := map[string]any{"id": "capital", "parent": "ru", "name": map[string]string{"ru": "Столица"}, "prefixes": []string{"7495", "7496"}}
	if a := s.Do("POST", "/api/v1/locations", mine); a.Status != 201 || a.Header.Get("Location") != "/api/v1/locations/capital" {
		t.Errorf("%d %s %s", a.Status, a.Header.Get("Location"), a.Body)
	}
	if l := get("ru-mow"); !cmp.Equal(l.Prefixes, []string{"7499"}) {
		t.Errorf("495 belongs to two: %v", l.Prefixes)
	}
	mustBeProblem(t, s.Do("POST", "/api/v1/locations", mine), 409)
	mustBeProblem(t, s.Do("POST", "/api/v1/locations", map[string]any{"id": "de"}), 409)
	mustBeProblem(t, s.Do("GET", "/api/v1/locations/nowhere", nil), 404)
	mustBeProblem(t, s.Do("DELETE", "/api/v1/locations/nowhere", nil), 404)
	for field, body := range map[string]map[string]any{
		"body.parent":      {"parent": "nowhere", "name": map[string]string{"en": "x"}},
		"body.name":        {"parent": "ru"},
		"body.name.en":     {"parent": "ru", "name": map[string]string{"en": strings.Repeat("x", 129)}},
		"body.number":      {"parent": "ru", "name": map[string]string{"en": "x"}, "number": "8 495 111-00-00"},
		"body.prefixes[0]": {"parent": "ru", "name": map[string]string{"en": "x"}, "prefixes": []string{"7495"}},
		"body.parents":     {"parents": "ru"},
	} {
		a := s.Do("PUT", "/api/v1/locations/new", body)
		if mustBeProblem(t, a, 422); !strings.Contains(string(a.Body), `"location":"`+field+`"`) {
			t.Errorf("%s is not named: %s", field, a.Body)
		}
	}
	// A location that another is within stays.
	s.Do("POST", "/api/v1/locations", map[string]any{"id": "ring", "parent": "capital", "name": map[string]string{"ru": "Кольцо"}})
	mustBeProblem(t, s.Do("DELETE", "/api/v1/locations/capital", nil), 422)
}

func TestCallerIDIsExplainedForAnyTwoNumbers(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	for id, number := range map[string]string{"ru": "+74951110000", "kz": "+77272220000"} {
		if a := s.Do("PUT", "/api/v1/locations/"+id, map[string]any{"number": number}); a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	tests := []struct {
		query                           url.Values
		toManager, toClient, explaining string
	}{
		{
			url.Values{"manager": {"8 (495) 123-45-67"}, "client": {"+77012345678"}, "custom": {"+78005553535"}},
			"+74951110000", "+77272220000", "стороны в разных локациях",
		},
		{
			url.Values{"manager": {"84951234567"}, "client": {"89161234567"}, "custom": {"+78005553535"}, "language": {"en"}},
			"+79161234567", "+78005553535", "the custom number has priority",
		},
		{
			url.Values{"manager": {"84951234567"}, "client": {"+77012345678"}, "substitute_for_client": {"false"}},
			"+74951110000", "+74951234567", "подстановка в эту сторону выключена",
		},
		{
			url.Values{"manager": {"+33123456789"}, "client": {"+390212345678"}}, "", "", "технические номера не заданы",
		},
	}
	for _, tt := range tests {
		a := s.Do("GET", "/api/v1/caller-id?"+tt.query.Encode(), nil)
		var got map[string]string
		a.Into(t, &got)
		if a.Status != 200 || len(got) != 3 || got["toward_manager"] != tt.toManager || got["toward_client"] != tt.toClient || !strings.Contains(got["explanation"], tt.explaining) {
			t.Errorf("%v: %d %s", tt.query, a.Status, a.Body)
		}
	}
	for field, query := range map[string]string{
		"query.manager":  "manager=101&client=89161234567",
		"query.client":   "manager=89161234567&client=911",
		"query.language": "manager=89161234567&client=89161234568&language=de",
	} {
		a := s.Do("GET", "/api/v1/caller-id?"+query, nil)
		if mustBeProblem(t, a, 422); !strings.Contains(string(a.Body), `"location":"`+field+`"`) {
			t.Errorf("%s is not named: %s", field, a.Body)
		}
	}
	mustBeProblem(t, s.Do("GET", "/api/v1/caller-id?manager=89161234567", nil), 422)
	nothingDialled(t, s)
}
