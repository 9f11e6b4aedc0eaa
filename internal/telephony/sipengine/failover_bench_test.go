package sipengine

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
)

// BenchmarkFailover is the time from a trunk's refusal (503) on the wire to the
// INVITE on the next one, on real sockets: the goal is 100 ms. That nothing
// waits in between is TestARefusedCallGoesOutOnTheNextTrunkInTheSameInstant.
func BenchmarkFailover(b *testing.B) {
	first, second := newRefuser(b, 503), newRefuser(b, 486)
	trunk := func(name string, r *refuser) directory.Trunk {
		return directory.Trunk{Name: name, Host: r.addr().IP.String(), Port: r.addr().Port, Codecs: []string{"PCMA"}}
	}
	e := startReal(b, "127.0.0.1:0", &people{trunks: []directory.Trunk{trunk("first", first), trunk("second", second)}}, nil)
	var took []time.Duration
	for b.Loop() {
		o := order(b, e, func(p *callback.Packet) {
			p.Trunk, p.TrunksManager = "", []string{"first", "second"}
			p.TrunksClient = p.TrunksManager
		})
		if got := <-o.status; got != call.ManagerBusy {
			b.Fatalf("ended as %v", got)
		}
		took = append(took, (<-second.came).Sub(<-first.refused))
		<-first.came
		<-second.refused
	}
	slices.Sort(took)
	ms := func(percent int) float64 { return took[len(took)*percent/100].Seconds() * 1000 }
	b.ReportMetric(ms(50), "ms-p50")
	b.ReportMetric(ms(99), "ms-p99")
	b.ReportMetric(took[len(took)-1].Seconds()*1000, "ms-max")
}

// refuser is a carrier that refuses every call at once.
type refuser struct {
	conn          *net.UDPConn
	came, refused chan time.Time // of each INVITE
}

func newRefuser(b *testing.B, code int) *refuser {
	b.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	r := &refuser{conn: conn, came: make(chan time.Time, 1), refused: make(chan time.Time, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.refuse(code)
	}()
	b.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return r
}

func (r *refuser) addr() *net.UDPAddr { return r.conn.LocalAddr().(*net.UDPAddr) }

func (r *refuser) refuse(code int) {
	buf := make([]byte, 65536)
	seen := ""
	for {
		n, from, err := r.conn.ReadFromUDP(buf)
		if err != nil {
			return
		}
		at := time.Now()
		m, err := sip.ParseMessage(buf[:n])
		if err != nil {
			continue
		}
		req, ok := m.(*sip.Request)
		if !ok || req.Method != sip.INVITE || req.CallID().Value() == seen {
			continue
		}
		seen = req.CallID().Value()
		res := fmt.Sprintf("SIP/2.0 %d Refused\nVia: %s\nFrom: %s\nTo: %s;tag=far\nCall-ID: %s\nCSeq: %s\nContent-Length: 0\n\n",
			code, req.Via().Value(), req.From().Value(), req.To().Value(), seen, req.CSeq().Value())
		refused := time.Now()
		if _, err := r.conn.WriteToUDP([]byte(strings.ReplaceAll(res, "\n", "\r\n")), from); err != nil {
			return
		}
		r.came <- at
		r.refused <- refused
	}
}
