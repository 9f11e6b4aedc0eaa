// Package ari speaks to an Asterisk over its REST interface (ARI): requests over
// HTTP, events over one WebSocket that is opened again whenever it breaks. It is
// thin: types and functions for what package asterisk uses, in Asterisk's words,
// and no idea of calls.
//
// Identifiers of channels and bridges are the caller's, so that an event may
// come before the answer to the request that caused it.
package ari
