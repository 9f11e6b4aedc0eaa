package scenario

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/numbering"
	"github.com/perezvon/perezvon/internal/telephony/scripted"
)

// The tests are of specification 1-callback §4 on the course of a call; the
// table itself is tested in package numbering.

const (
	russianNumber, kazakhNumber = "+74951110000", "+77272220000"
	kazakhClient, kazakhManager = "+77012345678", "+77273334455"
)

// locations are those of one account, or an error.
type locations struct {
	tree *numbering.Tree
	err  error
}

func (l locations) LocationTree(_ context.Context, account string) (*numbering.Tree, error) {
	if account != directory.DefaultAccount {
		return nil, errors.New("another account's locations")
	}
	return l.tree, l.err
}

func technical(t *testing.T) locations {
	tree, err := numbering.NewTree(numbering.Shipped(), []numbering.Location{{ID: "ru", Number: russianNumber}, {ID: "kz", Number: kazakhNumber}})
	if err != nil {
		t.Fatal(err)
	}
	return locations{tree: tree}
}

// why are the reasons of the chosen caller IDs, in order.
func (s *stage) why() (all []string) {
	for _, e := range s.journal.events {
		if e.Type == call.CallerIDChosen {
			all = append(all, e.Leg+" "+e.Reason)
		}
	}
	return all
}

func (s *stage) explains(t *testing.T, parts ...string) {
	t.Helper()
	why := s.why()
	if len(why) != len(parts) {
		t.Fatalf("%d choices, want %d:\n%s", len(why), len(parts), strings.Join(why, "\n"))
	}
	for i, part := range parts {
		if !strings.Contains(why[i], part) {
			t.Errorf("the reason is %q, want %q", why[i], part)
		}
	}
}

func TestBetweenLocationsEachSideSeesTheNumberOfItsOwn(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.locations = technical(t)
		s.packet.Client, s.packet.ClientCallerID = kazakhClient, "+78005553535"
		s.packet.DefaultCallerIDManager, s.packet.DefaultCallerIDClient = "+74950000001", "+74950000002"
		s.engine.Phone(managerNumber, scripted.Answers(sec))
		s.engine.Phone(kazakhClient, scripted.Answers(sec).HangsUp(sec))
		s.ends(t, s.run(t), call.Completed, (1+2+3+1+1+1)*sec)
		s.has(t, "0s callerid.chosen m1 "+managerNumber+" "+russianNumber, "0s callerid.chosen c1 "+kazakhClient+" "+kazakhNumber,
			"0s leg.dialing m1 "+managerNumber+" main "+russianNumber, "7s leg.dialing c1 "+kazakhClient+" main "+kazakhNumber)
		s.explains(t, "m1 the two are in different locations", "c1 the two are in different locations")
	})
}

func TestWithinOneLocationTheNumbersAreRealAndTheCustomOneHasPriority(t *testing.T) {
	for _, custom := range []string{"", "+78005553535"} {
		try(t, func(t *testing.T, s *stage) {
			s.locations = technical(t)
			s.packet.ClientCallerID, s.packet.DefaultCallerIDClient = custom, "+74950000002"
			s.run(t)
			want := managerNumber
			if custom != "" {
				want = custom
			}
			s.has(t, "0s callerid.chosen m1 "+managerNumber+" "+clientNumber, "0s callerid.chosen c1 "+clientNumber+" "+want)
		})
	}
}

func TestEachDirectionOfSubstitutionCanBeSwitchedOff(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.locations = technical(t)
		s.packet.Client, s.packet.SubstituteForManager = kazakhClient, new(bool)
		s.run(t)
		s.has(t, "0s callerid.chosen m1 "+managerNumber+" "+kazakhClient, "0s callerid.chosen c1 "+kazakhClient+" "+kazakhNumber)
	})
	try(t, func(t *testing.T, s *stage) {
		s.locations = technical(t)
		s.packet.Client, s.packet.SubstituteForClient = kazakhClient, new(bool)
		s.run(t)
		s.has(t, "0s callerid.chosen m1 "+managerNumber+" "+russianNumber, "0s callerid.chosen c1 "+kazakhClient+" "+managerNumber)
	})
}

func TestWhereLocationsYieldNothingItIsThePacketsDefaultThenTheTrunks(t *testing.T) {
	const armenian, french = "+37410123456", "+33123456789"
	try(t, func(t *testing.T, s *stage) {
		s.locations = technical(t)
		s.packet.Client, s.packet.ClientCallerID, s.packet.DefaultCallerIDClient = french, "+78005553535", "+74950000002"
		s.run(t)
		s.has(t, "0s callerid.chosen m1 "+managerNumber+" "+russianNumber, "0s callerid.chosen c1 "+french+" +74950000002")
		s.explains(t, "m1 ", "c1 the packet's default toward the client (no technical number is set for the location)")
	})
	try(t, func(t *testing.T, s *stage) {
		s.locations = technical(t)
		s.packet.Client = french
		s.run(t)
		s.has(t, "0s callerid.chosen c1 "+french)
		s.explains(t, "m1 ", "c1 the trunk's own (no technical number is set for the location)")
	})
	try(t, func(t *testing.T, s *stage) { // Russia is the nearest to Armenia, and another country
		s.locations = technical(t)
		s.packet.Client = armenian
		s.run(t)
		s.has(t, "0s callerid.chosen m1 "+managerNumber+" "+russianNumber, "0s callerid.chosen c1 "+armenian+" "+russianNumber)
	})
}

func TestTheClientsCallerIDIsForTheManagerWhoAnswered(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.locations = technical(t)
		s.packet.Managers = callback.Managers{{Number: managerNumber}, {Number: kazakhManager}}
		s.packet.Client = kazakhClient
		s.engine.Phone(managerNumber, scripted.Refuses(sec, 486))
		s.engine.Phone(kazakhManager, scripted.Answers(sec))
		s.engine.Phone(kazakhClient, scripted.Answers(sec).HangsUp(sec))
		s.run(t)
		s.has(t,
			"0s callerid.chosen m1 "+managerNumber+" "+russianNumber, "0s callerid.chosen m2 "+kazakhManager+" "+kazakhClient,
			"0s callerid.chosen c1 "+kazakhClient+" "+kazakhNumber, "2s leg.answered m2 "+kazakhManager,
			"7s callerid.chosen c1 "+kazakhClient+" "+kazakhManager, "8s leg.dialing c1 "+kazakhClient+" main "+kazakhManager)
	})
}

func TestAnOperatorsOwnPhoneSeesTheClientAndShowsTheCustomNumber(t *testing.T) {
	for custom, want := range map[string]string{"": russianNumber, "+78005553535": "+78005553535"} {
		try(t, func(t *testing.T, s *stage) {
			s.locations = technical(t)
			s.packet.Managers, s.packet.ClientCallerID = callback.Managers{{SIP: "101"}}, custom
			s.run(t)
			s.has(t, "0s callerid.chosen m1 101 "+clientNumber, "0s callerid.chosen c1 "+clientNumber+" "+want)
		})
	}
}

func TestACallGoesOnWithoutLocations(t *testing.T) {
	try(t, func(t *testing.T, s *stage) {
		s.locations = locations{err: errors.New("disk on fire")}
		s.packet.ClientCallerID = "+78005553535"
		s.engine.Phone(managerNumber, scripted.Answers(sec))
		s.engine.Phone(clientNumber, scripted.Answers(sec).HangsUp(sec))
		s.ends(t, s.run(t), call.Completed, (1+2+3+1+1+1)*sec)
		s.has(t, "0s note (caller ID without locations: disk on fire)", "0s callerid.chosen c1 "+clientNumber+" +78005553535")
	})
}
