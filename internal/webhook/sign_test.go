package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/store/storetest"
	"github.com/perezvon/perezvon/internal/webhook"
)

// verifies is what a receiver does, by the formula of Standard Webhooks.
func verifies(t *testing.T, g got, secret string) bool {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	at, err := strconv.ParseInt(g.Get("webhook-timestamp"), 10, 64)
	if d := g.at.Sub(time.Unix(at, 0)); err != nil || d < -time.Second || d > 5*time.Minute {
		t.Errorf("timestamp %s, %v", g.Get("webhook-timestamp"), err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(g.Get("webhook-id") + "." + g.Get("webhook-timestamp") + "." + string(g.body)))
	for _, s := range strings.Fields(g.Get("webhook-signature")) {
		version, signature, _ := strings.Cut(s, ",")
		sum, err := base64.StdEncoding.DecodeString(signature)
		if version == "v1" && err == nil && hmac.Equal(sum, mac.Sum(nil)) {
			return true
		}
	}
	return false
}

func TestSignatureOfThePublishedExample(t *testing.T) {
	// The example of the Standard Webhooks libraries.
	got, err := webhook.Sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestAReplacedSecretSignsBesideTheNewOneForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.Open(t)
		r := newReceiver()
		w := newService(t, s, &http.Client{Transport: r})
		secrets := func() (list []string) {
			all, err := w.Secrets(t.Context(), storetest.Mine)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range all {
				list = append(list, a.Secret)
			}
			return list
		}
		follow(s, w)
		n := create(t, s, "https://example.com")
		next := func() got {
			t.Helper()
			add(t, s, n.CallID, call.Event{Type: call.Note})
			drain(t, s, w, lane(n, webhook.KindEvent))
			return r.all()[len(r.all())-1]
		}
		old := secrets()[0]
		if g := next(); !verifies(t, g, old) || verifies(t, g, webhook.NewSecret()) {
			t.Error("signature", g.Header)
		}
		if _, err := w.RotateSecret(t.Context(), storetest.Mine); err != nil {
			t.Fatal(err)
		}
		fresh := secrets()
		if len(fresh) != 2 || fresh[0] == old || fresh[1] != old {
			t.Fatal("secrets", len(fresh))
		}
		if g := next(); !verifies(t, g, old) || !verifies(t, g, fresh[0]) {
			t.Error("after a rotation:", g.Header)
		}
		passed(t, s, fmt.Sprintf(`UPDATE webhook_secrets SET ends_at = ends_at - %d`, webhook.Overlap.Milliseconds()-1000))
		if g := next(); !verifies(t, g, old) || !verifies(t, g, fresh[0]) {
			t.Error("almost a day after:", g.Header)
		}
		time.Sleep(2 * time.Second)
		if g := next(); verifies(t, g, old) || !verifies(t, g, fresh[0]) {
			t.Error("a day after:", g.Header)
		}
		if err := w.EnsureSecret(t.Context(), storetest.Mine); err != nil || secrets()[0] != fresh[0] {
			t.Error("a restart made another secret")
		}
	})
}
