package asterisk_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/telephony"
	"github.com/perezvon/perezvon/internal/telephony/asterisk"
	"github.com/perezvon/perezvon/internal/telephony/asterisk/ari/aritest"
)

// A sound that is given up while the phone is brought to hear it, as ringback of
// a transfer that is refused at once, leaves the phone where the talk finds it.
func TestASoundGivenUpAsItBeginsDoesNotKeepThePhoneFromItsTalk(t *testing.T) {
	const slow = 100 * time.Millisecond // of Asterisk, to move a channel
	var mu sync.Mutex
	at := map[string]string{} // bridge by channel
	driven(t, func(n *node) {
		n.Answers = func(request string, r *http.Request) aritest.Answer {
			if bridge, ok := strings.CutSuffix(strings.TrimPrefix(request, "POST /bridges/"), "/addChannel"); ok {
				time.Sleep(slow)
				mu.Lock()
				at[r.URL.Query().Get("channel")] = bridge
				mu.Unlock()
			}
			if snoop := r.URL.Query().Get("snoopId"); snoop != "" {
				n.Tell(map[string]any{"type": "StasisStart", "channel": map[string]any{"id": snoop}})
			}
			return n.answers(request, r)
		}
	}, func(t *testing.T, n *node, e *asterisk.Engine) {
		a, b := calling(t, e), calling(t, e)
		talk := func(d time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			if err := e.Join(ctx, a, b); err != context.DeadlineExceeded { //nolint:errorlint // it is the cause itself
				t.Errorf("%v", err)
			}
		}
		talk(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), slow/2)
		defer cancel()
		if err := a.Play(ctx, telephony.Prompt{Clip: tone.Sine(440, time.Second, 8000, 8000)}); err == nil {
			t.Error("the sound was not given up")
		}
		looks := time.AfterFunc(time.Second, func() {
			mu.Lock()
			defer mu.Unlock()
			met := map[string]int{} // phones by bridge
			for channel, bridge := range at {
				if n.phone(channel) {
					met[bridge]++
				}
			}
			if len(met) != 1 {
				t.Errorf("the phones are in %d bridges", len(met))
			}
			for bridge, phones := range met {
				if phones != 2 {
					t.Errorf("%d phones in the bridge %s", phones, bridge)
				}
			}
		})
		defer looks.Stop()
		talk(2 * time.Second)
		synctest.Wait()
	})
}

// phone tells whether a channel is a phone's.
func (n *node) phone(channel string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.HasPrefix(n.channels[channel], "PJSIP/")
}
