package scenario

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/numbering"
)

// Directory is what an administrator has set, as far as calls need it. A name
// that is not there is ErrNotFound of the store, which nobody needs to tell
// from other troubles: either way there is nothing to dial.
type Directory interface {
	Trunks(ctx context.Context, account string) ([]directory.Trunk, error)
	Routes(ctx context.Context, account string) ([]directory.Route, error)
	Queue(ctx context.Context, account, name string) (directory.Queue, error)
}

// How long somebody rings who was dialled by hand.
const (
	colleagueRings = 60 * time.Second
	outsideRings   = 120 * time.Second
)

// emergency is dialled as it stands, by every operator (ETSI TS 122 101).
const emergency = "112"

// destination is where a number leads that an operator has dialled. One of the
// first three is set.
type destination struct {
	colleague *directory.Operator
	queue     *directory.Queue
	number    string // outside, E.164
	trunks    []string
}

// destination finds where what an operator dialled leads: to a colleague, a
// queue, or outside, if he may call there. The error is errUnknown or
// errForbidden, and says more.
func (s *course) destination(ctx context.Context, by directory.Operator, dialled string) (destination, error) {
	if o, err := s.Operators.Operator(ctx, s.account, dialled); err == nil {
		return destination{colleague: &o}, nil
	}
	if s.Directory == nil {
		return destination{}, fmt.Errorf("%w: %s", errUnknown, dialled)
	}
	if q, err := s.Directory.Queue(ctx, s.account, dialled); err == nil {
		return destination{queue: &q}, nil
	}
	number, err := s.e164(dialled)
	switch {
	case dialled == emergency:
		number = dialled
	case err != nil:
		return destination{}, fmt.Errorf("%w: %s: %w", errUnknown, dialled, err)
	case !by.MayDial(number, s.region()):
		return destination{}, fmt.Errorf("%w: %s", errForbidden, number)
	}
	trunks, err := s.trunks(ctx, by.Trunks)
	if err != nil {
		return destination{}, err
	}
	return destination{number: number, trunks: trunks}, nil
}

// errNoTrunks: there is no way outside.
var errNoTrunks = fmt.Errorf("%w: no trunk is set", errUnknown)

// trunks are those to call out by, in order: the wanted ones, or the account's
// in the order of their names.
func (s *course) trunks(ctx context.Context, wanted []string) ([]string, error) {
	if len(wanted) > 0 {
		return wanted, nil
	}
	all, err := s.Directory.Trunks(ctx, s.account)
	if err != nil || len(all) == 0 {
		return nil, errors.Join(errNoTrunks, err)
	}
	names := make([]string, len(all))
	for i, t := range all {
		names[i] = t.Name
	}
	slices.Sort(names)
	return names, nil
}

func (s *course) region() string { return cmp.Or(s.Region, "RU") }

// e164 is a number in the form in which numbers are kept.
func (s *course) e164(number string) (string, error) {
	return numbering.Normalize(number, s.region())
}

// ringing is a call to an operator's phones: the registered ones and those
// outside, which ring together. leg names the first of them; the caller is whom
// they see.
func (s *course) ringing(ctx context.Context, o directory.Operator, leg string, from caller, rings time.Duration) []target {
	one := target{
		leg: leg, role: call.Operator, operator: o.Extension, callWaiting: o.CallWaiting,
		callerID: from.number, callerName: from.name, ani: from.ani, timeout: rings,
	}
	together := []target{one}
	if len(o.Phones) == 0 {
		return together
	}
	trunks, err := s.trunks(ctx, o.Trunks)
	if err != nil {
		s.note("the outside phones of " + o.Extension + " do not ring: " + err.Error())
		return together
	}
	for i, phone := range o.Phones {
		together = append(together, target{
			leg: fmt.Sprintf("%s.%d", leg, i+1), role: call.Operator, owner: o.Extension, number: phone,
			trunks: trunks, failsOver: networkFailed, timeout: rings,
		})
	}
	return together
}

// outside is a call to a number through trunks; callerID is what it is shown.
func outside(role call.Role, leg string, d destination, callerID string, rings time.Duration) target {
	return target{
		leg: leg, role: role, number: d.number, trunks: d.trunks, failsOver: networkFailed, callerID: callerID, timeout: rings,
	}
}

// caller is whom a phone of ours sees while it rings: the number, name and ANI
// that came with the call are kept on every leg (specification
// 3-responsible-manager).
type caller struct{ number, name, ani string }
