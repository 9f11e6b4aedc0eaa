package stream

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/pion/rtcp"
)

// A stream reports every 5 s, by chance between half and one and a half of it,
// so that many streams do not report together (RFC 3550 §6.2, §6.3.1).
// reportTick is how often the pool looks whose turn it is.
const (
	reportEvery = 5 * time.Second
	reportTick  = 500 * time.Millisecond
)

// reports is what a stream knows of RTCP, with the receiver's lock.
type reports struct {
	to  netip.AddrPort // where RTCP came from; invalid: none came
	due time.Time      // of our next report

	lastSR   uint32    // middle of the NTP time in the phone's last report
	lastSRAt time.Time // when it came; zero: none did

	lastExpected uint32 // at our last report
	lastLost     int64
	lastSent     uint64

	rtt          time.Duration
	remoteLost   int64
	remoteJitter time.Duration
}

// report sends the reports that are due, one pass over all streams.
func (p *Ports) report() {
	p.mu.Lock()
	streams := make([]*Stream, 0, len(p.streams))
	for s := range p.streams {
		streams = append(streams, s)
	}
	p.mu.Unlock()
	now := time.Now()
	for _, s := range streams {
		s.report(now)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.streams) > 0 {
		p.reports.Reset(reportTick)
	}
}

// report sends a sender report, or a receiver report if nothing was sent since
// the last one, with our name (RFC 3550 §6.1), when it is time.
func (s *Stream) report(now time.Time) {
	r := &s.in.rtcp
	s.in.mu.Lock()
	if r.due.IsZero() {
		r.due = now.Add(reportEvery / 2)
	}
	to := s.reportsTo()
	if now.Before(r.due) || !usable(to) {
		s.in.mu.Unlock()
		return
	}
	r.due = now.Add(reportEvery/2 + rand.N(reportEvery))
	reception := s.in.reception(now)

	o := &s.out
	o.mu.Lock()
	ssrc, sent := o.ssrc, o.packets > r.lastSent
	r.lastSent = o.packets
	sr := &rtcp.SenderReport{
		SSRC:        o.ssrc,
		NTPTime:     ntp(now),
		RTPTime:     o.ts + ticks(now.Sub(o.at)),
		PacketCount: uint32(o.packets),
		OctetCount:  uint32(o.bytes),
		Reports:     reception,
	}
	o.mu.Unlock()
	s.in.mu.Unlock()

	var first rtcp.Packet = sr
	if !sent {
		first = &rtcp.ReceiverReport{SSRC: ssrc, Reports: reception}
	}
	b, err := rtcp.Marshal([]rtcp.Packet{first, rtcp.NewCNAMESourceDescription(ssrc, s.cname)})
	if err != nil {
		s.o.Logger.Error("RTCP report cannot be made", "error", err)
		return
	}
	// A report that cannot be sent is as one that got lost.
	_, _ = s.pair.rtcp.WriteToUDPAddrPort(b, to)
}

// reportsTo is where RTCP is sent: where it comes from, else the port after
// RTP's (RFC 3550 §11).
func (s *Stream) reportsTo() netip.AddrPort {
	if s.in.rtcp.to.IsValid() {
		return s.in.rtcp.to
	}
	a := s.in.latch.source
	if !a.IsValid() {
		a = s.in.latch.signalled
	}
	if !usable(a) {
		return a
	}
	return netip.AddrPortFrom(a.Addr(), a.Port()+1)
}

// reception is our report of the phone's stream, none if there is no stream.
func (in *receiver) reception(now time.Time) []rtcp.ReceptionReport {
	if !in.begun {
		return nil
	}
	r := &in.rtcp
	expected, lost := in.expected(), in.lost()
	report := rtcp.ReceptionReport{
		SSRC:               in.ssrc,
		TotalLost:          uint32(min(lost, 1<<23-1)),
		LastSequenceNumber: in.maxSeq,
		Jitter:             in.jitter >> 4,
		LastSenderReport:   r.lastSR,
	}
	if n, l := expected-r.lastExpected, lost-r.lastLost; n > 0 && l > 0 {
		report.FractionLost = uint8(min(l*256/int64(n), 255))
	}
	r.lastExpected, r.lastLost = expected, lost
	if !r.lastSRAt.IsZero() {
		report.Delay = uint32(now.Sub(r.lastSRAt) * 65536 / time.Second)
	}
	return []rtcp.ReceptionReport{report}
}

// receiveRTCP takes one datagram of reports from the host the sound comes from.
// BYE is ignored: only signalling ends a call.
func (s *Stream) receiveRTCP(now time.Time, from netip.AddrPort, b []byte) {
	in := &s.in
	in.mu.Lock()
	defer in.mu.Unlock()
	if s.params.Load() == nil {
		in.early++
		return
	}
	source := in.latch.source
	if !source.IsValid() {
		source = in.latch.signalled
	}
	if from.Addr() != source.Addr() {
		in.refused++
		return
	}
	packets, err := rtcp.Unmarshal(b)
	if err != nil {
		in.malformed++
		return
	}
	s.hear(now)
	if from != source { // not one that came over the RTP socket
		in.rtcp.to = from
	}
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.SenderReport:
			if in.begun && p.SSRC == in.ssrc {
				in.rtcp.lastSR, in.rtcp.lastSRAt = uint32(p.NTPTime>>16), now
			}
			in.rtcp.take(now, s.out.ssrc, p.Reports)
		case *rtcp.ReceiverReport:
			in.rtcp.take(now, s.out.ssrc, p.Reports)
		}
	}
}

// take reads what the phone reports of our stream ssrc.
func (r *reports) take(now time.Time, ssrc uint32, list []rtcp.ReceptionReport) {
	for _, rr := range list {
		if rr.SSRC != ssrc {
			continue
		}
		r.remoteLost = int64(rr.TotalLost)
		r.remoteJitter = duration(rr.Jitter)
		if rr.LastSenderReport == 0 {
			continue
		}
		// RFC 3550 §6.4.1: the time between our report and this one, less what
		// the phone held it back, in 1/65536 s.
		if d := int32(uint32(ntp(now)>>16) - rr.LastSenderReport - rr.Delay); d >= 0 {
			r.rtt = time.Duration(d) * time.Second / 65536
		}
	}
}

// ntp is t as an NTP timestamp (RFC 3550 §4): seconds since 1900 in 32 bits and
// their fraction in 32.
func ntp(t time.Time) uint64 {
	const since1900 = 2208988800 // at the Unix epoch
	seconds := uint64(t.Unix() + since1900)
	return seconds<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second)
}
