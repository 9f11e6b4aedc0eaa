package stream

import "net/netip"

// latch decides whose packets are the phone's (symmetric RTP: a phone behind
// NAT sends from an address its SDP does not know, and that is where it must
// be answered). It goes shut once: on the address that was signalled as soon as
// anything comes from there, else on the first other source that proves to be
// one. Another source is refused from then on, but the signalled one may still
// take its place: it is the only address that was vouched for.
type latch struct {
	signalled netip.AddrPort // from SDP
	source    netip.AddrPort // whose packets are taken; invalid: open

	trial netip.AddrPort // who sent the last packet while open
	ssrc  uint32         // and its header
	seq   uint16
}

// signal takes the address from SDP and returns where to send. One that is new
// opens the latch.
func (l *latch) signal(a netip.AddrPort) (to netip.AddrPort) {
	if a != l.signalled {
		*l = latch{signalled: a}
	}
	if l.source.IsValid() {
		return l.source
	}
	return l.signalled
}

// admit tells whether a valid packet from a is the phone's, and whether it has
// just shut the latch. Who was not signalled must send two packets in a row
// (RFC 3550 §A.1, MIN_SEQUENTIAL) of which the second is admitted.
// Hot path.
func (l *latch) admit(a netip.AddrPort, h header) (ok, shut bool) {
	switch {
	case a == l.source:
		return true, false
	case a == l.signalled:
		l.source = a
		return true, true
	case l.source.IsValid():
		return false, false
	case a == l.trial && h.ssrc == l.ssrc && h.seq == l.seq+1:
		l.source = a
		return true, true
	}
	l.trial, l.ssrc, l.seq = a, h.ssrc, h.seq
	return false, false
}
