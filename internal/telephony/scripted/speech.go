package scripted

import (
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/codec"
	"github.com/perezvon/perezvon/internal/media/tone"
)

// packet is how much sound is sent at a time.
const packet = 20 * time.Millisecond

// Record implements telephony.Leg. What a phone said that Hums is handed over
// when its recording ends, as if each packet had come at its time.
func (l *leg) Record(t media.Track) {
	l.mu.Lock()
	hums := l.hums
	l.mu.Unlock()
	r, ended := l.engine.recorded(l.id, t)
	if hums && r.Track != nil {
		if l.ctx.Err() != nil {
			r.To = ended
		}
		speak(r.Track, l.engine.start.Add(r.From), l.engine.start.Add(r.To))
	}
}

func speak(t media.Track, from, until time.Time) {
	length := until.Sub(from).Truncate(packet)
	payload := codec.Clip(media.PCMA, tone.Sine(440, length, media.ClockRate, 8000))
	const bytes = int(media.ClockRate * packet / time.Second)
	for i := 0; i+bytes <= len(payload); i += bytes {
		t.Packet(from.Add(time.Duration(i)*time.Second/media.ClockRate), media.PCMA, 1, uint32(i), payload[i:i+bytes])
	}
}
