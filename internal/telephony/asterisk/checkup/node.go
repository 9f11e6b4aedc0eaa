package checkup

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
)

// reach asks the first question.
func (k *checkup) reach(ctx context.Context) bool {
	version, err := k.ari.Version(ctx)
	var refused *ari.Error
	switch {
	case err == nil:
	case !errors.As(err, &refused):
		k.found(Fault, "ari.unreachable", k.URL, k.URL, reason(err))
		return false
	case refused.Code == http.StatusUnauthorized, refused.Code == http.StatusForbidden:
		k.found(Fault, "ari.password", k.User, k.User)
		return false
	default:
		k.found(Fault, "ari.absent", k.URL, k.URL, reason(err))
		return false
	}
	k.found(OK, "ari.ok", k.User, k.URL, k.User)
	k.r.Version = version
	k.examineVersion(version)
	return true
}

// oldest is the first major version that the engine works with.
const oldest = 20

// features are what came into Asterisk late, by the first release of each
// branch that has it. The tags of its repository say so.
var features = []struct {
	check string
	since []version
}{
	{"version.transfer", []version{{20, 13}, {21, 8}, {22, 3}, {23, 0}}},
	{"version.progress", []version{{20, 16}, {21, 11}, {22, 6}, {23, 0}}},
	{"version.status", []version{{20, 17}, {22, 7}, {23, 1}}},
}

func (k *checkup) examineVersion(text string) {
	v, ok := parseVersion(text)
	switch {
	case !ok:
		k.found(Note, "version.unknown", text, text)
		return
	case v.major < oldest:
		k.found(Fault, "version.old", text, text)
		return
	}
	k.found(OK, "version.ok", text, text)
	for _, f := range features {
		if !v.has(f.since) {
			k.found(Warning, f.check, text, text)
		}
	}
}

// module is one that the engine needs.
type module struct {
	name string
	// why is the key of what does not work without it.
	why string
}

// needed are the modules without which calls do not work, and the order in which
// they are told.
var needed = []module{
	{"res_stasis", "stasis"},
	{"app_stasis", "handover"},
	{"res_ari_channels", "ari"},
	{"res_ari_bridges", "ari"},
	{"res_ari_endpoints", "ari"},
	{"res_ari_events", "ari"},
	{"res_ari_applications", "ari"},
	{"res_ari_device_states", "states"},
	{"res_stasis_device_state", "states"},
	{"res_stasis_answer", "answer"},
	{"res_stasis_snoop", "recording"},
	{"chan_rtp", "media"},
	{"res_rtp_asterisk", "media"},
	{"codec_alaw", "media"},
	{"bridge_simple", "bridge"},
	{"bridge_softmix", "bridge"},
	{"chan_pjsip", "phones"},
	{"res_pjsip_session", "phones"},
	{"res_pjsip_sdp_rtp", "phones"},
	{"res_pjsip_refer", "transfer"},
	{"res_pjsip_header_funcs", "vouched"},
	{"func_channel", "channel"},
	{"func_callerid", "callerid"},
}

// Modules are the names of those that the engine needs, without .so.
func Modules() (names []string) {
	for _, m := range needed {
		names = append(names, m.name)
	}
	return names
}

// timers are the sources of Asterisk's time; it takes the first that is there.
var timers = []string{"res_timing_timerfd", "res_timing_kqueue", "res_timing_dahdi", "res_timing_pthread"}

// patient is the source of time that makes up for ticks that were missed, which
// snoops want: docs/decisions/0014-snoops.md.
const patient = "res_timing_pthread"

func (k *checkup) examineModules(ctx context.Context) {
	all, err := k.ari.Modules(ctx)
	if err != nil {
		k.found(Note, "modules.unknown", "", reason(err))
		return
	}
	k.modules = make(map[string]string, len(all))
	for _, m := range all {
		k.modules[strings.TrimSuffix(m.Name, ".so")] = m.Status
	}
	whole := true
	for _, m := range needed {
		switch status, loaded := k.modules[m.name]; {
		case !loaded:
			k.found(Fault, "module.missing", m.name, m.name, why(m.why))
		case status != ari.ModuleRunning:
			k.found(Fault, "module.stopped", m.name, m.name, status, why(m.why))
		default:
			continue
		}
		whole = false
	}
	if whole {
		k.found(OK, "modules.ok", "", len(needed))
	}
	i := slices.IndexFunc(timers, func(name string) bool { return k.modules[name] == ari.ModuleRunning })
	if i < 0 {
		k.found(Fault, "timing.none", "")
		return
	}
	if timers[i] != patient {
		k.found(Warning, "timing.forgets", timers[i], timers[i])
		return
	}
	k.found(OK, "timing.ok", timers[i], timers[i])
}

// runs tells whether a module works; true where that could not be asked.
func (k *checkup) runs(name string) bool {
	return k.modules == nil || k.modules[name] == ari.ModuleRunning
}

// examineApp tells whether a server is connected, which is no fault either way.
func (k *checkup) examineApp(ctx context.Context) {
	names, err := k.ari.Applications(ctx)
	switch {
	case err != nil:
		return // the modules tell why
	case slices.Contains(names, k.App):
		k.found(OK, "app.served", k.App, k.App)
	default:
		k.found(Note, "app.away", k.App, k.App)
	}
}
