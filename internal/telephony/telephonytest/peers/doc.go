// Package peers runs SIP programs of other makers beside a test, on loopback:
// sipp as a carrier or a caller whose every message is laid down, baresip as
// an operator's phone with its own RTP stack. Each sends a tone of its own and
// keeps what it hears, so a test can tell who hears whom.
//
// A program that is not installed fails the test with the command that
// installs it. Every peer is ended and waited for when its test ends, and its
// log is shown if the test failed.
package peers
