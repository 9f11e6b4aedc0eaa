package scenario

import (
	"context"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/telephony"
)

// gone is a leg that ended while the server was away: nothing can be done with
// it, and it tells why.
type gone struct {
	id     string
	ctx    context.Context
	digits *telephony.Digits
	refers *telephony.Refers
	held   telephony.Flag
}

var _ telephony.Leg = (*gone)(nil)

func newGone(id string) *gone {
	ctx, end := context.WithCancelCause(context.Background())
	end(&telephony.HangupError{Leg: id, By: telephony.ByFar, Reason: whileAway})
	return &gone{id: id, ctx: ctx, digits: telephony.NewDigits(), refers: telephony.NewRefers()}
}

func (g *gone) ID() string                                   { return g.id }
func (g *gone) Info() telephony.Info                         { return telephony.Info{} }
func (g *gone) Context() context.Context                     { return g.ctx }
func (g *gone) Answer(context.Context) error                 { return context.Cause(g.ctx) }
func (g *gone) Ringing(context.Context) error                { return context.Cause(g.ctx) }
func (g *gone) Progress(context.Context) error               { return context.Cause(g.ctx) }
func (g *gone) Play(context.Context, telephony.Prompt) error { return context.Cause(g.ctx) }
func (g *gone) SendDigits(context.Context, string) error     { return context.Cause(g.ctx) }
func (g *gone) Digits() *telephony.Digits                    { return g.digits }
func (g *gone) Refers() *telephony.Refers                    { return g.refers }
func (g *gone) Held() *telephony.Flag                        { return &g.held }
func (g *gone) Listen(media.Listener) error                  { return context.Cause(g.ctx) }
func (g *gone) KeepKeys(bool)                                {}
func (g *gone) Record(media.Track)                           {}
func (g *gone) Hangup(int)                                   {}
func (g *gone) Refuse(int, string)                           {}
