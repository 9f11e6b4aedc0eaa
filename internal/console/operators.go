package console

import (
	"net/http"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/telephony"
)

// operatorsPath is the page of the operators and their phones.
const operatorsPath = "/operators"

// Phones tells what the engine knows of operators' phones.
type Phones interface {
	DeviceState(extension string) telephony.DeviceState
	// Contacts are the addresses of the operator's registered phones.
	Contacts(extension string) []string
}

type operatorsData struct {
	Operators []operatorRow
	// Registered is how many have a phone there, Paused how many are paused.
	Registered, Paused int
	// Admin may pause.
	Admin bool
}

type operatorRow struct {
	directory.Operator
	State    string // key of a text
	Tone     string
	Contacts []string
}

// operators shows who has a phone here, what it is doing, and who is paused.
func (c *Console) operators(w http.ResponseWriter, r *http.Request) {
	who, ok := c.enter(w, r, "")
	if !ok {
		return
	}
	all, err := c.c.Store.Operators(r.Context(), who.Account)
	if err != nil {
		c.broken(w, r, err)
		return
	}
	data := operatorsData{Admin: who.May(access.Admin, "")}
	for _, o := range all {
		state := c.c.Phones.DeviceState(o.Extension)
		row := operatorRow{Operator: o, State: "phone." + string(state), Tone: toneOfPhone(state), Contacts: c.c.Phones.Contacts(o.Extension)}
		if state != telephony.Unavailable {
			data.Registered++
		}
		if o.Paused {
			data.Paused++
		}
		data.Operators = append(data.Operators, row)
	}
	c.show(w, r, http.StatusOK, "operators", data)
}

// toneOfPhone is the colour of what a phone is doing.
func toneOfPhone(s telephony.DeviceState) string {
	switch s {
	case telephony.NotInUse:
		return "good"
	case telephony.Unavailable:
		return "bad"
	}
	return "live"
}
