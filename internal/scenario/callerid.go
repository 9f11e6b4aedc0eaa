package scenario

import (
	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
)

// callerID chooses the number a phone is shown, and says why. An empty number
// leaves the choice to the trunk. The rules by location (specification
// 1-callback §4) come in here; where they yield nothing it is the packet's
// default, then the trunk's.
func callerID(p callback.Packet, t target) (number, why string) {
	switch {
	case t.role == call.Client && p.ClientCallerID != "":
		return p.ClientCallerID, "the packet's number toward the client"
	case t.role == call.Client && p.DefaultCallerIDClient != "":
		return p.DefaultCallerIDClient, "the packet's default toward the client"
	case t.role == call.Manager && p.DefaultCallerIDManager != "":
		return p.DefaultCallerIDManager, "the packet's default toward the manager"
	case t.operator != "":
		client, _ := p.ClientNumber()
		return client, "the client's number: an operator's own phone needs no carrier's consent"
	}
	return "", "the trunk's own"
}
