package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/perezvon/perezvon/internal/bitrix24"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/store"
)

// bitrix24Path is the page of the connection with Bitrix24.
const bitrix24Path = "/bitrix24"

// CRM is how the account is connected with its portal: bitrix24.Service.
type CRM interface {
	// Connection is without secrets; bitrix24.ErrNotConnected.
	Connection(ctx context.Context, account string) (bitrix24.View, error)
	// EventsURL is where the portal reports events to.
	EventsURL() string
}

type bitrix24Data struct {
	// Admin may change the connection.
	Admin     bool
	Connected bool
	bitrix24.View
	Tone string
	// Webhook chooses that way in the form; otherwise an application.
	Webhook bool
	// Events is View.EventsURL, also where there is no connection. Local: no
	// portal can reach it.
	Events string
	Local  bool
	// WaitingLog and DeadLog are the addresses of those deliveries.
	WaitingLog, DeadLog, Log string
	Hints                    []hint
}

// hint says what an error of the portal means. It is shown while its code is in
// what went wrong.
type hint struct {
	Code  string
	Text  string // key of a text
	Shown bool
}

// hinted are the codes that have a hint.
var hinted = []string{"WRONG_AUTH_TYPE", "NO_AUTH_FOUND", "INVALID_CREDENTIALS", "insufficient_scope", "invalid_client", "invalid_grant", "QUERY_LIMIT_EXCEEDED", "PORTAL_DELETED", "no answer"}

// bitrix24 shows the connection, how it fares, and the form that changes it.
func (c *Console) bitrix24(w http.ResponseWriter, r *http.Request) {
	who, ok := c.enter(w, r, "")
	if !ok {
		return
	}
	v, err := c.c.CRM.Connection(r.Context(), who.Account)
	connected := !errors.Is(err, bitrix24.ErrNotConnected)
	if err != nil && connected {
		c.broken(w, r, err)
		return
	}
	data := bitrix24Data{
		Admin: who.May(access.Admin, ""), Connected: connected, View: v, Tone: "good", Webhook: !connected || v.Kind == "webhook", Events: c.c.CRM.EventsURL(),
		WaitingLog: deliveriesAt(store.DeliveryWaiting, "", bitrix24.Kind, ""), DeadLog: deliveriesAt(store.DeliveryDead, "", bitrix24.Kind, ""), Log: deliveriesAt("", "", bitrix24.Kind, ""),
	}
	if !connected {
		data.ShowCards, data.CRMCreate = true, true // the defaults
	}
	switch v.State {
	case bitrix24.StateWaiting:
		data.Tone = "live"
	case bitrix24.StateFailing:
		data.Tone = "bad"
	}
	if u, err := url.Parse(data.Events); err == nil {
		data.Local = u.Scheme != "https"
	}
	for _, code := range hinted {
		data.Hints = append(data.Hints, hint{code, "hint." + code, strings.Contains(v.LastError+v.Outbox.LastError, code)})
	}
	c.show(w, r, http.StatusOK, "bitrix24", data)
}
