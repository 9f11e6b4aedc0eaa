package dispatch

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/scenario"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/store"
)

// check is every rule that an order must pass: those of the packet itself, with
// its widget's settings, then those that need to know what the administrator has
// set. The result is the packet as the scenario will read it.
func (s *Service) check(ctx context.Context, account string, p callback.Packet, w *directory.Widget) (callback.Packet, error) {
	var bad invalid.Error
	p, err := s.checkRoutes(ctx, &bad, account, p, w)
	if err != nil {
		return p, err
	}
	if err := s.checkTexts(ctx, &bad, p); err != nil {
		return p, err
	}
	return p, bad.Err()
}

// checkRoutes is check without the texts. What the administrator has not set is
// added to bad.
func (s *Service) checkRoutes(ctx context.Context, bad *invalid.Error, account string, p callback.Packet, w *directory.Widget) (callback.Packet, error) {
	if w != nil {
		p = w.Apply(p)
	}
	p, err := p.Normalize(s.config.Region, s.config.Allow...)
	if err != nil {
		return p, err
	}
	outside, err := s.checkManagers(ctx, bad, account, p.Managers)
	if err != nil {
		return p, err
	}
	s.checkHearing(bad, p)
	return p, s.checkTrunks(ctx, bad, account, &p, outside)
}

// checkHearing finds what nothing here can understand.
func (s *Service) checkHearing(bad *invalid.Error, p callback.Packet) {
	if p.VoiceControl != nil && *p.VoiceControl {
		if err := s.config.Hearing.CheckKeys(p.Language); err != nil {
			bad.Add("voice_control", err.Error())
		}
	}
	if p.Transcribe != nil && *p.Transcribe {
		if err := s.config.Hearing.Check(p.Language); err != nil {
			bad.Add("transcribe", err.Error())
		}
	}
}

// checkManagers finds managers that nobody could call. outside tells that one
// of them needs a trunk.
func (s *Service) checkManagers(ctx context.Context, bad *invalid.Error, account string, managers callback.Managers) (outside bool, err error) {
	for i, m := range managers {
		extension := m.Operator()
		if extension == "" {
			outside = true
			continue
		}
		o, err := s.config.Store.Operator(ctx, account, extension)
		field := "number"
		if m.SIP != "" {
			field = "sip"
		}
		switch {
		case errors.Is(err, store.ErrNotFound):
			bad.Add(fmt.Sprintf("managers[%d].%s", i, field), fmt.Sprintf("there is no operator %s", extension))
		case err != nil:
			return false, fmt.Errorf("%w: %w", ErrUnavailable, err)
		default:
			outside = outside || len(o.Phones) > 0
		}
	}
	return outside, nil
}

// checkTrunks finds trunks that do not exist. An order that names none where it
// needs one gets the account's only trunk.
func (s *Service) checkTrunks(ctx context.Context, bad *invalid.Error, account string, p *callback.Packet, outside bool) error {
	trunks, err := s.knownTrunks(ctx, bad, account, *p)
	if err != nil {
		return err
	}
	if len(p.RouteToClient()) == 0 || outside && len(p.RouteToManagers()) == 0 {
		switch len(trunks) {
		case 0:
			bad.Add("trunk", "there is no trunk yet; make one with POST /api/v1/trunks")
		case 1:
			p.Trunk = trunks[0].Name
		default:
			bad.Add("trunk", "say which: "+names(trunks))
		}
	}
	return nil
}

// knownTrunks are the account's. Those that the packet names must be among them.
func (s *Service) knownTrunks(ctx context.Context, bad *invalid.Error, account string, p callback.Packet) ([]directory.Trunk, error) {
	trunks, err := s.config.Store.Trunks(ctx, account)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	known := func(name string) bool {
		for _, t := range trunks {
			if t.Name == name {
				return true
			}
		}
		return false
	}
	if p.Trunk != "" && !known(p.Trunk) {
		bad.Add("trunk", "there is no trunk "+p.Trunk)
	}
	for field, list := range map[string][]string{"trunks_manager": p.TrunksManager, "trunks_client": p.TrunksClient} {
		for i, name := range list {
			if !known(name) {
				bad.Add(fmt.Sprintf("%s[%d]", field, i), "there is no trunk "+name)
			}
		}
	}
	return trunks, nil
}

func names(trunks []directory.Trunk) string {
	list := make([]string, len(trunks))
	for i, t := range trunks {
		list[i] = t.Name
	}
	return strings.Join(list, ", ")
}

// checkTexts finds texts that nothing here can speak, of the packet and of the
// scenario, which tells what the keys do.
func (s *Service) checkTexts(ctx context.Context, bad *invalid.Error, p callback.Packet) error {
	v := speech.Voice{Language: p.Language, Name: p.Voice}
	fields := map[string]string{
		p.Greeting: "greeting", p.ConnectingText: "connecting_text", p.IVRText: "ivr_text", p.ExtraInfo: "extra_info",
	}
	for _, text := range scenario.Texts(p) {
		err := s.config.Speech.Check(ctx, v, text)
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		field, given := fields[text]
		if !given {
			field = "language" // the words are ours, so the voice is at fault
		}
		bad.Add(field, err.Error())
	}
	return nil
}
