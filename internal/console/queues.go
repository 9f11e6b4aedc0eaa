package console

import (
	"context"
	"net/http"

	"github.com/perezvon/perezvon/internal/acd"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/httpapi/access"
)

// queuesPath is the page of the queues as they are now.
const queuesPath = "/queues"

// Queues tells who waits: acd.Hall.
type Queues interface {
	Live(ctx context.Context, account string, q directory.Queue) (acd.Live, error)
}

type queuesData struct {
	Queues []queueNow
	// Admin may pause members.
	Admin bool
}

type queueNow struct {
	Name, Strategy string
	Waiting        []acd.Waiting
	Today          acd.Today
	Members        []memberRow
}

type memberRow struct {
	acd.Member
	Tone   string
	Paused bool
}

// Served is the share of callers who were answered in 20 s, in percent.
func (q queueNow) Served() int { return int(q.Today.ServiceLevel*100 + 0.5) }

// toneOfMember is the colour of what a member is doing.
func toneOfMember(s acd.State) string {
	switch s {
	case acd.StateFree:
		return "good"
	case acd.StateRinging, acd.StateTalking:
		return "live"
	case acd.StateUnavailable:
		return "bad"
	}
	return "plain"
}

// queues shows who waits in each queue, and what its members are doing.
func (c *Console) queues(w http.ResponseWriter, r *http.Request) {
	who, ok := c.enter(w, r, "")
	if !ok {
		return
	}
	all, err := c.c.Store.Queues(r.Context(), who.Account)
	if err != nil {
		c.broken(w, r, err)
		return
	}
	operators, err := c.c.Store.Operators(r.Context(), who.Account)
	if err != nil {
		c.broken(w, r, err)
		return
	}
	paused := make(map[string]bool)
	for _, o := range operators {
		paused[o.Extension] = o.Paused
	}
	data := queuesData{Admin: who.May(access.Admin, "")}
	for _, q := range all {
		live, err := c.c.Queues.Live(r.Context(), who.Account, q)
		if err != nil {
			c.broken(w, r, err)
			return
		}
		now := queueNow{Name: q.Name, Strategy: q.Strategy, Waiting: live.Waiting, Today: live.Today}
		for _, m := range live.Members {
			now.Members = append(now.Members, memberRow{m, toneOfMember(m.State), paused[m.Extension]})
		}
		data.Queues = append(data.Queues, now)
	}
	c.show(w, r, http.StatusOK, "queues", data)
}
