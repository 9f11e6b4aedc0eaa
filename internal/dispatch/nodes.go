package dispatch

import (
	"net/netip"

	"github.com/perezvon/perezvon/internal/callback"
)

// Node is a media node: an engine and the scenarios on it, by which attempts
// are carried out.
type Node struct {
	// Name tells it from others; timelines show it.
	Name   string
	Runner Runner
}

// Nodes are the media nodes that this process drives. It is asked once for each
// attempt, when the attempt begins, and for each trial, and may be asked from any
// goroutine (docs/decisions/0009-media-nodes.md).
type Nodes interface {
	// Nearest is the node that is to serve a client at that address, and why, in
	// words for the timeline. client is the packet's client_ip; it is not valid
	// if the packet has none.
	Nearest(client netip.Addr) (n Node, why string)
}

// onlyNode is Nodes where there is one: whoever asks, and from wherever.
type onlyNode Node

func (n onlyNode) Nearest(netip.Addr) (Node, string) { return Node(n), "the only media node" }

// clientAddr is where the client's browser is, as far as the packet tells.
func clientAddr(p callback.Packet) netip.Addr {
	addr, _ := netip.ParseAddr(p.ClientIP) // was checked at the door; empty: not valid
	return addr
}
