package recording

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/mediatest"
	"github.com/perezvon/perezvon/internal/media/stream"
	"github.com/perezvon/perezvon/internal/media/tone"
)

// gapless fails if a channel is silent for over 40 ms at a stretch.
func (s stereo) gapless(t *testing.T, side Side, from, to time.Duration) {
	t.Helper()
	for _, g := range mediatest.Gaps(s.part(side, from, to), s.rate, 41*time.Millisecond) {
		t.Errorf("channel %d: a gap of %v at %v", side, g.Length, from+g.At)
	}
}

// single fails if a channel holds more than one voice of 8000, or less: what is
// doubled is louder by 3 to 6 dB.
func (s stereo) single(t *testing.T, side Side, from, to time.Duration) {
	t.Helper()
	if l := mediatest.Level(s.part(side, from, to)); l < -16.5 || l > -14.5 {
		t.Errorf("channel %d from %v to %v: %.1f dB, want one voice of -15.3", side, from, to, l)
	}
}

func TestACallThatIsPassedOnADozenTimesIsOneRecording(t *testing.T) {
	atRest(t, func(t *testing.T) {
		const operators, stage = 12, 10 * second
		const length = operators * stage
		tape, dir := create(t)
		zero := began(length)
		tape.Start(zero)
		client := tape.Track("c1", Left)
		phone{codec: media.PCMA, ssrc: 1, sound: humming(media.PCMA, 400, 8000)}.speak(client, zero, 0, length)
		freq := func(i int) float64 { return float64(600 + 100*i) }
		for i := range operators {
			leg := tape.Track(fmt.Sprint("m", i+1), Right)
			from := time.Duration(i) * stage
			phone{codec: media.PCMU, ssrc: uint32(10 + i), first: uint32(i * 1e8), ppm: 20, sound: humming(media.PCMU, freq(i), 8000)}.speak(leg, zero, from, from+stage)
		}
		if err := tape.Close(); err != nil {
			t.Fatal(err)
		}
		res, s := render(t, dir, nil)
		if res.Duration != length || s.duration() != length || res.Consultation != "" {
			t.Errorf("%+v, file %v", res, s.duration())
		}
		for at := time.Duration(0); at < length; at += second {
			s.hears(t, Left, at, at+second, 400, 0.95)
			from, to := at, at+second
			if at%stage == 0 {
				from += 20 * time.Millisecond
			}
			if (at+second)%stage == 0 {
				to -= 20 * time.Millisecond
			}
			s.hears(t, Right, from, to, freq(int(at/stage)), 0.95)
			s.single(t, Left, at, at+second)
			s.single(t, Right, at, at+second)
		}
		s.gapless(t, Left, 0, length)
		s.gapless(t, Right, 0, length)
	})
}

func TestALegThatIsNotRecordedForAWhileComesBackInItsPlace(t *testing.T) {
	tape, dir := create(t)
	zero := began(40 * second)
	tape.Start(zero)
	leg := tape.Track("m1", Right)
	for k := range (phone{codec: media.PCMA, ssrc: 1, first: 4e9, sound: humming(media.PCMA, 700, 8000)}).packets(0, 40*second) {
		if k.sent < 10*second || k.sent >= 20500*time.Millisecond && k.sent < 30*second {
			tape.Track("m1", Right).Packet(zero.Add(k.at), media.PCMA, k.ssrc, k.timestamp, k.payload)
		}
	}
	if leg != tape.Track("m1", Right) {
		t.Error("it came back on another track")
	}
	tape.Close()
	_, s := render(t, dir, nil)
	ms := time.Millisecond
	s.hears(t, Right, 0, 10*second-20*ms, 700, 0.95)
	s.silent(t, Right, 10*second+20*ms, 20500*ms-20*ms)
	s.hears(t, Right, 20500*ms+20*ms, 30*second-20*ms, 700, 0.95)
	s.silent(t, Right, 30*second+20*ms, 40*second)
}

func TestMusicGoesOnWhereTheTrackTookItUp(t *testing.T) {
	tape, dir := create(t)
	zero := began(20 * second)
	tape.Start(zero)
	// Four seconds of one tone, four of another, over and over, from second 1 on.
	low, high := tone.Sine(500, 4*second, 8000, 8000), tone.Sine(900, 4*second, 8000, 8000)
	music := &audio.Clip{Key: "music", Rate: 8000, Samples: append(append([]int16{}, low.Samples...), high.Samples...)}
	m := tape.Track("m1", Right)
	m.PlayStarted(zero.Add(second), "music", true, 0)
	m.PlayEnded(zero.Add(3*second), "music") // not recorded for a while
	m.PlayStarted(zero.Add(7*second), "music", true, 6*second)
	m.PlayEnded(zero.Add(15*second), "music")
	tape.Close()
	_, s := render(t, dir, clips{"music": music})
	ms := time.Millisecond
	s.silent(t, Right, 0, second-ms)
	s.hears(t, Right, second, 3*second, 500, 0.95)
	s.silent(t, Right, 3*second+ms, 7*second-ms)
	s.hears(t, Right, 7*second, 9*second, 900, 0.95)
	s.hears(t, Right, 9*second, 13*second, 500, 0.95)
	s.hears(t, Right, 13*second, 15*second, 900, 0.95)
	s.silent(t, Right, 15*second+ms, 20*second)
}

func TestAConsultationIsARecordingApartKeptOrDropped(t *testing.T) {
	for _, drop := range []bool{false, true} {
		t.Run(fmt.Sprint("dropped ", drop), func(t *testing.T) {
			atRest(t, func(t *testing.T) {
				a := NewArchive(t.TempDir(), clips{"music": tone.Sine(1300, second, 8000, 8000)})
				a.DropConsultations = drop
				id := call.NewID()
				tape, err := a.Open(id)
				if err != nil {
					t.Fatal(err)
				}
				zero := began(30 * second)
				tape.Start(zero)
				client := tape.Track("c1", Left)
				phone{codec: media.PCMA, ssrc: 1, sound: humming(media.PCMA, 500, 8000)}.speak(client, zero, 0, 30*second)
				client.PlayStarted(zero.Add(10*second), "music", true, 0)
				client.PlayEnded(zero.Add(20*second), "music")
				// 101 talks, asks 102 while the client hears music, and leaves.
				one := phone{codec: media.PCMA, ssrc: 2, sound: humming(media.PCMA, 700, 8000)}
				two := phone{codec: media.G722, ssrc: 3, sound: humming(media.G722, 1000, 8000)}
				for k := range one.packets(0, 20*second) {
					side := Right
					if k.sent >= 10*second {
						side = Private
					}
					if track := tape.Track("m1", side); track != nil {
						track.Packet(zero.Add(k.at), one.codec, k.ssrc, k.timestamp, k.payload)
					}
				}
				for k := range two.packets(12*second, 30*second) {
					side := Private
					if k.sent >= 20*second {
						side = Right
					}
					if track := tape.Track("m2", side); track != nil {
						track.Packet(zero.Add(k.at), two.codec, k.ssrc, k.timestamp, k.payload)
					}
				}
				if err := tape.Close(); err != nil {
					t.Fatal(err)
				}
				dir := a.Folder(id)
				res, err := Render(t.Context(), dir, a.clips)
				if err != nil {
					t.Fatal(err)
				}
				s := load(t, res.File)
				ms := time.Millisecond
				for at := time.Duration(0); at < 30*second; at += second {
					from, to := at+20*ms, at+second-20*ms
					switch {
					case at < 10*second:
						s.hears(t, Left, from, to, 500, 0.95)
						s.hears(t, Right, from, to, 700, 0.95)
					case at < 20*second:
						s.hears(t, Left, from, to, 500, 0.45)
						s.hears(t, Left, from, to, 1300, 0.45)
						s.silent(t, Right, from, to)
					default:
						s.hears(t, Left, from, to, 500, 0.95)
						s.hears(t, Right, from, to, 1000, 0.9)
					}
				}
				s.gapless(t, Left, 0, 30*second)
				s.gapless(t, Right, 20*second, 30*second)

				if err := a.Discard(id); err != nil {
					t.Fatal(err)
				}
				if drop {
					if _, err := os.Stat(filepath.Join(dir, privateFile)); res.Consultation != "" || err == nil {
						t.Errorf("it was kept: %q, %v", res.Consultation, err)
					}
					return
				}
				p := load(t, filepath.Join(dir, privateFile))
				if d := p.duration(); d < 9980*ms || d > 10040*ms {
					t.Errorf("the consultation is %v long", d)
				}
				p.hears(t, Left, 20*ms, 9*second, 700, 0.95)
				p.silent(t, Right, 0, 1980*ms)
				p.hears(t, Right, 2050*ms, 9900*ms, 1000, 0.8)
			})
		})
	}
}

// Real streams, joined in twos and threes, each leg on its track: what was said
// is found where it was said, second by second, whoever heard it.
func TestTransfersOnRealStreamsAreComparedSecondBySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := mediatest.NewNetwork()
		server := netip.MustParseAddr("10.0.0.1")
		ports := stream.NewPorts(network, server, 0, 0)
		leg := func(c media.Codec, freq float64) (*stream.Stream, *mediatest.Phone) {
			s, err := stream.Open(ports, stream.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			p := mediatest.NewPhone(t, network, netip.MustParseAddr("10.0.0.2"), c, freq)
			s.Configure(p.Params())
			p.Call(netip.AddrPortFrom(server, uint16(s.LocalPort())))
			time.Sleep(3 * time.Millisecond)
			return s, p
		}
		client, pc := leg(media.PCMA, 500)
		one, p1 := leg(media.PCMU, 700)
		two, p2 := leg(media.PCMA, 1000)
		time.Sleep(100 * time.Millisecond)

		tape, dir := create(t)
		start := time.Now()
		tape.Start(start)
		until := func(d time.Duration) { time.Sleep(time.Until(start.Add(d))) }
		client.Record(tape.Track("c1", Left))
		one.Record(tape.Track("m1", Right))
		part := stream.Join(client, one)
		until(10 * second) // *2: the client hears music
		part()
		one.Record(tape.Track("m1", Private))
		two.Record(tape.Track("m2", Private))
		ctx, stop := context.WithCancel(t.Context())
		playing := make(chan error)
		go func() { playing <- client.Play(ctx, tone.Music(), true) }()
		part = stream.Join(one, two)
		until(20 * second) // *3: all three
		part()
		stop()
		<-playing
		one.Record(tape.Track("m1", Right))
		two.Record(tape.Track("m2", Right))
		part = stream.Mix([]*stream.Stream{client, one, two})
		until(30 * second) // the first one hangs up
		part()
		one.Record(nil)
		part = stream.Join(client, two)
		until(40 * second)
		part()
		if err := tape.Close(); err != nil {
			t.Fatal(err)
		}
		for _, p := range []*mediatest.Phone{pc, p1, p2} {
			p.Close()
		}

		res, s := render(t, dir, clips{tone.MusicKey: tone.Music()})
		if res.Duration != 40*second || len(res.Missing) > 0 {
			t.Errorf("%+v", res)
		}
		ms := time.Millisecond
		for at := time.Duration(0); at < 40*second; at += second {
			from, to := at+40*ms, at+second-40*ms
			switch {
			case at < 10*second:
				s.hears(t, Left, from, to, 500, 0.95)
				s.hears(t, Right, from, to, 700, 0.95)
			case at < 20*second:
				s.hears(t, Left, from, to, 500, 0.5)
				s.silent(t, Right, from, to)
			case at < 30*second:
				s.hears(t, Left, from, to, 500, 0.95)
				s.hears(t, Right, from, to, 700, 0.45)
				s.hears(t, Right, from, to, 1000, 0.45)
			default:
				s.hears(t, Left, from, to, 500, 0.95)
				s.hears(t, Right, from, to, 1000, 0.95)
			}
			if at < 10*second || at >= 30*second {
				s.single(t, Left, at, at+second)
				s.single(t, Right, from, to)
			}
		}
		s.gapless(t, Left, 40*ms, 40*second-40*ms)
		s.gapless(t, Right, 40*ms, 10*second-40*ms)
		s.gapless(t, Right, 20*second+40*ms, 40*second-40*ms)
		p := load(t, res.Consultation)
		p.hears(t, Left, 40*ms, 9900*ms, 700, 0.95)
		p.hears(t, Right, 40*ms, 9900*ms, 1000, 0.95)
	})
}
