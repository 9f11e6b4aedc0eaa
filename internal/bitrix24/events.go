package bitrix24

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/invalid"
)

// Events that a portal reports, in its spelling.
const (
	eventInstalled   = "ONAPPINSTALL"
	eventUninstalled = "ONAPPUNINSTALL"
	eventCall        = "ONEXTERNALCALLSTART"
	eventCallback    = "ONEXTERNALCALLBACKSTART"
)

// ErrNotVerified says that an event does not come from a portal that an account
// is connected with.
var ErrNotVerified = errors.New("the event is not from a portal that is connected")

// Order is what a portal has asked for, kept as the body of the callback that it
// became.
type Order struct {
	Event  string `json:"event"`
	CallID string `json:"bitrix24_call_id,omitempty"`
	User   int64  `json:"user_id,omitempty"`
	Client string `json:"client"`
	Line   string `json:"line,omitempty"`
}

// orderOf reads the body of a callback; the zero Order if no portal ordered it.
func orderOf(received []byte) Order {
	var o Order
	if json.Unmarshal(received, &o) != nil || o.Event != eventCall {
		return Order{}
	}
	return o
}

// Event takes what a portal reports, in the form that it posts: data[…] and
// auth[…]. The error is ErrNotVerified, what Config.Order says, or a failure.
func (s *Service) Event(ctx context.Context, form url.Values) error {
	event := strings.ToUpper(form.Get("event"))
	if event == eventInstalled {
		return s.installed(ctx, form)
	}
	account, k, err := s.sender(ctx, form)
	if err != nil {
		return err
	}
	data := func(field string) string { return form.Get("data[" + field + "]") }
	log := s.config.Logger.With("account", account, "event", event)
	switch event {
	case eventCall:
		user, _ := strconv.ParseInt(data("USER_ID"), 10, 64)
		o := Order{Event: event, CallID: data("CALL_ID"), User: user, Client: cmp.Or(data("PHONE_NUMBER_INTERNATIONAL"), data("PHONE_NUMBER")), Line: data("LINE_NUMBER")}
		p, err := s.portal(ctx, account)
		if err != nil {
			return err
		}
		operator, err := p.operator(ctx, user)
		packet := callback.Packet{Client: o.Client, ClientDelayMS: new(int)}
		if err == nil {
			packet.Managers = callback.Managers{{SIP: operator}}
			if extension := data("EXTENSION"); extension != "" {
				packet.Client += "^" + extension
			}
			err = s.order(ctx, account, packet, o, o.CallID)
		}
		if err != nil {
			log.WarnContext(ctx, "a call that Bitrix24 wants is not made", "user", user, "err", err)
		}
		if errors.Is(err, ErrNobody) || errors.As(err, new(invalid.Error)) {
			if e := s.refuse(ctx, account, packet, o, err); e != nil {
				return e
			}
		}
		return err
	case eventCallback:
		o := Order{Event: event, Client: data("PHONE_NUMBER"), Line: data("LINE_NUMBER")}
		return s.order(ctx, account, callback.Packet{Widget: cmp.Or(k.CallbackWidget, o.Line), Client: o.Client, Greeting: data("TEXT")},
			o, o.Client+" "+form.Get("ts")+" "+data("CRM_ENTITY_TYPE")+data("CRM_ENTITY_ID"))
	case eventUninstalled:
		log.WarnContext(ctx, "the application was removed from Bitrix24")
		k.AccessToken, k.RefreshToken, k.ApplicationToken = "", "", ""
		return s.save(ctx, account, k)
	}
	return nil // nothing that we asked for
}

// refuse keeps a call that cannot be made: the portal has registered it, its
// card is open, and only a call that is kept here is told to be over.
func (s *Service) refuse(ctx context.Context, account string, p callback.Packet, o Order, why error) error {
	if o.CallID == "" {
		return nil
	}
	raw, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return s.config.Refuse(ctx, account, callback.Packet{Client: p.Client}, raw, keyOf(o.CallID), why.Error())
}

func (s *Service) order(ctx context.Context, account string, p callback.Packet, o Order, key string) error {
	raw, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return s.config.Order(ctx, account, p, raw, keyOf(key))
}

// keyOf makes the same order, reported twice, one.
func keyOf(key string) string { return "bitrix24 " + key }

// sender is the account whose portal has sent the event, by its
// application_token.
func (s *Service) sender(ctx context.Context, form url.Values) (string, kept, error) {
	all, err := s.config.Store.Integrations(ctx, name)
	if err != nil {
		return "", kept{}, err
	}
	token := form.Get("auth[application_token]")
	for account, raw := range all {
		var k kept
		if err := json.Unmarshal(raw, &k); err != nil {
			return "", k, err
		}
		if same(k.ApplicationToken, token) {
			return account, k, nil
		}
	}
	return "", kept{}, ErrNotVerified
}

// installed takes the tokens of an application that was just installed. That it
// is ours, and the portal the one that is expected, the portal itself says:
// it is asked with the token that came.
func (s *Service) installed(ctx context.Context, form url.Values) error {
	auth := func(field string) string { return form.Get("auth[" + field + "]") }
	all, err := s.config.Store.Integrations(ctx, name)
	if err != nil {
		return err
	}
	for account, raw := range all {
		var k kept
		if err := json.Unmarshal(raw, &k); err != nil {
			return err
		}
		if u, err := url.Parse(k.Portal); k.byWebhook() || err != nil || !strings.EqualFold(u.Host, auth("domain")) {
			continue
		}
		k.AccessToken, k.RefreshToken, k.ApplicationToken = auth("access_token"), auth("refresh_token"), auth("application_token")
		if k.AccessToken == "" || k.RefreshToken == "" || k.ApplicationToken == "" {
			return ErrNotVerified
		}
		var app struct {
			Code string `json:"CODE"`
		}
		p := newPortal(s, account)
		p.use(k)
		p.unsaved = true
		var e *Error
		if err := p.ask(ctx, k, "app.info", nil, &app); errors.As(err, &e) || err == nil && app.Code != k.ClientID {
			return ErrNotVerified
		} else if err != nil {
			return err
		}
		return s.connect(ctx, account, k)
	}
	return ErrNotVerified
}
