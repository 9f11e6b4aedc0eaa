package bitrix24

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/store"
)

// Settings are how an account is connected with its portal: by the address of an
// incoming webhook, or as an application.
type Settings struct {
	WebhookURL string `json:"webhook_url,omitempty" maxLength:"512" doc:"Of an incoming webhook with the rights telephony, user and crm. Never shown again; left out, with all of an application, it stays as it is" example:"https://example.bitrix24.ru/rest/1/xxxxxxxxxxxxxxxx/"`

	Portal       string `json:"portal,omitempty" maxLength:"256" doc:"Of an application: the portal's address" example:"https://example.bitrix24.ru"`
	ClientID     string `json:"client_id,omitempty" maxLength:"128" doc:"Of an application: its code, local.… or app.…"`
	ClientSecret string `json:"client_secret,omitempty" maxLength:"128" doc:"Of an application: its key. Never shown again; left out, it stays as it is"`
	RefreshToken string `json:"refresh_token,omitempty" maxLength:"256" doc:"Of an application that is installed already. Default: it comes when the application is installed"`
	OAuthServer  string `json:"oauth_server,omitempty" maxLength:"256" doc:"Where tokens are renewed, default https://oauth.bitrix.info"`

	ApplicationToken string `json:"application_token,omitempty" maxLength:"128" doc:"What the portal's events are verified by. Of an application it comes with the installation. Never shown again; left out, it stays as it is"`

	DefaultUserID  int64  `json:"default_user_id,omitempty" minimum:"0" doc:"The Bitrix24 user of calls whose operator is no user there. Default: who made the webhook or installed the application"`
	CRMCreate      *bool  `json:"crm_create,omitempty" doc:"Unknown clients become leads, default true"`
	ShowCards      *bool  `json:"show_cards,omitempty" doc:"Cards open for operators while it rings, default true"`
	Line           string `json:"line,omitempty" maxLength:"64" doc:"The line that calls are reported on (LINE_NUMBER). An application makes it if it is not there"`
	CallbackWidget string `json:"callback_widget,omitempty" maxLength:"64" doc:"The widget that callbacks ordered by CRM forms go through. Default: the one named like their line"`
}

// kept is what the store keeps: the settings, and what was learned.
type kept struct {
	Settings

	AccessToken string    `json:"access_token,omitempty"`
	Owner       int64     `json:"owner,omitempty"` // whose webhook it is, or who has installed
	Scopes      []string  `json:"scopes,omitempty"`
	Notes       []string  `json:"notes,omitempty"`
	ConnectedAt time.Time `json:"connected_at,omitzero"`
}

func (k kept) byWebhook() bool { return k.WebhookURL != "" }

// installed tells that requests can be made.
func (k kept) installed() bool { return k.byWebhook() || k.RefreshToken != "" }

// base is what the addresses of methods start with. It holds the secret of a
// webhook.
func (k kept) base() string {
	if k.byWebhook() {
		return k.WebhookURL
	}
	return k.Portal + "/rest/"
}

// host is the portal's, for people.
func (k kept) host() string {
	u, err := url.Parse(k.base())
	if err != nil {
		return ""
	}
	return u.Host
}

// shown is the address of a method without secrets.
func (k kept) shown(method string) string {
	u, err := url.Parse(k.base())
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + "/rest/" + method
}

func (k kept) shows() bool   { return k.ShowCards == nil || *k.ShowCards }
func (k kept) creates() bool { return k.CRMCreate == nil || *k.CRMCreate }

// user is who answers for a call that has no operator with a user there.
func (k kept) user() int64 {
	if k.DefaultUserID != 0 {
		return k.DefaultUserID
	}
	return k.Owner
}

// State of a connection.
const (
	StateConnected = "connected"
	StateWaiting   = "waiting_for_installation" // of an application
	StateFailing   = "failing"                  // the last request failed
)

// View is a connection without its secrets.
type View struct {
	Kind           string     `json:"kind" enum:"webhook,application"`
	Portal         string     `json:"portal"`
	ClientID       string     `json:"client_id,omitempty"`
	State          string     `json:"state" enum:"connected,waiting_for_installation,failing"`
	LastError      string     `json:"last_error,omitempty" doc:"Why nothing is sent now"`
	Notes          []string   `json:"notes,omitempty" doc:"What the portal does not allow, and what goes without it"`
	ConnectedAt    *time.Time `json:"connected_at,omitempty"`
	EventsURL      string     `json:"events_url" doc:"Where the portal's events go: the handler of the application and of outgoing webhooks"`
	HasEventsToken bool       `json:"has_application_token" doc:"Events can be verified; without, none is taken"`
	DefaultUserID  int64      `json:"default_user_id"`
	OwnerID        int64      `json:"owner_id" doc:"Who made the webhook or installed the application; 0: not known yet"`
	CRMCreate      bool       `json:"crm_create"`
	ShowCards      bool       `json:"show_cards"`
	Line           string     `json:"line,omitempty"`
	CallbackWidget string     `json:"callback_widget,omitempty"`
	OAuthServer    string     `json:"oauth_server,omitempty"`
	Outbox         Outbox     `json:"outbox" doc:"What the portal was not told yet; deliveries of kind bitrix24"`
}

// Outbox is what the portal was not told yet.
type Outbox struct {
	Waiting     int        `json:"waiting" doc:"Waits for its turn, or to be tried again"`
	OldestSince *time.Time `json:"oldest_since,omitempty" doc:"Since when the first of them waits"`
	Dead        int        `json:"dead" doc:"Given up; may be tried again by hand"`
	LastError   string     `json:"last_error,omitempty" doc:"Of the newest of these"`
}

func (s *Service) view(account string, k kept) View {
	v := View{
		Kind: "application", Portal: k.Portal, ClientID: k.ClientID, State: StateConnected, Notes: k.Notes, EventsURL: s.config.EventsURL,
		HasEventsToken: k.ApplicationToken != "", DefaultUserID: k.user(), OwnerID: k.Owner, CRMCreate: k.creates(), ShowCards: k.shows(), Line: k.Line, CallbackWidget: k.CallbackWidget,
		OAuthServer: k.OAuthServer,
	}
	if k.byWebhook() {
		v.Kind, v.Portal = "webhook", strings.TrimSuffix(k.shown(""), "/rest/")
	}
	if !k.ConnectedAt.IsZero() {
		v.ConnectedAt = &k.ConnectedAt
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !k.installed() {
		v.State = StateWaiting
	} else if p := s.portals[account]; p != nil {
		if v.LastError = p.limits.trouble(); v.LastError != "" {
			v.State = StateFailing
		}
	}
	return v
}

var webhookPath = regexp.MustCompile(`^/rest/[0-9]+/[0-9A-Za-z]+/$`)

// normalize is the settings as they are kept, or an invalid.Error.
func (c Settings) normalize(allow []netip.Prefix) (Settings, error) {
	var bad invalid.Error
	address := func(field string, value *string) *url.URL {
		u, err := url.Parse(strings.TrimSpace(*value))
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			bad.Add(field, "want an address such as https://example.bitrix24.ru")
			return nil
		}
		if u.Scheme != "https" && (u.Scheme != "http" || !within(u.Hostname(), allow)) {
			bad.Add(field, "must begin with https://")
			return nil
		}
		u.Host = strings.ToLower(u.Host)
		return u
	}
	switch {
	case c.WebhookURL != "" && (c.ClientID != "" || c.Portal != "" || c.RefreshToken != ""):
		bad.Add("webhook_url", "give either the address of a webhook or an application, not both")
	case c.WebhookURL != "":
		if u := address("webhook_url", &c.WebhookURL); u != nil {
			if u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/profile.json") + "/"; !webhookPath.MatchString(u.Path) {
				bad.Add("webhook_url", "want the address of an incoming webhook: https://…/rest/1/xxxxxxxxxxxxxxxx/")
			}
			c.WebhookURL = u.String()
		}
	case c.ClientID != "":
		if u := address("portal", &c.Portal); u != nil {
			c.Portal = u.Scheme + "://" + u.Host
		}
		if c.OAuthServer != "" {
			if u := address("oauth_server", &c.OAuthServer); u != nil {
				c.OAuthServer = u.Scheme + "://" + u.Host
			}
		}
		if c.ClientSecret == "" {
			bad.Add("client_secret", "an application needs it")
		}
	default:
		bad.Add("webhook_url", "give the address of an incoming webhook, or portal, client_id and client_secret of an application")
	}
	if c.DefaultUserID < 0 {
		bad.Add("default_user_id", "want the id of a user")
	}
	return c, bad.Err()
}

// within tells that the host is an address in one of the networks.
func within(host string, networks []netip.Prefix) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(ip) })
}

func (s *Service) load(ctx context.Context, account string) (kept, error) {
	var k kept
	raw, err := s.config.Store.Integration(ctx, account, name)
	if errors.Is(err, store.ErrNotFound) {
		return k, ErrNotConnected
	}
	if err != nil {
		return k, err
	}
	return k, json.Unmarshal(raw, &k)
}

func (s *Service) save(ctx context.Context, account string, k kept) error {
	raw, err := json.Marshal(k)
	if err != nil {
		return err
	}
	return s.config.Store.PutIntegration(ctx, account, name, raw)
}

// Connection is how the account is connected, without secrets; ErrNotConnected.
func (s *Service) Connection(ctx context.Context, account string) (View, error) {
	k, err := s.load(ctx, account)
	if err != nil {
		return View{}, err
	}
	v := s.view(account, k)
	out, err := s.config.Store.Outbox(ctx, account, Kind)
	v.Outbox = Outbox{Waiting: out.Waiting, Dead: out.Dead, LastError: out.LastError}
	if !out.Oldest.IsZero() {
		v.Outbox.OldestSince = &out.Oldest
	}
	return v, err
}

// Connect keeps the settings once the portal has answered by them. What is wrong
// with them, and what the portal says against them, is an invalid.Error. An
// application that is not installed yet waits for its installation.
func (s *Service) Connect(ctx context.Context, account string, c Settings) (View, error) {
	before, err := s.load(ctx, account)
	if err != nil && !errors.Is(err, ErrNotConnected) {
		return View{}, err
	}
	k := kept{Settings: c}
	// Secrets that are not given stay, with whom they are shared.
	if c.WebhookURL == "" && c.ClientID == "" && c.Portal == "" && c.RefreshToken == "" {
		k.WebhookURL = before.WebhookURL
	}
	if c.ClientID != "" && c.ClientID == before.ClientID && strings.TrimRight(c.Portal, "/") == before.Portal {
		if k.ClientSecret == "" {
			k.ClientSecret = before.ClientSecret
		}
		if k.RefreshToken == "" {
			k.RefreshToken, k.AccessToken, k.Owner = before.RefreshToken, before.AccessToken, before.Owner
		}
		if k.ApplicationToken == "" {
			k.ApplicationToken = before.ApplicationToken
		}
	}
	if k.Settings, err = k.normalize(s.config.Allow); err != nil {
		return View{}, err
	}
	if k.ApplicationToken == "" && k.byWebhook() && before.byWebhook() && k.host() == before.host() {
		k.ApplicationToken = before.ApplicationToken
	}
	if err := s.connect(ctx, account, k); err != nil {
		return View{}, err
	}
	return s.Connection(ctx, account)
}

// connect asks the portal who we are there and what we may, lets it report
// events, and keeps it all.
func (s *Service) connect(ctx context.Context, account string, k kept) error {
	if !k.installed() {
		return s.save(ctx, account, k)
	}
	field := "refresh_token"
	if k.byWebhook() {
		field = "webhook_url"
	}
	p := newPortal(s, account)
	p.use(k)
	p.unsaved = true // until it is known to work
	refused := func(err error) error {
		var e *Error
		if errors.As(err, &e) {
			return invalid.Error{{Path: field, Message: "the portal does not take it: " + e.Error()}}
		}
		return err
	}
	var profile struct {
		ID number `json:"ID"`
	}
	if err := p.call(ctx, "profile", nil, &profile); err != nil {
		return refused(err)
	}
	var scopes []string
	if err := p.call(ctx, "scope", nil, &scopes); err != nil {
		return refused(err)
	}
	if !slices.Contains(scopes, "telephony") {
		return invalid.Error{{Path: field, Message: "it lacks the right telephony"}}
	}
	k = p.settings()
	k.Owner, k.Scopes, k.Notes, k.ConnectedAt = int64(profile.ID), scopes, nil, time.Now().UTC().Truncate(time.Second)
	if !slices.ContainsFunc(scopes, func(scope string) bool { return scope == "user" || scope == "user_basic" || scope == "user_brief" }) {
		k.Notes = append(k.Notes, "without the right user, operators are known by bitrix_user_id alone")
	}
	if !slices.Contains(scopes, "crm") {
		k.Notes = append(k.Notes, "without the right crm, calls have no list of their stages")
	}
	if k.byWebhook() {
		if k.ApplicationToken == "" {
			k.Notes = append(k.Notes, "without application_token, no events of the portal are taken: nobody can call by clicking a number there")
		}
	} else if err := s.bind(ctx, p, &k); err != nil {
		return refused(err)
	}
	if err := s.save(ctx, account, k); err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.portals, account) // what failed before is past
	s.mu.Unlock()
	return nil
}

// bind lets the portal report what happens there, and makes the line. Both are
// for applications alone.
func (s *Service) bind(ctx context.Context, p *portal, k *kept) error {
	var bound []struct {
		Event   string `json:"event"`
		Handler string `json:"handler"`
	}
	if err := p.call(ctx, "event.get", nil, &bound); err != nil {
		return err
	}
	for _, event := range []string{eventCall, eventCallback, eventUninstalled} {
		if slices.ContainsFunc(bound, func(b struct {
			Event   string `json:"event"`
			Handler string `json:"handler"`
		},
		) bool {
			return strings.EqualFold(b.Event, event) && b.Handler == s.config.EventsURL
		}) {
			continue
		}
		if err := p.call(ctx, "event.bind", map[string]any{"event": event, "handler": s.config.EventsURL}, nil); err != nil {
			var e *Error
			if !errors.As(err, &e) || e.fate() != fateRefused {
				return err
			}
			k.Notes = append(k.Notes, fmt.Sprintf("events %s are not reported: %s", event, e.Description))
		}
	}
	if k.Line == "" {
		return nil
	}
	err := p.call(ctx, "telephony.externalLine.add", map[string]any{"NUMBER": k.Line, "NAME": k.Line}, nil)
	if is(err, textLineExists) {
		return nil
	}
	return err
}

// Disconnect forgets the connection, or says ErrNotConnected. What waits to be
// sent is given up when its turn comes.
func (s *Service) Disconnect(ctx context.Context, account string) error {
	err := s.config.Store.DeleteIntegration(ctx, account, name)
	if errors.Is(err, store.ErrNotFound) {
		return ErrNotConnected
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.portals, account)
	return err
}
