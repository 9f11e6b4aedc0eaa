package bitrix24_test

import (
	"sync"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/bitrix24"
)

// Several processes on one database each keep to what a portal takes, and
// together take more. What is refused for that is told all the same, once, and
// little slower than one process could: who is refused waits for longer and
// longer.
func TestSeveralProcessesShareAPortal(t *testing.T) {
	virtual(t, func(t *testing.T, o *office) {
		const calls, processes = 300, 3
		services := []*bitrix24.Service{o.current()}
		for range processes - 1 {
			o.restart()
			services = append(services, o.current())
		}
		ids := make([]string, calls)
		for i := range ids {
			ids[i], _ = o.backlog()
		}
		time.Sleep(time.Hour)
		before, began := len(o.portal.Requests()), time.Now()
		var drained sync.WaitGroup
		for i, id := range ids {
			drained.Go(func() {
				for more := true; more; {
					var wait time.Duration
					var err error
					if wait, more, err = services[i%processes].Send(t.Context(), lane(id)); err != nil {
						t.Error(err)
						return
					}
					sleep(t.Context(), wait)
				}
			})
		}
		drained.Wait()
		took := time.Since(began)
		n := len(o.portal.Requests()) - before
		t.Logf("%d calls by %d processes: %d requests, %d refused, in %s", calls, processes, n, o.portal.Refused(), took)
		if len(o.portal.Finished()) != calls || len(o.deliveries("", "dead")) != 0 || len(o.portal.Calls()) != calls {
			t.Errorf("%d are there, %d registrations", len(o.portal.Finished()), len(o.portal.Calls()))
		}
		if o.portal.Refused() > n/5 || took > calls*3*time.Second {
			t.Errorf("%d of %d requests refused, %s", o.portal.Refused(), n, took)
		}
	})
}
