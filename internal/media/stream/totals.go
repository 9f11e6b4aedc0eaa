package stream

// Totals counts the RTP packets of all streams of a pool, open and closed.
type Totals struct {
	Received, Sent uint64
	// Lost never arrived (by their sequence numbers); Refused came from a
	// source that is not the phone's.
	Lost, Refused uint64
}

func (t Totals) plus(s Stats) Totals {
	t.Received += s.Received
	t.Sent += s.Sent
	t.Lost += uint64(max(0, s.Lost)) // packets that came twice make it negative
	t.Refused += s.Refused
	return t
}

// Totals returns the counts as they are now.
func (p *Ports) Totals() Totals {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.past
	for s := range p.streams {
		t = t.plus(s.Stats())
	}
	return t
}
