package console_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/httpapi/httpapitest"
)

// browse opens a real browser's page. Without Chromium the test fails: what
// people see is not proven then.
func browse(t *testing.T) context.Context {
	t.Helper()
	dir, err := os.MkdirTemp("", "perezvon-browser-") //nolint:usetesting // see the clean-up
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(dir),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-quic", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"), chromedp.WindowSize(1200, 900),
	)
	allocator, end := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		cancel()
		end()
		// Chromium's children may still be writing for a moment.
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := 0; i < 100 && os.RemoveAll(dir) != nil; i++ {
			<-tick.C
		}
	})
	if err := chromedp.Do(ctx); err != nil { // starts it
		t.Fatalf("a browser is needed (apt install chromium): %v", err)
	}
	return ctx
}

// patience bounds every wait of a test: a busy machine is no failure.
const patience = 2 * time.Minute

// shows waits until an expression is true in the page. What it looks for may not
// be there yet.
func shows(t *testing.T, ctx context.Context, expression string) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := chromedp.Run(limited, chromedp.Poll[bool](`(() => { try { return `+expression+`; } catch { return false; } })()`)); err != nil {
		text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
		t.Fatalf("never true: %s (%v); the page says:\n%s", expression, err, text)
	}
}

// picture keeps a screenshot where PEREZVON_SHOTS names a folder, for people
// to look at.
func picture(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("PEREZVON_SHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// signInAt opens a page and signs in with the key.
func signInAt(t *testing.T, ctx context.Context, s *httpapitest.Server, path, key string) {
	t.Helper()
	open(t, ctx, s.URL+"/login?lang=en&next="+path)
	if err := chromedp.Do(ctx, chromedp.SendKeys("#key", key)); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.RunResponse(ctx, chromedp.Submit("#key")); err != nil {
		t.Fatal(err)
	}
	shows(t, ctx, `location.pathname === "`+path+`"`)
}

// click presses what the selector finds.
func click(t *testing.T, ctx context.Context, selector string) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := chromedp.Do(limited, chromedp.Click(selector)); err != nil {
		t.Fatalf("click %s: %v", selector, err)
	}
}

// write puts a text in the place of what is in a field.
func write(t *testing.T, ctx context.Context, selector, text string) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := chromedp.Do(limited, chromedp.SetValue(selector, text)); err != nil {
		t.Fatalf("write into %s: %v", selector, err)
	}
}

func open(t *testing.T, ctx context.Context, address string) {
	t.Helper()
	if err := chromedp.Do(ctx, chromedp.Navigate(address)); err != nil {
		t.Fatal(err)
	}
}

// The page shows the timeline as it grows, without being loaded again, and
// plays the recording once there is one.
func TestACallInTheBrowser(t *testing.T) {
	s := serve(t)
	at := time.Now()
	id := s.NewCall(at)
	ctx := browse(t)
	open(t, ctx, s.URL+link(s, id, time.Hour)+"&lang=en")
	shows(t, ctx, `document.querySelectorAll("#timeline li").length === 1`)
	shows(t, ctx, `document.querySelector(".status").textContent.includes("in progress")`)
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`window.sameDocument = true`)); err != nil {
		t.Fatal(err)
	}

	events := httpapitest.TalkEvents(id, at)
	s.Append(events[:4]...)
	shows(t, ctx, `document.querySelectorAll("#timeline li").length === 5`)
	picture(t, ctx, "live")
	s.Append(events[4:]...)
	shows(t, ctx, `document.querySelector(".status").textContent.includes("200")`)
	s.Record(id)
	shows(t, ctx, `document.querySelector("audio")?.readyState >= 1`)
	shows(t, ctx, `Math.abs(document.querySelector("audio").duration - 30) < 0.1`)
	shows(t, ctx, `"drawn" in document.querySelector(".wave").dataset`)
	shows(t, ctx, `document.querySelectorAll("#picture rect.joined").length === 2`)
	shows(t, ctx, `window.sameDocument === true`)
	picture(t, ctx, "call")

	// A time in the timeline plays from there.
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.querySelector("#timeline li:nth-child(15) button").click() || true`)); err != nil {
		t.Fatal(err)
	}
	shows(t, ctx, `!document.querySelector("audio").paused && document.querySelector("audio").currentTime > 10.5 && document.querySelector("audio").currentTime < 20`)
	// The waveform is not empty.
	shows(t, ctx, `(() => { const c = document.querySelector("canvas"); const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 3; i < d.length; i += 4) if (d[i]) n++; return n > 2000 })()`)

	t.Run("at phone width", func(t *testing.T) {
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(390, 844)); err != nil {
			t.Fatal(err)
		}
		open(t, ctx, s.URL+link(s, id, time.Hour)+"&lang=ru")
		shows(t, ctx, `"drawn" in document.querySelector(".wave").dataset`)
		shows(t, ctx, `document.documentElement.scrollWidth <= 390`)
		picture(t, ctx, "call-phone-ru")
	})
}

func TestSigningInWithABrowser(t *testing.T) {
	s := serve(t)
	at := time.Now().Add(-time.Hour)
	s.Talk(at)
	failed := s.NewCall(at.Add(time.Minute))
	s.Append(call.Event{CallID: failed, Type: call.Ended, Status: &call.ManagerNoAnswer})
	dead := s.NewCall(at.Add(2 * time.Minute))
	s.Append(call.Event{CallID: dead, Type: call.Ended, Status: &call.ClientTrunkFailure})
	s.NewCall(time.Now())
	ctx := browse(t)
	open(t, ctx, s.URL+"/?lang=en")
	shows(t, ctx, `location.pathname === "/login"`)
	picture(t, ctx, "login")
	submit := func(key string) {
		t.Helper()
		if err := chromedp.Do(ctx, chromedp.SendKeys("#key", key)); err != nil {
			t.Fatal(err)
		}
		// Waits for the page that follows.
		if _, err := chromedp.RunResponse(ctx, chromedp.Submit("#key")); err != nil {
			t.Fatal(err)
		}
	}
	submit("wrong-key")
	shows(t, ctx, `document.querySelector("[role=alert]") !== null`)
	submit(s.AdminKey)
	shows(t, ctx, `location.pathname === "/" && document.querySelectorAll("tbody tr").length === 4`)
	picture(t, ctx, "list")
}

// The API's own page renders the document without errors.
func TestDocsInTheBrowser(t *testing.T) {
	s := serve(t)
	ctx := browse(t)
	open(t, ctx, s.URL+"/docs")
	shows(t, ctx, `document.querySelectorAll("section").length >= 20`)
	shows(t, ctx, `document.body.innerText.includes("Order a callback") && document.getElementById("create-callback").innerText.includes("dtmf_cancel")`)
	picture(t, ctx, "docs")
	// Nothing was asked of anybody else.
	shows(t, ctx, `performance.getEntriesByType("resource").every(r => r.name.startsWith(location.origin) || r.name.startsWith("data:"))`)
}
