package stream

import (
	"net/netip"
	"time"

	"github.com/perezvon/perezvon/internal/media"
)

// Stats are the figures of a stream since Open.
type Stats struct {
	Codec  media.Codec    // agreed on; NoCodec before Configure
	Remote netip.AddrPort // where the phone's packets come from, invalid before any came

	Received      uint64        // RTP packets taken from the phone
	ReceivedBytes uint64        // their payload
	Lost          int64         // packets of the phone that never came (RFC 3550 §A.3)
	Jitter        time.Duration // between packets of the phone (RFC 3550 §A.8)

	Sent      uint64 // RTP packets sent to the phone
	SentBytes uint64 // their payload

	Refused   uint64 // packets of a source the stream is not latched on
	Malformed uint64 // not RTP
	Early     uint64 // came before Configure
	Unwanted  uint64 // of a payload type that was not agreed on: not passed on

	// What the phone reports of our packets by RTCP; zero while it does not.
	RTT          time.Duration // there and back
	RemoteLost   int64         // our packets that it missed
	RemoteJitter time.Duration // between our packets as it got them
}

// Stats returns the figures as they are now.
func (s *Stream) Stats() Stats {
	var st Stats
	s.in.mu.Lock()
	in := &s.in
	if p := s.params.Load(); p != nil {
		st.Codec = p.Codec
	}
	st.Remote = in.latch.source
	st.Received, st.ReceivedBytes = in.packets, in.bytes
	st.Lost = in.lostBefore + in.lost()
	st.Jitter = duration(in.jitter >> 4)
	st.Refused, st.Malformed, st.Early, st.Unwanted = in.refused, in.malformed, in.early, in.unwanted
	st.RTT, st.RemoteLost, st.RemoteJitter = in.rtcp.rtt, in.rtcp.remoteLost, in.rtcp.remoteJitter
	s.in.mu.Unlock()

	s.out.mu.Lock()
	st.Sent, st.SentBytes = s.out.packets, s.out.bytes
	s.out.mu.Unlock()
	return st
}

// duration is the time that n ticks of the RTP clock last.
func duration(n uint32) time.Duration {
	return time.Duration(n) * (time.Second / media.ClockRate)
}
