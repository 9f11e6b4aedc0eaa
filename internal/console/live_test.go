package console_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/perezvon/perezvon/internal/acd"
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/httpapi/httpapitest"
	"github.com/perezvon/perezvon/internal/scenario"
	"github.com/perezvon/perezvon/internal/telephony"
)

// put sets something through the API.
func put(t *testing.T, s *httpapitest.Server, path string, body any) {
	t.Helper()
	if a := s.Do("PUT", "/api/v1/"+path, body); a.Status >= 300 {
		t.Fatalf("%s: %d %s", path, a.Status, a.Body)
	}
}

// waits lets a caller wait in the queue 1000.
func waits(t *testing.T, s *httpapitest.Server, id, number, name string) *acd.Place {
	t.Helper()
	q, err := s.Store.Queue(t.Context(), directory.DefaultAccount, "1000")
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Queues.Join(t.Context(), q, acd.Caller{Account: directory.DefaultAccount, Call: id, Number: number, Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// phoneWidth looks at a page in Russian on a phone.
func phoneWidth(t *testing.T, ctx context.Context, s *httpapitest.Server, path, heading string) {
	t.Helper()
	t.Run("at phone width", func(t *testing.T) {
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(390, 844)); err != nil {
			t.Fatal(err)
		}
		open(t, ctx, s.URL+path+"?lang=ru")
		shows(t, ctx, `document.querySelector("h1").textContent.startsWith("`+heading+`") && document.documentElement.scrollWidth <= 390`)
		picture(t, ctx, strings.Trim(path, "/")+"-phone-ru")
	})
}

// A supervisor sees in a browser who waits and who is free, ringing, paused, as
// it changes; he pauses a member.
func TestQueuesInTheBrowser(t *testing.T) {
	s := serve(t)
	put(t, s, "operators/102", map[string]any{"name": "Борис <i>", "password": "Operator-secret-2"})
	put(t, s, "operators/103", map[string]any{"name": "Вера", "password": "Operator-secret-3"})
	put(t, s, "queues/1000", map[string]any{"members": []string{"101", "102"}, "strategy": "linear"})
	put(t, s, "queues/sales", map[string]any{"members": []string{"103"}, "strategy": "round_robin"})
	ctx := browse(t)
	signInAt(t, ctx, s, "/queues", s.AdminKey)
	queue := `document.querySelector('[data-queue="1000"]')`
	shows(t, ctx, `document.querySelectorAll("section.queue").length === 2 && `+queue+`.querySelectorAll(".members tbody tr").length === 2`)
	member := func(extension, state string) string {
		return queue + `.querySelector('[data-member="` + extension + `"] .status').textContent === "` + state + `"`
	}
	shows(t, ctx, member("101", "free")+` && `+queue+`.querySelector(".waiting tbody").textContent.includes("Nobody waits")`)

	first := waits(t, s, s.NewCall(time.Now()), "+79161234567", "Иван")
	shows(t, ctx, queue+`.querySelector(".waiting tbody a").textContent === "+79161234567" && `+member("101", "ringing"))
	waits(t, s, s.NewCall(time.Now()), "", "")
	shows(t, ctx, queue+`.querySelectorAll(".waiting tbody tr").length === 2 && `+queue+`.querySelector(".waiting").textContent.includes("number hidden")`)
	click(t, ctx, `[data-queue=sales] button`)
	shows(t, ctx, `document.querySelector("[data-queue=sales] .status").textContent === "paused"`)
	picture(t, ctx, "queues")
	click(t, ctx, `[data-queue=sales] button`)
	shows(t, ctx, `document.querySelector("[data-queue=sales] .status").textContent !== "paused"`)
	first.Leave(acd.Abandoned)
	// Nothing happened on a call: the page looks by itself.
	shows(t, ctx, queue+`.querySelectorAll(".waiting tbody tr").length === 1 && `+queue+`.querySelector(".counts").textContent.includes("Hung up waiting1")`)
	phoneWidth(t, ctx, s, "/queues", "Очереди")
}

// An operator is paused and brought back in a browser; who has no phone here is
// seen.
func TestOperatorsInTheBrowser(t *testing.T) {
	s := serve(t)
	put(t, s, "operators/102", map[string]any{"name": "Борис", "password": "Operator-secret-2", "phones": []string{"+79990000102"}})
	ctx := browse(t)
	signInAt(t, ctx, s, "/operators", s.AdminKey)
	shows(t, ctx, `document.querySelectorAll("#operators tbody tr").length === 2 && document.querySelector("[data-operator='101'] .status").textContent === "registered, free"`)
	shows(t, ctx, `document.querySelector("[data-operator='101']").textContent.includes("192.0.2.7:5062")`)
	s.Phones.Set("102", telephony.Unavailable)
	shows(t, ctx, `document.querySelector("[data-operator='102'] .status.bad").textContent === "not registered"`) // without being loaded again
	click(t, ctx, `[data-operator="101"] button`)
	shows(t, ctx, `document.querySelector("[data-operator='101'] .deeds .status")?.textContent === "paused" && document.querySelector("#shown > p").textContent.includes("paused: 1")`)
	picture(t, ctx, "operators")
	if o, err := s.Store.Operator(t.Context(), directory.DefaultAccount, "101"); err != nil || !o.Paused {
		t.Errorf("%+v %v", o, err)
	}
	click(t, ctx, `[data-operator="101"] button`)
	shows(t, ctx, `!document.querySelector("[data-operator='101'] .deeds .status")`)
	phoneWidth(t, ctx, s, "/operators", "Операторы")
}

// closed is a widget that opens the day after tomorrow.
func closed() map[string]any {
	day := strings.ToLower(time.Now().UTC().Add(48 * time.Hour).Format("Mon"))
	return map[string]any{"managers": "101", "trunk": "main", "hours": map[string]any{"timezone": "UTC", "week": map[string]any{day: []string{"00:00-24:00"}}}}
}

// planned orders a callback outside the hours of its widget, so that it waits.
func planned(t *testing.T, s *httpapitest.Server, client string) string {
	t.Helper()
	var accepted struct{ ID string }
	a := s.Do("POST", "/api/v1/callbacks", map[string]any{"client": client, "widget": "closed"})
	if a.Into(t, &accepted); a.Status != http.StatusAccepted {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	return accepted.ID
}

// A planned callback is made now or cancelled in a browser; a cancel is asked
// twice.
func TestPlannedCallbacksInTheBrowser(t *testing.T) {
	s := serve(t)
	put(t, s, "widgets/closed", closed())
	now, never := planned(t, s, "+79161234567"), planned(t, s, "+79161234568")
	ctx := browse(t)
	signInAt(t, ctx, s, "/callbacks", s.AdminKey)
	rows := `document.querySelectorAll("#callbacks tbody tr").length`
	shows(t, ctx, rows+` === 2 && document.querySelector("#callbacks time") !== null && !document.querySelector("#callbacks").textContent.includes("in progress")`)
	picture(t, ctx, "callbacks")
	click(t, ctx, `[data-callback="`+now+`"] [data-deed$="/start"]`)
	shows(t, ctx, rows+` === 1`)
	select {
	case a := <-s.Started:
		if a.CallbackID != now {
			t.Errorf("%s is made", a.CallbackID)
		}
	case <-time.After(time.Minute):
		t.Fatal("no attempt is made")
	}
	// In one go: five seconds later the button would ask again.
	asked, err := chromedp.Run(ctx, chromedp.Evaluate[string](`(() => {
		const button = document.querySelector('[data-callback="`+never+`"] [data-deed^="DELETE"]');
		button.click();
		const asked = button.textContent;
		button.click();
		return asked;
	})()`))
	if err != nil || asked != "Really cancel?" {
		t.Fatalf("%q, %v", asked, err)
	}
	shows(t, ctx, `document.getElementById("shown").textContent.includes("No callback is planned")`)
	if r, err := s.Store.Callback(t.Context(), directory.DefaultAccount, never); err != nil || r.State != callback.StateCancelled {
		t.Errorf("%+v %v", r, err)
	}
	open(t, ctx, s.URL+"/callbacks?state=all")
	shows(t, ctx, rows+` === 2 && document.querySelector('[data-callback="`+never+`"] .status').textContent === "cancelled"`)
	phoneWidth(t, ctx, s, "/callbacks", "Перезвоны")
}

// transfers notes what was ordered.
type transfers chan scenario.Order

// Transfer implements dispatch.Transfers.
func (c transfers) Transfer(_ context.Context, o scenario.Order) error {
	if o.To == "999" {
		return scenario.ErrUnknownNumber
	}
	c <- o
	return nil
}

// While somebody talks, the client is passed on from the page of the call; when
// the talk is over, the form is gone.
func TestATransferInTheBrowser(t *testing.T) {
	ordered := make(transfers, 10)
	s := httpapitest.New(t, httpapitest.Options{Register: register(t), Transfers: ordered})
	at := time.Now().Add(-20 * time.Second)
	id := s.NewCall(at)
	events := httpapitest.TalkEvents(id, at)
	talk := 0
	for events[talk].Type != call.Joined {
		talk++
	}
	s.Append(events[:talk]...)
	ctx := browse(t)
	signInAt(t, ctx, s, "/calls/"+id, s.AdminKey)
	shows(t, ctx, `document.querySelectorAll("#timeline li").length > 10 && !document.querySelector("#transfer form")`)
	s.Append(events[talk])
	shows(t, ctx, `document.querySelector("#transfer form") !== null`)
	write(t, ctx, "#to", "999")
	click(t, ctx, "#transfer button")
	shows(t, ctx, `document.querySelector("#to[aria-invalid] + .wrong") !== null || !document.getElementById("problem").hidden`)
	write(t, ctx, "#to", "102")
	click(t, ctx, "[value=blind]")
	click(t, ctx, "#transfer button")
	shows(t, ctx, `document.getElementById("notice").textContent === "The transfer is under way." && document.getElementById("problem").hidden`)
	picture(t, ctx, "transfer")
	if got, want := <-ordered, (scenario.Order{Account: directory.DefaultAccount, CallID: id, To: "102"}); got != want {
		t.Errorf("%+v", got)
	}
	s.Append(events[talk+1:]...)
	shows(t, ctx, `!document.querySelector("#transfer form")`)

	// Who may only look has no form.
	live := s.NewCall(at)
	s.Append(httpapitest.TalkEvents(live, at)[:talk+1]...)
	_, reader := signIn(t, s, s.Key(access.Read))
	for what, page := range map[string]string{
		"a reader": string(html(s, "/calls/"+live, "Cookie", reader).Body), "a link": string(html(s, link(s, live, time.Hour)).Body),
	} {
		if !strings.Contains(page, `id="transfer"`) || strings.Contains(page, "data-deed") {
			t.Errorf("%s gets a form", what)
		}
	}
}

// Who may only look sees the pages without buttons; who is not signed in, none.
func TestThePagesOfWhatGoesOnNeedRights(t *testing.T) {
	s := serve(t)
	put(t, s, "queues/1000", map[string]any{"members": []string{"101"}})
	put(t, s, "widgets/closed", closed())
	planned(t, s, "+79161234567")
	_, reader := signIn(t, s, s.Key(access.Read))
	_, caller := signIn(t, s, s.Key(access.Calls))
	for path, want := range map[string]string{"/queues": "101", "/operators": "Анна", "/callbacks": "&#43;79161234567"} {
		page := string(html(s, path, "Cookie", reader).Body)
		if !strings.Contains(page, want) || strings.Contains(page, "data-deed") {
			t.Errorf("%s: %s", path, page)
		}
		if buttons := strings.Contains(string(html(s, path, "Cookie", caller).Body), "data-deed"); buttons != (path == "/callbacks") {
			t.Errorf("%s with the right calls: buttons %v", path, buttons)
		}
		if a := html(s, path); a.Status != http.StatusSeeOther {
			t.Errorf("%s without a key: %d", path, a.Status)
		}
	}
	if a := html(s, "/callbacks?cursor=nonsense", "Cookie", reader); a.Status != http.StatusSeeOther {
		t.Errorf("a bad cursor: %d", a.Status)
	}
}
