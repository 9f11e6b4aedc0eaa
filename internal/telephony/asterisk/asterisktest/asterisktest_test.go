package asterisktest_test

import (
	"strings"
	"testing"

	"github.com/perezvon/perezvon/internal/telephony/asterisk/asterisktest"
)

func TestAsteriskOfTheTestsLoadsWhatItIsTold(t *testing.T) {
	a := asterisktest.Start(t, "[100]\ntype = endpoint\nallow = alaw\n")
	if strings.Contains(a.Log(), "ERROR") {
		t.Errorf("its log:\n%s", a.Log())
	}
}
