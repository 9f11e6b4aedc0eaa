package stream_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/mediatest"
	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/media/tone"
)

// tones of the phones in a mix; none is a harmonic of another.
var tones = []float64{440, 700, 1000, 1300}

// party is several legs, each with its own tone.
func (w world) party(codecs ...media.Codec) (legs []*stream.Stream, phones []*mediatest.Phone) {
	w.Helper()
	for i, c := range codecs {
		s, p := w.leg(c, tones[i], stream.Options{})
		legs, phones = append(legs, s), append(phones, p)
		time.Sleep(7 * time.Millisecond) // their packets come at different moments
	}
	return legs, phones
}

// hearsExactly wants the phones of those tones to be heard in equal shares, and
// no other tone.
func hearsExactly(t *testing.T, who string, p *mediatest.Phone, want ...float64) {
	t.Helper()
	time.Sleep(100 * time.Millisecond)
	p.Forget()
	time.Sleep(time.Second)
	sounds(t, who, p.Heard(), p.Rate(), want...)
}

// sounds wants the sound to be those tones in equal shares, each as loud as a
// phone sends it.
func sounds(t *testing.T, who string, heard []int16, rate int, want ...float64) {
	t.Helper()
	for _, f := range tones {
		share, least, most := tone.Strength(heard, rate, f), 0.0, 0.03
		for _, w := range want {
			if w == f {
				least, most = 0.8/float64(len(want)), 1.2/float64(len(want))
			}
		}
		if share < least || share > most {
			t.Errorf("%s: %g Hz has %.0f %% of what is heard, want %.0f to %.0f %%", who, f, 100*share, 100*least, 100*most)
		}
	}
	// A sine of 8000 has -15.3 dB, and each further one adds its energy.
	if l := mediatest.Level(heard); len(want) == 2 && (l < -13.5 || l > -11) {
		t.Errorf("%s: %.1f dB, want two tones of -15.3", who, l)
	}
}

func others(i, n int) (f []float64) {
	for k, tone := range tones[:n] {
		if k != i {
			f = append(f, tone)
		}
	}
	return f
}

func TestEachOfThreeHearsTheOthersAndNeverItself(t *testing.T) {
	const a, u, w = media.PCMA, media.PCMU, media.G722
	for _, codecs := range [][]media.Codec{{a, a, a}, {a, u, a}, {w, w, w}, {a, w, u}, {a, u, w, a}} {
		t.Run(fmt.Sprintf("%v", codecs), func(t *testing.T) {
			virtually(t, func(t *testing.T, w world) {
				legs, phones := w.party(codecs...)
				part := stream.Mix(legs)
				for i, p := range phones {
					hearsExactly(t, fmt.Sprint("phone ", i), p, others(i, len(legs))...)
				}
				for _, p := range phones {
					p.Forget()
				}
				time.Sleep(10 * time.Second)
				for i, p := range phones {
					continuous(t, p.Packets())
					if n := len(p.Packets()); n < 499 || n > 501 {
						t.Errorf("phone %d got %d packets in 10 s", i, n)
					}
				}
				part()
				for _, p := range phones {
					mediatest.HearsNothing(t, p)
				}
			})
		})
	}
}

func TestAMixDoesNotDriftAndHasNoGaps(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		legs, phones := w.party(media.PCMA, media.PCMU, media.PCMA)
		phones[1].Mute(true)
		phones[2].Mute(true)
		defer stream.Mix(legs)()
		time.Sleep(time.Second)
		phones[1].Forget()
		start := time.Now()
		time.Sleep(10 * time.Minute)
		packets := phones[1].Packets()
		continuous(t, packets)
		if n := len(packets); n < 29999 || n > 30001 {
			t.Errorf("%d packets in ten minutes", n)
		}
		for i, p := range packets {
			if d := p.At.Sub(start) - time.Duration(i)*20*time.Millisecond; d < 0 || d > 20*time.Millisecond {
				t.Fatalf("packet %d came %v after its moment", i, d)
			}
		}
		if g := mediatest.Gaps(phones[1].Heard(), 8000, 5*time.Millisecond); len(g) > 0 {
			t.Errorf("gaps in the sound: %v", g)
		}
	})
}

func TestASilentPhoneAndOneOnHoldAreSilenceInTheMix(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		legs, phones := w.party(media.PCMA, media.PCMA, media.G722)
		defer stream.Mix(legs)()
		phones[1].Mute(true)
		hearsExactly(t, "the third", phones[2], tones[0])
		params := phones[1].Params()
		params.Send, params.Receive = false, false
		legs[1].Configure(params)
		phones[1].Mute(false)
		hearsExactly(t, "the third", phones[2], tones[0])
		mediatest.HearsNothing(t, phones[1])
		legs[1].Configure(phones[1].Params())
		hearsExactly(t, "the third", phones[2], tones[0], tones[1])
		hearsExactly(t, "the second", phones[1], tones[0], tones[2])
	})
}

func TestLoudVoicesDoNotWrapAround(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		legs, phones := w.party(media.PCMA, media.PCMA, media.PCMA)
		defer stream.Mix(legs)()
		loud := tone.Sine(300, 2*time.Second, 8000, 30000).Samples
		phones[0].Say(loud)
		phones[1].Say(loud)
		time.Sleep(time.Second)
		phones[2].Forget()
		time.Sleep(500 * time.Millisecond)
		heard := phones[2].Heard()
		for i, s := range heard[1:] {
			if d := int(s) - int(heard[i]); d > 30000 || d < -30000 {
				t.Fatalf("sample %d jumps by %d", i, d)
			}
		}
		if l := mediatest.Level(heard); l < -5 {
			t.Errorf("%.1f dB of two voices of -3.8", l)
		}
	})
}

func TestASoundGoesBeforeTheMix(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		legs, phones := w.party(media.PCMA, media.PCMA, media.PCMA)
		defer stream.Mix(legs)()
		ctx, cancel := context.WithCancel(t.Context())
		playing := make(chan error)
		go func() { playing <- legs[0].Play(ctx, sine(2000, time.Second), true) }()
		mediatest.Hears(t, phones[0], 2000)
		hearsExactly(t, "the second", phones[1], tones[0], tones[2])
		cancel()
		<-playing
		hearsExactly(t, "the first", phones[0], tones[1], tones[2])
	})
}

func TestKeysReachTheOthersOrStay(t *testing.T) {
	for _, c := range []struct {
		name    string
		options func(legs []*stream.Stream) []stream.JoinOption
		want    string
	}{
		{"passed on", func([]*stream.Stream) []stream.JoinOption { return nil }, "5#"},
		{"withheld", func(legs []*stream.Stream) []stream.JoinOption {
			return []stream.JoinOption{stream.WithholdDigits(legs[0])}
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			virtually(t, func(t *testing.T, w world) {
				legs, phones := w.party(media.PCMA, media.G722, media.PCMU)
				defer stream.Mix(legs, c.options(legs)...)()
				time.Sleep(time.Second)
				phones[0].Press('5', nil)
				time.Sleep(100 * time.Millisecond)
				phones[0].Press('#', nil)
				time.Sleep(time.Second)
				for i, p := range phones {
					want := c.want
					if i == 0 {
						want = ""
					}
					if got := p.Keys(); got != want {
						t.Errorf("phone %d got the keys %q, want %q", i, got, want)
					}
					continuous(t, p.Packets())
				}
				hearsExactly(t, "the second", phones[1], tones[0], tones[2])
			})
		})
	}
}

func TestAPoorNetworkIsHeardWithFewGaps(t *testing.T) {
	for _, c := range []struct {
		name string
		link mediatest.Link
		most time.Duration // of silence in a minute
	}{
		{"jitter within a frame", mediatest.Link{Delay: 30 * time.Millisecond, Jitter: 15 * time.Millisecond}, 100 * time.Millisecond},
		{"jitter of several frames", mediatest.Link{Delay: 30 * time.Millisecond, Jitter: 90 * time.Millisecond}, 200 * time.Millisecond},
		{"reordering", mediatest.Link{Delay: 30 * time.Millisecond, Reorder: 0.02, ReorderBy: 30 * time.Millisecond}, 1500 * time.Millisecond},
		{"loss", mediatest.Link{Loss: 0.05}, 4 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			virtually(t, func(t *testing.T, w world) {
				legs, phones := w.party(media.PCMA, media.PCMA, media.PCMA)
				phones[1].Mute(true)
				phones[2].Mute(true)
				w.net.SetLinkFrom(phones[0].Addr(), c.link)
				defer stream.Mix(legs)()
				time.Sleep(5 * time.Second)
				phones[1].Forget()
				time.Sleep(time.Minute)
				silent := time.Duration(0)
				for _, g := range mediatest.Gaps(phones[1].Heard(), 8000, 10*time.Millisecond) {
					silent += g.Length
				}
				continuous(t, phones[1].Packets())
				if silent > c.most {
					t.Errorf("%v of silence in a minute, want at most %v", silent, c.most)
				}
			})
		})
	}
}

func TestAWayThatGrowsLongerCostsItsDelayOnce(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		legs, phones := w.party(media.PCMA, media.PCMA, media.PCMA)
		phones[1].Mute(true)
		phones[2].Mute(true)
		defer stream.Mix(legs)()
		time.Sleep(time.Second)
		phones[1].Forget()
		w.net.SetLinkFrom(phones[0].Addr(), mediatest.Link{Delay: 150 * time.Millisecond})
		time.Sleep(10 * time.Second)
		if g := mediatest.Gaps(phones[1].Heard(), 8000, 10*time.Millisecond); len(g) != 1 || g[0].Length > 170*time.Millisecond {
			t.Errorf("gaps %v, want one of 150 ms", g)
		}
	})
}

func TestDelayComesDownAfterAStall(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		legs, phones := w.party(media.PCMA, media.PCMA, media.PCMA)
		phones[1].Mute(true)
		phones[2].Mute(true)
		defer stream.Mix(legs)()
		// delay is from a click at the first phone to the second's ear.
		delay := func() time.Duration {
			phones[0].Say(make([]int16, 1600))
			time.Sleep(time.Second)
			phones[1].Forget()
			phones[0].Say(make([]int16, 1600)) // at the next packet: 200 ms of silence
			began := time.Now()
			time.Sleep(800 * time.Millisecond)
			first := phones[1].Packets()[0].At
			g := mediatest.Gaps(phones[1].Heard(), 8000, 150*time.Millisecond)
			if len(g) != 1 {
				t.Fatalf("gaps %v", g)
			}
			return first.Add(g[0].At).Sub(began)
		}
		time.Sleep(time.Second)
		if d := delay(); d > 60*time.Millisecond {
			t.Errorf("%v before the stall", d)
		}
		w.net.SetLinkFrom(phones[0].Addr(), mediatest.Link{Delay: 300 * time.Millisecond})
		time.Sleep(500 * time.Millisecond)
		w.net.SetLinkFrom(phones[0].Addr(), mediatest.Link{})
		time.Sleep(10 * time.Second)
		if d := delay(); d > 60*time.Millisecond {
			t.Errorf("%v after the stall", d)
		}
	})
}

func TestFromTwoToThreeAndBackLeavesNoGapAndDoublesNothing(t *testing.T) {
	for _, codecs := range [][]media.Codec{{media.PCMA, media.PCMA, media.PCMA}, {media.PCMA, media.PCMU, media.G722}} {
		t.Run(fmt.Sprintf("%v", codecs), func(t *testing.T) {
			virtually(t, func(t *testing.T, w world) {
				legs, phones := w.party(codecs...)
				tracks := make([]*track, len(legs))
				for i, l := range legs {
					tracks[i] = &track{}
					l.Record(tracks[i])
				}
				part := stream.Join(legs[0], legs[1])
				hearsExactly(t, "the first", phones[0], tones[1])
				for _, p := range phones[:2] {
					p.Forget()
				}
				before := tracks[0].size()
				began := time.Now()
				const rounds = 20
				for i := range rounds {
					time.Sleep(time.Second + time.Duration(i)*time.Millisecond) // at every phase of the clocks
					next := stream.Mix(legs)
					part()
					time.Sleep(time.Second)
					part = stream.Join(legs[0], legs[1])
					next()
				}
				time.Sleep(time.Second)
				took := time.Since(began)
				part()
				for i, p := range phones[:2] {
					continuous(t, p.Packets())
					heard := p.Heard()
					if g := mediatest.Gaps(heard, p.Rate(), 41*time.Millisecond); len(g) > 0 {
						t.Errorf("phone %d: gaps %v", i, g)
					}
					// Nothing is heard twice: there is not more sound than time.
					if d := time.Duration(len(heard)) * time.Second / time.Duration(p.Rate()); d > took+40*time.Millisecond {
						t.Errorf("phone %d heard %v in %v", i, d, took)
					}
					if s := tone.Strength(heard, p.Rate(), tones[i]); s > 0.02 {
						t.Errorf("phone %d hears itself (%.2f)", i, s)
					}
				}
				if got, want := tracks[0].size()-before, int(took/(20*time.Millisecond))*160; got < want-320 || got > want+320 {
					t.Errorf("%d bytes recorded in %v, want %d", got, took, want)
				}
			})
		})
	}
}

func TestAStreamThatEndsLeavesTheMixAlone(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		legs, phones := w.party(media.PCMA, media.PCMA, media.PCMA)
		part := stream.Mix(legs)
		time.Sleep(time.Second)
		_ = legs[2].Close()
		hearsExactly(t, "the first", phones[0], tones[1])
		mediatest.HearsNothing(t, phones[2])
		part()
		part()
		mediatest.HearsNothing(t, phones[0])
	})
}

func TestWhoIsInTheMixMayChangeTheCodec(t *testing.T) {
	virtually(t, func(t *testing.T, w world) {
		legs, phones := w.party(media.PCMA, media.PCMA, media.PCMA)
		defer stream.Mix(legs)()
		hearsExactly(t, "the first", phones[0], tones[1], tones[2])
		p := mediatest.NewPhone(t, w.net, otherIP, media.G722, tones[3])
		legs[2].Configure(p.Params())
		phones[2].Mute(true)
		p.Call(addr(legs[2]))
		hearsExactly(t, "the first", phones[0], tones[1], tones[3])
		hearsExactly(t, "the new one", p, tones[0], tones[1])
	})
}
