package sipengine

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/perezvon/perezvon/internal/telephony"
)

// watch is what a phone is told of a colleague's phones.
type watch struct {
	e         *Engine
	kind      eventPackage
	watcher   string // the extension of who watches
	extension string // whom
	entity    string // whom, as a URI

	again atomic.Bool // tell it although nothing has changed

	// What follows is next's.
	version int
	told    []byte // as version 0
}

// eventPackage is one way to put it.
type eventPackage struct {
	media string
	write func(w *watch, version int) []byte
}

// packages are the events that can be subscribed to.
var packages = map[string]eventPackage{
	"dialog":   {"application/dialog-info+xml", (*watch).dialogInfo},
	"presence": {"application/pidf+xml", (*watch).presence},
}

const allowEvents = "dialog, presence, refer"

// next implements feed.
func (w *watch) next(over string) (news, bool) {
	again := w.again.Swap(false)
	plain := w.kind.write(w, 0)
	if !again && over == "" && bytes.Equal(plain, w.told) {
		return news{}, false
	}
	w.told = plain
	n := news{kind: w.kind.media, body: w.kind.write(w, w.version), last: over}
	w.version++
	return n, true
}

// dialogsMax bounds the calls that are shown of one operator.
const dialogsMax = 8

// dialogView is a call of an operator, from the phone's side.
type dialogView struct {
	dialogID        // local is the phone's tag
	state    string // of RFC 4235 §3.7.1
	caller   bool   // the phone called
	held     bool   // by the phone
	call     string // whose other forks are not shown
}

// callsOf are the calls of an operator. Of the phones that ring for one call
// only one is shown.
func (e *Engine) callsOf(extension string) []dialogView {
	e.mu.Lock()
	var all []dialogView
	for l := range e.legs {
		if l.operator != extension {
			continue
		}
		if v := l.view(); v.remote != "" { // otherwise it is being made
			all = append(all, v)
		}
	}
	e.mu.Unlock()
	slices.SortFunc(all, func(a, b dialogView) int { return cmp.Compare(a.remote, b.remote) })
	seen := make(map[string]bool)
	all = slices.DeleteFunc(all, func(v dialogView) bool {
		if v.state != "early" || v.caller {
			return false
		}
		other := seen[v.call]
		seen[v.call] = true
		return other
	})
	return all[:min(len(all), dialogsMax)]
}

// view is the leg as its phone sees it.
func (l *leg) view() dialogView {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := l.early
	if l.dialog != nil {
		id = l.dialog.id
	}
	v := dialogView{
		dialogID: dialogID{id.callID, id.remote, id.local},
		state:    "early", caller: l.info.Inbound, held: l.held.On(), call: l.info.Call + " " + l.id,
	}
	if !l.since.IsZero() {
		v.state = "confirmed"
	}
	return v
}

// dialogInfo writes the calls of an operator as RFC 4235 has it: always all of
// them, and, where there are none, one that has ended, without which many
// phones would not put out their lamps.
func (w *watch) dialogInfo(version int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "<?xml version=\"1.0\"?>\n<dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"%d\" state=\"full\" entity=\"%s\">\n", version, escapeXML(w.entity))
	all := w.e.callsOf(w.extension)
	for _, v := range all {
		direction := "recipient"
		if v.caller {
			direction = "initiator"
		}
		// Our tag is unique among all dialogs.
		fmt.Fprintf(&b, "<dialog id=\"%s\" call-id=\"%s\"", escapeXML(v.remote), escapeXML(v.callID))
		if v.local != "" {
			fmt.Fprintf(&b, " local-tag=\"%s\"", escapeXML(v.local))
		}
		fmt.Fprintf(&b, " remote-tag=\"%s\" direction=\"%s\">\n<state>%s</state>\n", escapeXML(v.remote), direction, v.state)
		rendering := "yes"
		if v.held {
			rendering = "no"
		}
		fmt.Fprintf(&b, "<local><identity>%[1]s</identity><target uri=\"%[1]s\"><param pname=\"+sip.rendering\" pvalue=\"%[2]s\"/></target></local>\n</dialog>\n", escapeXML(w.entity), rendering)
	}
	if len(all) == 0 {
		fmt.Fprintf(&b, "<dialog id=\"%s\">\n<state>terminated</state>\n</dialog>\n", escapeXML(w.extension))
	}
	b.WriteString("</dialog-info>\n")
	return b.Bytes()
}

// presence writes whether an operator can be called (RFC 3863), for phones and
// programs that show that only.
func (w *watch) presence(int) []byte {
	state := w.e.DeviceState(w.extension)
	basic, note := "open", "Available"
	switch state {
	case telephony.Unavailable:
		basic, note = "closed", "Not registered"
	case telephony.InUse, telephony.Busy, telephony.OnHold:
		note = "On the phone"
	case telephony.Ringing:
		note = "Ringing"
	case telephony.NotInUse:
	}
	return fmt.Appendf(nil, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"%s\">\n"+
		"<tuple id=\"phone\"><status><basic>%s</basic></status><note>%s</note></tuple>\n</presence>\n", escapeXML(w.entity), basic, note)
}

func escapeXML(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // never fails on a buffer
	return b.String()
}
