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
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/telephony"
)

// fromTrunk is a client's call: its route says who takes it (specification
// 3-responsible-manager).
func (a *arrival) fromTrunk(ctx context.Context) error {
	client := a.info.From
	if a.info.ANI != "" {
		client = a.info.ANI
	}
	if e164, err := a.e164(client); err == nil {
		client = e164
	}
	a.begin(call.Inbound, client, target{role: call.Client, number: client})
	defer a.hangUp(a.caller)
	waiting, _, free := a.whileOn(ctx, a.caller)
	defer free()
	return a.route(ctx, waiting, client, "")
}

// route takes the caller along his route; queue is where he waits already, "":
// nowhere.
func (a *arrival) route(ctx, waiting context.Context, client, queue string) error {
	routes, err := a.Directory.Routes(ctx, a.account)
	if err != nil {
		a.log.ErrorContext(ctx, "no routes", "err", err)
		a.caller.Refuse(503, "the routes cannot be read")
		return fmt.Errorf("%w: %w", errNoRoute, err)
	}
	route, why, ok := directory.MatchRoute(routes, a.info.To, a.info.Trunk, client, time.Now(), a.region())
	if !ok {
		a.caller.Refuse(404, why)
		return fmt.Errorf("%w: %s", errNoRoute, why)
	}
	a.note("route " + route.Name + ": " + why)
	a.follow(route)
	steps := route.Steps
	if queue != "" {
		to, rest := stepsFrom(steps, queue)
		if err = a.queueStep(waiting, waiting, to); err == nil {
			err = context.Cause(waiting)
		}
		steps = rest
	}
	if err == nil {
		err = a.steps(waiting, steps)
	}
	switch {
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case a.talked:
		return errTalked
	case callerLeft(err):
		return fmt.Errorf("%w (%w)", errAbandoned, err)
	case err != nil:
		return err
	case a.answered && !a.rang:
		return errAnnounced // nobody was to be called
	}
	a.caller.Refuse(480, errNobody.Error())
	return errNobody
}

// follow lets the server speak as the route says from now on. What no route of
// the call says stays as it is.
func (a *arrival) follow(r directory.Route) {
	a.voice = speech.Voice{Language: cmp.Or(r.Language, a.voice.Language), Name: cmp.Or(r.Voice, a.voice.Name)}
	a.transcribe = a.transcribe || r.Transcribe
}

// stepsFrom finds where on a route a caller waits, and what comes after it.
func stepsFrom(steps directory.Steps, queue string) (here directory.ToQueue, rest directory.Steps) {
	for i, s := range steps {
		switch {
		case s.Queue != nil && s.Queue.Name == queue:
			return *s.Queue, steps[i+1:]
		case s.Menu != nil:
			for _, chosen := range s.Menu.Keys {
				if to, after := stepsFrom(chosen, queue); after != nil {
					return to, slices.Concat(after, steps[i+1:])
				}
			}
		}
	}
	return directory.ToQueue{Name: queue}, nil // he came by another's fallback
}

// steps does one step after the other until one of them takes the call or ends
// it, and returns how the call ended; nil: none has.
func (a *arrival) steps(ctx context.Context, steps directory.Steps) error {
	for _, s := range steps {
		if err := a.step(ctx, s); err != nil {
			return err
		}
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
	}
	return nil
}

// step returns nil if it passes the call on.
func (a *arrival) step(ctx context.Context, s directory.Step) error {
	switch {
	case s.Responsible != nil:
		return a.responsible(ctx, *s.Responsible)
	case s.Queue != nil:
		return a.queueStep(ctx, ctx, *s.Queue)
	case s.Operator != nil:
		return a.operator(ctx, *s.Operator)
	case s.Number != nil:
		return a.number(ctx, *s.Number)
	case s.Announce != nil:
		return a.announce(ctx, s.Announce.Text)
	case s.Menu != nil:
		return a.menu(ctx, *s.Menu)
	case s.CallbackOffer != nil:
		return a.offer(ctx, *s.CallbackOffer)
	case s.Route != nil:
		return a.goOn(ctx, s.Route.Name)
	case s.Hangup != nil:
		if !a.answered {
			a.caller.Refuse(s.Hangup.SIPCode(), errRouteHungUp.Error())
		}
		if a.answered && !a.rang {
			return errAnnounced
		}
		return errRouteHungUp
	}
	return nil
}

// responsible rings the operator who knows the client, if he is free
// (3-responsible-manager, 1 to 3).
func (a *arrival) responsible(ctx context.Context, r directory.Responsible) error {
	if a.board.Responsible == nil {
		return nil
	}
	found, err := a.board.Responsible.Responsible(ctx, a.account, a.caller.number, r.Rule())
	switch {
	case ctx.Err() != nil: // the caller did not wait for it
		return context.Cause(ctx)
	case err != nil:
		a.log.ErrorContext(ctx, "the responsible operator cannot be looked up", "err", err)
		a.note("responsible: " + err.Error())
		return nil
	}
	a.note(found.Note())
	if !found.Found() {
		return nil
	}
	_, err = a.ringOperator(ctx, found.Operator, time.Duration(r.RingS)*time.Second)
	return err
}

// operator rings an operator; who does not reach him hears his notice before
// the route goes on.
func (a *arrival) operator(ctx context.Context, o directory.ToOperator) error {
	missed, err := a.ringOperator(ctx, o.Extension, time.Duration(o.RingS)*time.Second)
	if err == nil && missed != "" {
		_, err = a.notice(ctx, o.Extension, missed)
	}
	return err
}

// ringOperator rings an operator who is free, and lets the caller talk to him.
// missed is one of Missed… if the caller did not reach him.
func (a *arrival) ringOperator(ctx context.Context, extension string, rings time.Duration) (missed string, err error) {
	o, err := a.Operators.Operator(ctx, a.account, extension)
	if err != nil {
		a.note(fmt.Sprintf("operator %s: %v", extension, err))
		return "", nil
	}
	a.rang = true
	if why := a.occupied(o); why != "" {
		a.event(call.Event{Type: call.Skipped, Operator: extension, Reason: why})
		return missedAs(why), nil
	}
	return a.ring(ctx, a.ringing(ctx, o, a.operatorLeg(), a.shown(), rings))
}

// occupied is why an operator is not rung, "" if he is free: the state of his
// phones must be NOT_INUSE, and he must not be paused.
func (s *course) occupied(o directory.Operator) string {
	if o.Paused {
		return "paused"
	}
	if state := s.Engine.DeviceState(o.Extension); state != telephony.NotInUse && len(o.Phones) == 0 {
		return string(state)
	}
	return ""
}

// shown is what operators' phones see of the caller.
func (a *arrival) shown() caller {
	return caller{number: cmp.Or(a.caller.number, a.caller.operator), name: a.info.FromName, ani: a.info.ANI}
}

// number rings a number outside that the administrator has set.
func (a *arrival) number(ctx context.Context, n directory.ToNumber) error {
	var wanted []string
	if n.Trunk != "" {
		wanted = []string{n.Trunk}
	}
	trunks, err := a.trunks(ctx, wanted)
	if err != nil {
		a.note("number " + n.Number + ": " + err.Error())
		return nil
	}
	a.rang = true
	d := destination{number: n.Number, trunks: trunks}
	_, err = a.ring(ctx, []target{outside(call.Operator, a.operatorLeg(), d, "", time.Duration(n.RingS)*time.Second)})
	return err
}

// ring calls, and lets the caller talk to who picks up. A nil error: nobody did,
// for the reason missed.
func (a *arrival) ring(ctx context.Context, targets []target) (missed string, err error) {
	if err := a.caller.Ringing(ctx); err != nil {
		return "", err
	}
	operator, err := a.dialFirst(ctx, targets, a.caller)
	if err != nil {
		return missedBy(err), context.Cause(ctx)
	}
	return "", a.connect(ctx, operator)
}

// connect lets the caller talk to an operator until the call is over.
func (a *arrival) connect(ctx context.Context, operator *line) error {
	if err := a.pickUp(ctx); err != nil {
		a.hangUp(operator)
		return err
	}
	operator.Record(a.track(operator.ID(), operator.role))
	last, why := a.converse(ctx, a.caller, operator)
	a.hangUp(last)
	switch {
	case errors.As(why, new(*telephony.HangupError)):
		return errTalked
	case errors.Is(why, errNobodyTook) && context.Cause(ctx) == nil:
		a.talked = true
		a.note(why.Error())
		return nil // the route goes on for who is left without anybody
	}
	return why
}

// announce says a text.
func (a *arrival) announce(ctx context.Context, text string) error {
	if err := a.pickUp(ctx); err != nil {
		return err
	}
	return a.say(ctx, a.caller, promptAnnouncement, text)
}

// menu lets the caller choose by a key, also while the text is spoken.
func (a *arrival) menu(ctx context.Context, m directory.Menu) error {
	if err := a.pickUp(ctx); err != nil {
		return err
	}
	var keys string
	for key := range m.Keys {
		keys += key
	}
	for range m.Repeats {
		key, err := a.ask(ctx, a.caller, promptMenu, m.Text, keys, time.Duration(m.TimeoutS)*time.Second)
		switch {
		case errors.Is(err, errNoKey):
			continue
		case errors.Is(err, errWrongKey):
			if err := a.say(ctx, a.caller, promptWrongKey, a.words(wrongKey)); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		}
		return a.steps(ctx, m.Keys[key])
	}
	return nil
}

// offer offers a callback instead of this call.
func (a *arrival) offer(ctx context.Context, o directory.CallbackOffer) error {
	if a.board.Later == nil {
		return nil
	}
	if err := a.pickUp(ctx); err != nil {
		return err
	}
	text := o.Text
	if text == "" {
		text = a.words(pressForCall, o.Key)
	}
	_, err := a.ask(ctx, a.caller, promptOffer, text, o.Key, offerTime)
	if errors.Is(err, errNoKey) || errors.Is(err, errWrongKey) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := a.board.Later.CallBack(ctx, a.account, o.Widget, a.caller.number); err != nil {
		a.log.ErrorContext(ctx, "the callback that the caller wants is not planned", "err", err)
		a.note("callback: " + err.Error())
		return nil
	}
	if err := a.say(ctx, a.caller, promptWillCall, a.words(weWillCall)); err != nil && context.Cause(ctx) == nil {
		return err
	}
	return errWillCall
}

// offerTime is how long the caller has to accept an offer once it is spoken.
const offerTime = 5 * time.Second

// mostRoutes is how many routes a call may pass: they may lead in a circle.
const mostRoutes = 10

// goOn does the steps of another route.
func (a *arrival) goOn(ctx context.Context, name string) error {
	if a.routes++; a.routes > mostRoutes {
		a.note(fmt.Sprintf("route %s is not followed: the routes lead in a circle", name))
		return nil
	}
	routes, err := a.Directory.Routes(ctx, a.account)
	if err != nil {
		a.note("route " + name + ": " + err.Error())
		return nil
	}
	for _, r := range routes {
		if r.Name == name {
			a.note("route " + name)
			a.follow(r)
			return a.steps(ctx, r.Steps)
		}
	}
	a.note("route " + name + ": there is none of that name")
	return nil
}
