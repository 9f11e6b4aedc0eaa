// Package asterisktest starts a real Asterisk for a test.
package asterisktest

import (
	"testing"

	"github.com/perezvon/perezvon/internal/localasterisk"
	"github.com/perezvon/perezvon/internal/telephony/telephonytest"
)

// App is the Stasis application that the dialplan hands calls to, Context the
// dialplan's context that does.
const (
	App     = localasterisk.App
	Context = localasterisk.Context
)

// Start starts an Asterisk and waits until it serves ARI. It is ended at the
// end of the test, and its log is shown if the test failed. pjsip is what
// pjsip.conf says beside its one transport.
func Start(t testing.TB, pjsip string) *localasterisk.Asterisk {
	t.Helper()
	return StartWith(t, localasterisk.Options{PJSIP: pjsip})
}

// StartWith is Start with a configuration that holds more.
func StartWith(t testing.TB, o localasterisk.Options) *localasterisk.Asterisk {
	t.Helper()
	telephonytest.Steady()
	a, err := localasterisk.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Stop()
		if t.Failed() {
			t.Logf("Asterisk's log:\n%s", a.Log())
		}
	})
	return a
}
