package console_test

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// "Each stage can be played by itself."
func TestEachStageIsPlayedByItselfInTheBrowser(t *testing.T) {
	s := serve(t)
	id := s.PassedOn(8000)
	ctx := browse(t)
	open(t, ctx, s.URL+link(s, id, time.Hour)+"&lang=en")
	shows(t, ctx, `document.querySelectorAll("#stages li").length === 3`)
	shows(t, ctx, `[...document.querySelectorAll("#stages .number")].map(n => n.textContent).join() === "101,102,103"`)
	shows(t, ctx, `"drawn" in document.querySelector(".wave").dataset`)
	picture(t, ctx, "stages")
	// It plays from its beginning, and no further than its end.
	click := `document.querySelector("#stages li:nth-child(2) button").click() || true`
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](click)); err != nil {
		t.Fatal(err)
	}
	shows(t, ctx, `!document.querySelector("audio").paused && Math.abs(document.querySelector("audio").currentTime - 10.5) < 0.6`)
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`(document.querySelector("audio").playbackRate = 4) > 0`)); err != nil {
		t.Fatal(err)
	}
	shows(t, ctx, `document.querySelector("audio").paused && document.querySelector("audio").currentTime >= 20 && document.querySelector("audio").currentTime < 29`)
	// The link is to a file of its own.
	fetched := `fetch(document.querySelector("#stages li:nth-child(3) a").href).then(a => a.blob()).then(b => { window.size = b.size })`
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](fetched+` && true`)); err != nil {
		t.Fatal(err)
	}
	shows(t, ctx, `window.size === 58 + 2 * 8000 * 10`)
}
