package httpapi

import (
	"cmp"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/telephony"
)

// trunkView is a trunk without its password.
type trunkView struct {
	directory.Trunk
	Password    string      `json:"password,omitempty" hidden:"true"` // hides Trunk's
	PasswordSet bool        `json:"password_set"`
	State       *TrunkState `json:"state,omitempty" doc:"What the engine has seen of it; absent if it has not taken it over"`
}

func (a *API) trunks() {
	register(a, kind[directory.Trunk, trunkView]{
		one: "trunk", many: "trunks", tag: "trunks", field: "name",
		name:    func(t directory.Trunk) string { return t.Name },
		setName: func(t *directory.Trunk, name string) { t.Name = name },
		inherit: func(to *directory.Trunk, from directory.Trunk) {
			// Another account's password would be of no use.
			if to.Password == "" && to.Username == from.Username {
				to.Password = from.Password
			}
		},
		show: func(t directory.Trunk) trunkView {
			v := trunkView{Trunk: t, PasswordSet: t.Password != ""}
			if state, ok := a.c.Phones.Trunk(t.Name); ok {
				v.State = &state
			}
			return v
		},
		all: a.c.Store.Trunks, get: a.c.Store.Trunk, put: a.c.Store.PutTrunk, remove: a.c.Store.DeleteTrunk,
	})
}

// operatorView is an operator without the password.
type operatorView struct {
	directory.Operator
	Password    string                `json:"password,omitempty" hidden:"true"` // hides Operator's
	PasswordSet bool                  `json:"password_set"`
	State       telephony.DeviceState `json:"state" enum:"NOT_INUSE,RINGING,INUSE,BUSY,ONHOLD,UNAVAILABLE" doc:"What the operator's phones are doing"`
	Contacts    []string              `json:"contacts" nullable:"false" doc:"Addresses of the registered phones"`
}

func (a *API) operators() {
	register(a, kind[directory.Operator, operatorView]{
		one: "operator", many: "operators", tag: "operators", field: "extension",
		name:    func(o directory.Operator) string { return o.Extension },
		setName: func(o *directory.Operator, extension string) { o.Extension = extension },
		inherit: func(to *directory.Operator, from directory.Operator) {
			if to.Password == "" {
				to.Password = from.Password
			}
		},
		show: func(o directory.Operator) operatorView {
			v := operatorView{Operator: o, PasswordSet: o.Password != "", State: a.c.Phones.DeviceState(o.Extension), Contacts: a.c.Phones.Contacts(o.Extension)}
			v.Outbound = cmp.Or(v.Outbound, directory.OutboundHome)
			if v.Contacts == nil {
				v.Contacts = []string{}
			}
			return v
		},
		all: a.c.Store.Operators, get: a.c.Store.Operator, put: a.c.Store.PutOperator, remove: a.c.Store.DeleteOperator,
	})
}
