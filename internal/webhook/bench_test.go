package webhook_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/jobs"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

// What an event costs the journal: without backends, and with one that is told
// each event (its row and its job), or with a webhook that is told some or all.
// Nothing is sent.
func BenchmarkEvent(b *testing.B) {
	for _, bb := range []struct{ name, url, webhook string }{
		{"nobody told", "", ""}, {"events_url", "https://example.com/", ""},
		{"webhook for other events", "", "call.ended"}, {"webhook for all events", "", "*"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			s := storetest.Open(b)
			w := newService(b, s, http.DefaultClient)
			_, err := jobs.New(b.Context(), jobs.Config{Store: s, Deliveries: w})
			if err != nil {
				b.Fatal(err)
			}
			if bb.webhook != "" {
				subscribe(b, w, storetest.Mine, "https://example.com/", bb.webhook)
			}
			n := storetest.NewCallback("+79161234567")
			n.Packet.EventsURL = bb.url
			if _, err := s.CreateCallback(n); err != nil {
				b.Fatal(err)
			}
			for i := 0; b.Loop(); i++ {
				s.Journal().Append(call.Event{CallID: n.CallID, Type: call.Note, Reason: "something"})
				if i%100 == 99 {
					if err := s.Journal().Flush(context.Background()); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.StopTimer()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := s.Journal().Flush(ctx); err != nil {
				b.Fatal(err)
			}
		})
	}
}
