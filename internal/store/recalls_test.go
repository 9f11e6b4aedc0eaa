package store_test

import (
	"testing"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

func TestAWidgetThatSomebodyHasBrokenKeepsNoCallAlive(t *testing.T) {
	s := storetest.Open(t)
	if _, err := s.PutWidget(t.Context(), storetest.Mine, directory.Widget{Name: "site"}); err != nil {
		t.Fatal(err)
	}
	n := storetest.NewCallback("+79161234567")
	n.Packet.Widget = "site"
	if _, err := s.CreateCallback(n); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SQLite().ExecContext(t.Context(), `UPDATE widgets SET config = 'x'`); err != nil {
		t.Fatal(err)
	}
	s.Journal().Append(call.Event{CallID: n.CallID, Type: call.Ended, Status: &call.ClientBusy})
	if err := s.Journal().Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Callback(t.Context(), storetest.Mine, n.ID); err != nil || r.State != callback.StateDone {
		t.Error(r.State, err)
	}
}
