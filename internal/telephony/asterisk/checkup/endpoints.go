package checkup

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/numbering"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari"
)

// examineDirectory looks for the endpoints of the trunks and operators.
func (k *checkup) examineDirectory(ctx context.Context) {
	switch {
	case k.DirectoryErr != nil:
		k.found(Note, "directory.unread", "", reason(k.DirectoryErr))
		return
	case len(k.Trunks) == 0 && len(k.Operators) == 0:
		k.found(Note, "directory.empty", "")
		return
	}
	all, err := k.ari.EndpointStates(ctx, "PJSIP")
	if err != nil {
		return // the modules tell why
	}
	states := make(map[string]string, len(all))
	for _, e := range all {
		states[e.Name] = e.State
	}
	k.examineTrunks(ctx, states)
	k.examineOperators(ctx, states)
}

// EndpointOf is the endpoint of a trunk.
func EndpointOf(t directory.Trunk) string { return cmp.Or(t.Endpoint, t.Name) }

func (k *checkup) examineTrunks(ctx context.Context, states map[string]string) {
	fine := 0
	for _, t := range k.Trunks {
		name := EndpointOf(t)
		before := k.r.Faults() + k.r.Warnings()
		switch state, there := states[name]; {
		case !there:
			k.found(Fault, "trunk.missing", name, t.Name, name)
			continue
		case state == ari.EndpointOffline:
			k.found(Warning, "trunk.offline", name, t.Name, name)
		}
		if set := k.settings(ctx, name); set != nil {
			k.examineEndpoint(name, set)
			if yes(set["trust_id_inbound"]) {
				k.found(Warning, "trunk.trusts", name, name)
			}
			if yes(set["allow_transfer"]) {
				k.found(Warning, "trunk.transfers", name, name)
			}
			k.noteContext(set["context"], k.number(t), true)
		}
		if k.r.Faults()+k.r.Warnings() == before {
			fine++
		}
	}
	if fine > 0 {
		k.found(OK, "trunks.ok", "", fine, len(k.Trunks))
	}
}

// number is one that a carrier may call: the trunk's own, if it is known.
func (k *checkup) number(t directory.Trunk) string {
	own, err := numbering.Format(t.CallerID, t.NumberFormat)
	if err != nil {
		own = t.CallerID
	}
	return cmp.Or(k.Extension, own, Number)
}

func (k *checkup) examineOperators(ctx context.Context, states map[string]string) {
	var missing, offline, deaf []string
	fine := 0
	for _, o := range k.Operators {
		switch state, there := states[o.Extension]; {
		case !there && len(o.Phones) > 0:
			continue // outside numbers are rung
		case !there:
			missing = append(missing, o.Extension)
			continue
		case state == ari.EndpointOffline:
			offline = append(offline, o.Extension)
		default:
			fine++
		}
		if set := k.settings(ctx, o.Extension); set != nil {
			k.examineEndpoint(o.Extension, set)
			if set["allow_transfer"] == "no" || set["allow_transfer"] == "false" {
				deaf = append(deaf, o.Extension)
			}
			k.noteContext(set["context"], cmp.Or(k.Extension, Number), false)
		}
	}
	for _, g := range []struct {
		level      Level
		check      string
		extensions []string
	}{{Fault, "operator.missing", missing}, {Warning, "operator.offline", offline}, {Warning, "operator.transfers", deaf}} {
		if len(g.extensions) > 0 {
			k.found(g.level, g.check, g.extensions[0], some(g.extensions))
		}
	}
	if fine > 0 {
		k.found(OK, "operators.ok", "", fine, len(k.Operators))
	}
}

// examineEndpoint looks at what both kinds have.
func (k *checkup) examineEndpoint(name string, set map[string]string) {
	if m := set["dtmf_mode"]; m != "" && !slices.Contains(keyModes, m) {
		k.found(Warning, "endpoint.keys", name, name, m)
	}
	if yes(set["direct_media"]) {
		k.found(Warning, "endpoint.direct", name, name)
	}
	if set["aors"] == "" {
		k.found(Fault, "endpoint.aors", name, name)
	}
	k.examineCodecs(name, set["allow"])
}

// keyModes are those by which the keys of nearly all phones are heard.
var keyModes = []string{"auto", "auto_info", "rfc4733"}

// codecs are the modules that turn what a phone may speak into A-law and back.
// What is not here, Asterisk only passes on.
var codecs = map[string]string{
	"alaw": "codec_alaw", "ulaw": "codec_ulaw", "g722": "codec_g722", "gsm": "codec_gsm", "g726": "codec_g726", "adpcm": "codec_adpcm",
	"ilbc": "codec_ilbc", "lpc10": "codec_lpc10", "speex": "codec_speex", "opus": "codec_opus", "g729": "codec_g729a",
}

// examineCodecs looks whether Asterisk can speak to us for an endpoint, whatever
// of its codecs is agreed on: "(ulaw|alaw|g722)", or a list with commas.
func (k *checkup) examineCodecs(name, allow string) {
	all := strings.FieldsFunc(strings.Trim(allow, "()"), func(r rune) bool { return r == '|' || r == ',' || r == ' ' })
	if len(all) == 0 {
		k.found(Fault, "endpoint.codecs", name, name, "")
		return
	}
	var silent []string
	usable := 0
	for _, c := range all {
		switch m, known := codecs[c]; {
		case strings.HasPrefix(c, "slin"), known && k.runs(m):
			usable++
		case known:
			silent = append(silent, c)
		}
	}
	switch {
	case usable == 0:
		k.found(Fault, "endpoint.codecs", name, name, strings.Join(all, ", "))
	case len(silent) > 0:
		k.found(Warning, "endpoint.codec", name, name, strings.Join(silent, ", "), codecs[silent[0]])
	}
}

// asked are the settings of an endpoint that matter.
var asked = []string{"context", "aors", "allow", "dtmf_mode", "direct_media", "trust_id_inbound", "allow_transfer"}

// settings are those of an endpoint; nil: they cannot be asked.
func (k *checkup) settings(ctx context.Context, endpoint string) map[string]string {
	if k.probe == "" {
		return nil
	}
	set := make(map[string]string, len(asked))
	for _, name := range asked {
		value, err := k.ari.Variable(ctx, k.probe, "PJSIP_ENDPOINT("+endpoint+","+name+")")
		if err != nil {
			var refused *ari.Error
			if errors.As(err, &refused) {
				k.once("endpoint.unknown", "func_pjsip_endpoint")
			}
			return nil
		}
		set[name] = value
	}
	return set
}

// once notes something that many would.
func (k *checkup) once(check, about string) {
	if _, told := k.r.Find(check); !told {
		k.found(Note, check, about)
	}
}

func yes(value string) bool { return value == "yes" || value == "true" }

// some are the first of many.
func some(names []string) string {
	const most = 8
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}
