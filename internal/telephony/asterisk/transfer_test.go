package asterisk_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari/aritest"
)

// Asterisk tells of a transfer before it can hear how that goes, and dies of
// what it hears too soon; and a phone that is hung up takes its transfer for
// failed unless it was told before. However long each request takes.
func TestAPhoneIsToldOfItsTransferInOrderAndBeforeItIsHungUp(t *testing.T) {
	operator := directory.Operator{Extension: "101"}
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.channels["1.1"] = "PJSIP/101-00000001"
		var finished []string // guarded by n.mu
		n.Answers = func(request string, r *http.Request) aritest.Answer {
			q := r.URL.Query()
			if v := q.Get("variable"); strings.HasPrefix(request, "GET") && v != "" {
				request += " " + v
			}
			if s := q.Get("states"); s != "" {
				request += " " + s
			}
			// Each request takes less than those before it.
			n.mu.Lock()
			pause := time.Second / time.Duration(1+len(n.asked))
			n.mu.Unlock()
			time.Sleep(pause)
			answer := n.answers(strings.Fields(request)[0]+" "+strings.Fields(request)[1], r)
			n.mu.Lock()
			defer n.mu.Unlock()
			finished = append(finished, request)
			return answer
		}
		calls := make(chan telephony.Leg, 1)
		e := engine(t, n, place{operator: operator}, func(ctx context.Context, l telephony.Leg) {
			calls <- l
			<-ctx.Done()
		})
		phone := map[string]any{"id": "1.1", "name": "PJSIP/101-00000001"}
		n.Tell(map[string]any{"type": "StasisStart", "channel": phone})
		l := <-calls
		n.mu.Lock()
		finished = nil
		n.mu.Unlock()
		n.Tell(map[string]any{
			"type":        "ChannelTransfer",
			"refer_to":    map[string]any{"requested_destination": map[string]any{"destination": "103"}},
			"referred_by": map[string]any{"source_channel": phone},
		})
		refer, err := l.Refers().Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		refer.Progress(200)
		l.Hangup(0)
		synctest.Wait()
		if err := e.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		want := []string{
			"GET /channels/1.1/variable CHANNEL(pjsip,call-id)",
			"POST /channels/1.1/transfer_progress channel_progress",
			"POST /channels/1.1/transfer_progress channel_answered",
			"DELETE /channels/1.1",
		}
		if !slices.Equal(finished, want) {
			t.Errorf("asked %q, want %q", finished, want)
		}
	})
}
