package store_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

// "A new request for the same client on the same widget while one is open joins
// it": each request looks for one, among all the callbacks there ever were.
func TestWhetherAClientHasAnOpenCallbackIsOneLookAtAnIndex(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { openIsAProbe(t, storetest.Open(t)) })
	if open, ok := storetest.Postgres(t); ok {
		t.Run("PostgreSQL", func(t *testing.T) { openIsAProbe(t, open(t)) })
	}
}

func openIsAProbe(t *testing.T, s *store.Store) {
	w := directory.Widget{Name: "site"}
	if _, err := s.PutWidget(t.Context(), storetest.Mine, w); err != nil {
		t.Fatal(err)
	}
	// Enough that a planner sees no profit in reading everything. All are over,
	// but for one.
	const clients, makers = 3200, 32
	var group sync.WaitGroup
	for maker := range makers {
		group.Go(func() {
			for i := maker; i < clients; i += makers {
				n := storetest.NewCallback(fmt.Sprintf("+7916%07d", i))
				n.Widget, n.Packet.Widget = &w, w.Name
				if i > 0 {
					n.Verdict = store.Verdict{Status: call.Completed}
				}
				if _, err := s.CreateCallback(n); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	plan, err := s.Explain(t.Context(), store.OpenForSQL, storetest.Mine, "site", "+79160000017")
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(plan, "\n")
	if !strings.Contains(all, "callbacks_of_client") || !strings.Contains(all, "calls_of_callback") || strings.Contains(all, "Seq Scan") || strings.Contains(all, "SCAN") {
		t.Errorf("it is looked for like this:\n%s", all)
	}
	t.Logf("\n%s", all)
}
