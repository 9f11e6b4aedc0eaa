package sdp

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/perezvon/perezvon/internal/media"
)

// DefaultEventPT is the payload type we offer telephone-event with.
const DefaultEventPT = 101

// DefaultPtime is how much sound goes into a packet where nobody says.
const DefaultPtime = 20 * time.Millisecond

// Local is our side of a session.
type Local struct {
	// IP and Port are where we receive RTP.
	IP   netip.Addr
	Port int
	// Codecs are what we may speak, the preferred one first. In an answer our
	// order wins over the offer's, so that two legs can be brought to one
	// codec.
	Codecs []media.Codec
	// EventPT is the payload type of telephone-event in an offer; 0:
	// DefaultEventPT. A re-INVITE repeats the one agreed on, since a number
	// may not change its meaning within a session (RFC 3264 §8.3.2).
	EventPT uint8
	// Direction is what we want; SendRecv by default.
	Direction Direction
	// SessionID names the session in all our descriptions of it; Version
	// grows by one with each that differs (RFC 3264 §8).
	SessionID, Version uint64
}

// Chosen is what two descriptions agree on.
type Chosen struct {
	Codec media.Codec
	// PT is the payload type of Codec, EventPT that of telephone-event, 0 if
	// the far end does not take it.
	PT, EventPT uint8
	// Remote is where to send RTP, RTCP where to send RTCP; see Session for
	// when they are zero or unspecified.
	Remote, RTCP netip.AddrPort
	// Ptime is how much sound the far end wants in a packet, DefaultPtime if
	// it did not say.
	Ptime time.Duration
	// Direction is ours: whether we may send and will receive.
	Direction Direction
}

// Offer writes a description of all we may speak.
func (l Local) Offer() []byte {
	event := l.EventPT
	if event == 0 {
		event = DefaultEventPT
	}
	var b strings.Builder
	l.head(&b)
	var formats []Format
	for _, c := range l.Codecs {
		formats = append(formats, Format{PT: c.PayloadType(), Name: c.Name(), Clock: media.ClockRate})
	}
	l.stream(&b, "RTP/AVP", formats, event, DefaultPtime, l.Direction)
	return []byte(b.String())
}

// Answer chooses from the offer and writes our answer: one codec, the events
// if offered, every other stream refused. The error is ErrNoCommonCodec.
func (l Local) Answer(offer *Session) (body []byte, chosen Chosen, err error) {
	var format Format
	for _, c := range l.Codecs {
		if f, ok := offer.format(c); ok {
			format, chosen = f, offer.chosen(c, f)
			break
		}
	}
	if chosen.Codec == media.NoCodec {
		return nil, Chosen{}, fmt.Errorf("%w: offered %s", ErrNoCommonCodec, offer.names())
	}
	chosen.Direction = chosen.Direction.And(l.Direction)

	var b strings.Builder
	l.head(&b)
	for i, m := range offer.media {
		if i == offer.audio {
			l.stream(&b, m.proto, []Format{format}, chosen.EventPT, chosen.Ptime, chosen.Direction)
			continue
		}
		// RFC 3264 §6: as many streams as offered, in their order.
		formats := strings.Join(m.formats, " ")
		if formats == "" {
			formats = "0"
		}
		fmt.Fprintf(&b, "m=%s 0 %s %s\r\n", m.kind, m.proto, formats)
	}
	return []byte(b.String()), chosen, nil
}

// Accept takes the answer to an offer of ours. Of several codecs in it the
// first counts (RFC 3264 §7). The error is ErrNoCommonCodec.
func Accept(offered []media.Codec, answer *Session) (Chosen, error) {
	for _, f := range answer.Formats {
		if c, ok := f.codec(); ok && slices.Contains(offered, c) {
			return answer.chosen(c, f), nil
		}
	}
	return Chosen{}, fmt.Errorf("%w: answered %s", ErrNoCommonCodec, answer.names())
}

// codec is the one of ours that the format is.
func (f Format) codec() (media.Codec, bool) {
	if f.Clock != media.ClockRate {
		return media.NoCodec, false
	}
	return media.CodecByName(f.Name)
}

// format finds the codec among the session's formats.
func (s *Session) format(c media.Codec) (Format, bool) {
	for _, f := range s.Formats {
		if got, ok := f.codec(); ok && got == c {
			return f, true
		}
	}
	return Format{}, false
}

func (s *Session) chosen(c media.Codec, f Format) Chosen {
	ptime := s.Ptime
	if ptime == 0 {
		ptime = DefaultPtime
	}
	return Chosen{
		Codec: c, PT: f.PT, EventPT: s.EventPT,
		Remote: s.Addr, RTCP: s.RTCP,
		Ptime: ptime, Direction: s.Direction.Reverse(),
	}
}

// names lists the formats for an error.
func (s *Session) names() string {
	if len(s.Formats) == 0 {
		return "none"
	}
	var names []string
	for _, f := range s.Formats {
		if f.Name == "" {
			names = append(names, fmt.Sprint(f.PT))
		} else {
			names = append(names, fmt.Sprintf("%q", f.Name))
		}
	}
	return strings.Join(names, ", ")
}

func (l Local) head(b *strings.Builder) {
	family := "IP4"
	if l.IP.Is6() && !l.IP.Is4In6() {
		family = "IP6"
	}
	ip := l.IP.Unmap()
	fmt.Fprintf(b, "v=0\r\no=perezvon %d %d IN %s %s\r\ns=-\r\nc=IN %s %s\r\nt=0 0\r\n",
		l.SessionID, l.Version, family, ip, family, ip)
}

func (l Local) stream(b *strings.Builder, proto string, formats []Format, event uint8, ptime time.Duration, d Direction) {
	if event != 0 {
		// 0-15: the keys (RFC 4733 §3.2).
		formats = append(formats, Format{PT: event, Name: "telephone-event", Clock: media.ClockRate, Fmtp: "0-15"})
	}
	fmt.Fprintf(b, "m=audio %d %s", l.Port, proto)
	for _, f := range formats {
		fmt.Fprintf(b, " %d", f.PT)
	}
	b.WriteString("\r\n")
	for _, f := range formats {
		fmt.Fprintf(b, "a=rtpmap:%d %s/%d\r\n", f.PT, f.Name, f.Clock)
		if f.Fmtp != "" {
			fmt.Fprintf(b, "a=fmtp:%d %s\r\n", f.PT, f.Fmtp)
		}
	}
	fmt.Fprintf(b, "a=ptime:%d\r\na=%s\r\n", ptime.Milliseconds(), d)
}
