// Package digestauth is SIP digest authentication (RFC 3261 §22, RFC 2617,
// RFC 7616, RFC 8760): the server that lets in phones which know their
// password and falls silent toward those who guess, and the client that
// answers a carrier's challenge.
//
// The server keeps nothing for a challenge it sends: a nonce proves itself
// (time, chance and the source address under a HMAC). So a flood of spoofed
// requests costs no memory, and nobody can have somebody else's address
// banned: a failure counts only with a nonce which that address was given.
package digestauth
