package sipengine

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestAMailboxOrdersWhatComesTogether(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		order := rapid.Permutation([]uint32{8, 9, 10, 11, 14}).Draw(rt, "order")
		synctest.Test(t, func(t *testing.T) {
			var m mailbox
			m.startAt(7)
			took := make(chan uint32, len(order))
			for _, cseq := range order {
				go func() {
					leave, ok := m.enter(cseq)
					if !ok {
						t.Errorf("%d of %v is refused", cseq, order)
						return
					}
					took <- cseq
					leave()
				}()
				synctest.Wait()
			}
			began := time.Now()
			var got []uint32
			for range order {
				got = append(got, <-took)
			}
			if !slices.IsSorted(got) {
				t.Errorf("%v are taken as %v", order, got)
			}
			if waited := time.Since(began); waited > gapWait {
				t.Errorf("a gap is waited for %v", waited)
			}
		})
	})
}

func TestAMailboxRefusesWhatIsLateOrDouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m mailbox
		m.startAt(1)
		leave, _ := m.enter(3) // after the wait for 2
		double := make(chan bool, 2)
		for range 2 {
			go func() {
				leave, ok := m.enter(4)
				if ok {
					leave()
				}
				double <- ok
			}()
		}
		synctest.Wait()
		leave()
		if a, b := <-double, <-double; a == b {
			t.Errorf("of two with one number: %v and %v", a, b)
		}
		if _, ok := m.enter(2); ok {
			t.Error("one behind a later one was taken")
		}
	})
}

func TestReasonsAreRead(t *testing.T) {
	for value, want := range map[string]reason{
		`Q.850;cause=16;text="Normal; clearing, really"`:          {q850: 16, text: "Normal; clearing, really"},
		`SIP ;cause=200 ;text="Call completed elsewhere"`:         {sip: 200, text: "Call completed elsewhere"},
		`SIP;cause=480;text="away", q.850;cause=20;text="absent"`: {sip: 480, q850: 20, text: "away"},
		`Q.850;cause=99999`:          {},
		`;;;=,,`:                     {},
		`Q.850;text="no end;cause=3`: {text: "no end;cause=3"},
		`preemption;cause=1`:         {},
		``:                           {},
		`Q.850`:                      {},
		`Q.850;cause=17, X;cause=3;text="unknown protocols last"`:  {q850: 17},
		`Q.850;cause=17;text="quoted \" quote";location=somewhere`: {q850: 17, text: `quoted \" quote`},
	} {
		if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(reasonOf(reasonHeader(value)))); diff != "" {
			t.Errorf("%s:\n%s", value, diff)
		}
	}
}

func FuzzReason(f *testing.F) {
	f.Add(`Q.850;cause=16;text="Normal"`)
	f.Add(`a;"\`)
	f.Fuzz(func(t *testing.T, value string) {
		if r := reasonOf(reasonHeader(value)); r.q850 < 0 || r.q850 >= 1000 {
			t.Errorf("cause %d", r.q850)
		}
		_, _ = seconds(value)
		_ = refresherOf(value)
		_, _ = infoKey("application/dtmf-relay", []byte(value))
	})
}
