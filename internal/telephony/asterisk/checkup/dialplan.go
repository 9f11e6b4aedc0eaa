package checkup

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
)

// dialled is a place in the dialplan.
type dialled struct {
	context, extension string
	trunk              bool // clients call here; else operators only
}

// noteContext remembers where the calls of an endpoint begin.
func (k *checkup) noteContext(name, extension string, trunk bool) {
	if name == "" {
		return
	}
	i := slices.IndexFunc(k.contexts, func(d dialled) bool { return d.context == name })
	if i < 0 {
		k.contexts = append(k.contexts, dialled{name, extension, trunk})
	} else if trunk && !k.contexts[i].trunk {
		k.contexts[i] = dialled{name, extension, true}
	}
}

// examineDialplan calls into the contexts and looks whether the call is handed
// over. The calls are made so that the dialplan rings nobody: Dial, Queue and
// FollowMe refuse a channel that may not be forwarded any more.
func (k *checkup) examineDialplan(ctx context.Context) {
	if k.SkipDialplan || k.probe == "" {
		return
	}
	for _, c := range k.Contexts {
		k.noteContext(c, cmp.Or(k.Extension, Number), true)
	}
	if len(k.contexts) == 0 {
		k.found(Note, "dialplan.unasked", "")
		return
	}
	for i, d := range k.contexts {
		k.walk(ctx, strconv.Itoa(i), d)
	}
}

// walk follows one call through the dialplan.
func (k *checkup) walk(ctx context.Context, n string, d dialled) {
	level := Fault
	if !d.trunk {
		level = Warning
	}
	caller, walker := k.id("caller"+n), k.id("walker"+n)
	if err := k.ari.CreateLocal(ctx, caller, walker, d.extension, d.context); err != nil {
		k.found(Note, "dialplan.unknown", d.context, d.context, reason(err))
		return
	}
	defer k.hangup(ctx, walker)
	defer k.hangup(ctx, caller)
	_, err := k.ear.started(ctx, caller)
	for _, step := range []func() error{
		func() error { return k.ari.SetVariable(ctx, caller, "CHANNEL(max_forwards)", "0") },
		func() error { return k.ari.Subscribe(ctx, "channel:"+walker) },
		func() error { return k.ari.DialChannel(ctx, caller, patience) },
	} {
		if err == nil {
			err = step()
		}
	}
	if err != nil {
		k.found(Note, "dialplan.unknown", d.context, d.context, reason(err))
		return
	}
	last := "" // where the dialplan has led to
	end, err := k.ear.next(ctx, func(ev ari.Event) bool {
		if ev.Channel == nil || ev.Channel.ID != walker && ev.Channel.ID != caller {
			return false
		}
		switch ev.Type {
		case ari.ChannelDialplan:
			if ev.Channel.ID == walker {
				last = ev.DialplanApp + "(" + ev.DialplanData + ")"
				return strings.EqualFold(ev.DialplanApp, "Stasis")
			}
		case ari.ChannelDestroyed:
			return true
		}
		return false
	})
	app, _, _ := strings.Cut(end.DialplanData, ",")
	switch {
	case err == nil && end.Type == ari.ChannelDialplan && app == k.App:
		k.found(OK, "dialplan.ok", d.context, d.context, d.extension, k.App)
	case err == nil && end.Type == ari.ChannelDialplan:
		k.found(level, "dialplan.other", d.context, d.context, d.extension, app, k.App)
	case last == "":
		k.found(level, "dialplan.absent", d.context, d.context, d.extension, k.App)
	default:
		k.found(level, "dialplan.elsewhere", d.context, d.context, d.extension, last, k.App)
	}
}
