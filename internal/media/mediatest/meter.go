package mediatest

import (
	"math"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/media/tone"
)

// Hears and HearsNothing wait until what is under way has arrived, and then
// listen.
const (
	underWay  = 40 * time.Millisecond
	listenFor = 400 * time.Millisecond
	// patience is how often they listen anew on a machine that is too busy to
	// let anything through at its time. Virtual time needs one.
	patience = 50
)

// Hears fails the test unless the phone hears the tone of freq Hz, and hardly
// anything else, for 400 ms from now (40 ms later, as packets may be under way).
// It forgets what was heard before.
func Hears(t testing.TB, p *Phone, freq float64) {
	t.Helper()
	time.Sleep(underWay)
	p.Forget()
	var heard []int16
	for range patience {
		time.Sleep(listenFor)
		if heard = p.Heard(); len(heard) >= p.Rate()/5 {
			break
		}
	}
	if len(heard) < p.Rate()/5 {
		t.Errorf("heard %d samples of %g Hz, want at least 200 ms", len(heard), freq)
		return
	}
	if s := tone.Strength(heard, p.Rate(), freq); s < 0.8 {
		t.Errorf("%g Hz has %.0f %% of what is heard, want at least 80 %% (level %.0f dB)", freq, 100*s, Level(heard))
	}
}

// HearsNothing fails the test if the phone hears any sound during the same
// time. It forgets what was heard before.
func HearsNothing(t testing.TB, p *Phone) {
	t.Helper()
	level := 0.0
	for range patience {
		time.Sleep(underWay)
		p.Forget()
		time.Sleep(listenFor)
		if level = Level(p.Heard()); level <= -60 {
			return
		}
	}
	t.Errorf("heard something of %.0f dB, want nothing", level)
}

// Level is the loudness of samples in dB below the loudest possible (RMS);
// silence is -120.
func Level(samples []int16) float64 {
	var sum float64
	for _, x := range samples {
		sum += float64(x) * float64(x)
	}
	if sum == 0 {
		return -120
	}
	return max(-120, 20*math.Log10(math.Sqrt(sum/float64(len(samples)))/32768))
}

// Gap is a stretch of silence.
type Gap struct{ At, Length time.Duration }

// Gaps finds the stretches of at least shortest in which no sample is louder
// than a thousandth of full scale.
func Gaps(samples []int16, rate int, shortest time.Duration) []Gap {
	const quiet = 33
	var gaps []Gap
	begin := 0
	for i := 0; i <= len(samples); i++ {
		if i < len(samples) && samples[i] <= quiet && samples[i] >= -quiet {
			continue
		}
		g := Gap{At: span(begin, rate), Length: span(i-begin, rate)}
		if i > begin && g.Length >= shortest {
			gaps = append(gaps, g)
		}
		begin = i + 1
	}
	return gaps
}

func span(n, rate int) time.Duration { return time.Duration(n) * time.Second / time.Duration(rate) }

func addrOf(c stream.Conn) netip.AddrPort {
	if c == nil {
		return netip.AddrPort{}
	}
	a := c.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
