// Package recording keeps what was said on a call, and makes one stereo file
// of it afterwards.
//
// While the call runs there is a Tape: a folder with one append-only file a
// leg, called a track. A track takes the payload the phone sent as it is, at
// its place on the tape, which its RTP timestamp tells (never the moment it
// came, which loss and jitter would make drift). What the server plays is only
// noted. Everything is in ticks of 1/8000 s from the tape's start; for every
// codec we speak a tick is a byte of payload.
//
// Legs come and go while the call is passed on, each on a track of its own or on
// several, one after another; the tape goes on. What operators say to each other
// while the client waits is on tracks apart.
//
// Render reads the tracks, also those that a crash cut off, and writes
// recording.wav and peaks.json beside them, and consultation.wav if operators
// consulted.
package recording

// Side is a channel of the recording, or a recording of its own.
type Side uint8

// The sides. What the server plays to a leg is part of that leg's side.
const (
	Left  Side = iota // the client
	Right             // everybody else
	// Private is what operators say to each other and the client does not hear.
	// It never comes into the recording.
	Private
)
