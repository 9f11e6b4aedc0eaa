package asterisk

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
)

// listener is the engine as ari sees it.
type listener struct{ e *Engine }

// Connected looks which of our calls have ended while nobody listened, and at
// first what a process before this one left.
func (h listener) Connected(ctx context.Context) error {
	e := h.e
	if err := e.ari.Subscribe(ctx, "deviceState:"); err != nil {
		return err
	}
	there, err := e.ari.Channels(ctx)
	if err != nil {
		return err
	}
	bridges, err := e.ari.Bridges(ctx)
	if err != nil {
		return err
	}
	left := make(map[string]bool, len(there))
	for _, c := range there {
		left[c.ID] = true
	}
	e.mu.Lock()
	first := !e.readied
	e.mu.Unlock()
	if first {
		if err := e.takeStock(ctx, there, bridges); err != nil {
			return err
		}
	}
	e.mu.Lock()
	e.readied, e.lost = true, time.Time{}
	var gone []*leg
	for id, l := range e.channels {
		if !left[id] && l.made(id) {
			gone = append(gone, l)
		}
	}
	e.mu.Unlock()
	for _, l := range gone {
		l.end(&telephony.HangupError{Leg: l.id, By: telephony.ByNetwork, Reason: "ended while Asterisk was out of reach"})
	}
	if first {
		close(e.ready)
	}
	e.log.Info("Asterisk is connected", "channels", len(there), "lost", len(gone))
	return nil
}

// Lost ends all calls when Asterisk has been out of reach for long.
func (h listener) Lost(err error) {
	e := h.e
	e.mu.Lock()
	if e.lost.IsZero() {
		e.lost = time.Now()
	}
	since := time.Since(e.lost)
	e.mu.Unlock()
	e.log.Warn("Asterisk is out of reach", "since", since, "err", err)
	if since < outage {
		return
	}
	// All of them at once: who hears that one side of a talk is gone hangs the other
	// up, and that would be the reason.
	ends := make(map[*leg]*telephony.HangupError)
	for _, l := range e.legs() {
		if l.claimEnd() {
			ends[l] = &telephony.HangupError{Leg: l.id, By: telephony.ByNetwork, Reason: fmt.Sprintf("Asterisk is out of reach for %v", outage)}
		}
	}
	for l, cause := range ends {
		l.cancel(cause)
	}
	for l, cause := range ends {
		l.endFor(cause)
	}
}

// Event hands an event to the leg it is about.
func (h listener) Event(ev ari.Event) {
	e := h.e
	switch ev.Type {
	case ari.DialEvent:
		if ev.Peer != nil {
			if l := e.find(ev.Peer.ID); l != nil {
				l.told(ev.Peer.ID, ev)
			}
		}
		return
	case ari.ChannelTransfer:
		if ev.State == "" && ev.ReferredBy != nil && ev.ReferredBy.Source != nil {
			if l := e.find(ev.ReferredBy.Source.ID); l != nil {
				l.referred(ev)
			}
		}
		return
	}
	if d := ev.DeviceState; d != nil {
		if extension, ok := strings.CutPrefix(d.Name, technology); ok {
			e.states.tell(extension)
		}
	}
	if ev.Channel == nil {
		return
	}
	if ev.Type == ari.StasisStart {
		e.came(ev.Channel.ID)
		e.isNew(ev.Channel.ID)
	}
	if l := e.find(ev.Channel.ID); l != nil {
		l.told(ev.Channel.ID, ev)
		return
	}
	if ev.Channel.Dialplan.Exten == hangupExtension {
		return // the dialplan's last word about a channel that has hung up
	}
	if ev.Type == ari.StasisStart && !e.ours(ev.Channel.ID) && strings.HasPrefix(ev.Channel.Name, technology) {
		e.arrived(*ev.Channel)
	}
}

// hangupExtension is where Asterisk goes with a channel that has hung up: a
// pattern of the dialplan that takes every extension takes it as well.
const hangupExtension = "h"

// technology is what the names of phones' channels begin with.
const technology = "PJSIP/"

// endpointIn is the endpoint in the name of a channel: PJSIP/101-00000001.
func endpointIn(name string) string {
	name = strings.TrimPrefix(name, technology)
	if i := strings.LastIndexByte(name, '-'); i >= 0 {
		return name[:i]
	}
	return name
}
