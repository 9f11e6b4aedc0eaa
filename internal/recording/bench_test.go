package recording

import (
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media"
)

// TestPacketDoesNotAllocate guards the hot path, writes to the file included.
func TestPacketDoesNotAllocate(t *testing.T) {
	tape, _ := create(t)
	at := time.Now()
	tape.Start(at)
	track, payload, timestamp := tape.Track("c1", Left), make([]byte, 160), uint32(0)
	packet := func() {
		track.Packet(at, media.PCMA, 1, timestamp, payload)
		at, timestamp = at.Add(20*time.Millisecond), timestamp+160
	}
	for range 100 { // the file is made with the first write
		packet()
	}
	if n := testing.AllocsPerRun(1000, packet); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func BenchmarkPacket(b *testing.B) {
	tape, _ := create(b)
	at := time.Now()
	tape.Start(at)
	track, payload, timestamp := tape.Track("c1", Left), make([]byte, 160), uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		track.Packet(at, media.PCMA, 1, timestamp, payload)
		at, timestamp = at.Add(20*time.Millisecond), timestamp+160
	}
}

// BenchmarkRenderMinute is a minute of a call of two G.711 legs.
func BenchmarkRenderMinute(b *testing.B) {
	tape, dir := create(b)
	zero := began(time.Minute)
	tape.Start(zero)
	for i, leg := range []string{"c1", "m1"} {
		phone{codec: media.PCMA, ssrc: 1, sound: humming(media.PCMA, 500, 8000)}.speak(tape.Track(leg, Side(i)), zero, 0, time.Minute)
	}
	if err := tape.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Render(b.Context(), dir, nil); err != nil {
			b.Fatal(err)
		}
	}
}
