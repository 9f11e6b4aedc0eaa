// Package stream is one leg's RTP: the pair of sockets, what the phone sends,
// what it hears, the keys it presses, and the figures of it all. It knows no
// SIP: who negotiates tells it the outcome with Configure.
//
// It is packet-driven. Each socket has one goroutine that reads into its own
// buffer; a packet that comes in goes out to the peer from that goroutine and
// that buffer, with a new header and nothing else changed. No leg has a ticker,
// no packet is allocated, and no two calls share a lock. See
// docs/decisions/0002-packet-driven-relay.md.
//
// What a phone hears is one RTP stream from the first packet to the last: one
// SSRC, sequence numbers without a step, timestamps that follow the clock,
// whoever speaks: a prompt, ringback, early media, the peer. Who speaks is
// decided by three layers: keys being sent (SendDigits), else a sound being
// played (Play), else the relay (Join, Listen) or the mixer (Mix), which is the
// one thing here that has a clock.
package stream
