package digestauth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Config is what a Server needs. Lookup must be set.
type Config struct {
	// Realm is shown to the phones and part of every hash. Default "perezvon".
	Realm string
	// Lookup finds a user's password; ok is false for one who does not exist.
	// An error (the directory cannot be asked) is answered with 500.
	Lookup func(ctx context.Context, user string) (password string, ok bool, err error)
	// Algorithms are offered, one challenge each, in this order. Default: MD5
	// alone. RFC 8760 would have SHA-256 first, and that locks phones out, as
	// was tried: baresip 1.0 gives up when any challenge is SHA-256, sipp 3.6.1
	// when the first one is; Asterisk and everybody else take MD5. What SHA-256
	// would protect, the password against who reads the wire, TLS protects
	// better.
	Algorithms []Algorithm
	// NonceTTL is how long a nonce may be used. Default 5 minutes.
	NonceTTL time.Duration
	// Failures is how many wrong passwords (or unknown users) within Window
	// silence a source address: for a minute, doubling with each time up to an
	// hour. Defaults 5 and 1 minute.
	Failures int
	Window   time.Duration
	// Challenges is how many challenges a source address may be sent within
	// Window without one success; further requests that carry no credentials
	// are dropped. Default 100: an office behind one address may restart all
	// its phones at once.
	Challenges int
	// Sources bounds how many source addresses are remembered. Default 4096.
	Sources int
	// Exempt names addresses that are never silenced, such as loopback or a
	// trunk's. nil: none.
	Exempt func(netip.Addr) bool
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Logger takes failures and bans. Default: none.
	Logger *slog.Logger
}

// rememberedNonces bounds the replay memory, about 200 bytes each.
const rememberedNonces = 16384

// Server authenticates requests. It is safe for concurrent use.
type Server struct {
	config     Config
	nonces     *nonces
	failures   *guard
	challenges *guard
	decoy      [32]byte // makes the passwords of users who do not exist
}

// New makes a Server.
func New(c Config) *Server {
	if c.Realm == "" {
		c.Realm = "perezvon"
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = []Algorithm{MD5}
	}
	c.NonceTTL = positive(c.NonceTTL, 5*time.Minute)
	c.Failures = positive(c.Failures, 5)
	c.Window = positive(c.Window, time.Minute)
	c.Challenges = positive(c.Challenges, 100)
	c.Sources = positive(c.Sources, 4096)
	if c.Exempt == nil {
		c.Exempt = func(netip.Addr) bool { return false }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		config:     c,
		nonces:     newNonces(c.NonceTTL, rememberedNonces),
		failures:   newGuard(c.Failures, c.Window, c.Sources),
		challenges: newGuard(c.Challenges, c.Window, c.Sources),
	}
	_, _ = rand.Read(s.decoy[:]) // never fails (crypto/rand)
	return s
}

func positive[T int | time.Duration](v, byDefault T) T {
	if v > 0 {
		return v
	}
	return byDefault
}

// Allowed tells whether a source address is not silenced. It is cheap, for the
// filter that reads every packet.
func (s *Server) Allowed(source netip.Addr) bool {
	return s.config.Exempt(source.Unmap()) || !s.failures.banned(s.config.Now(), source)
}

// Authenticate looks for credentials in a request that came from source. With
// good ones it returns their user and true. Otherwise the request is to be
// answered with challenge, or not at all if that is nil: the source is
// silenced.
func (s *Server) Authenticate(ctx context.Context, req *sip.Request, source netip.AddrPort) (user string, challenge *sip.Response, ok bool) {
	from := source.Addr().Unmap()
	if !s.Allowed(from) {
		return "", nil, false
	}
	now := s.config.Now()
	given, found := s.credentials(req)
	if !found {
		return "", s.challenge(req, from, false), false
	}
	if !s.nonces.fresh(now, given["nonce"], from) {
		// The hash is not looked at: an answer to a nonce of one's own choice
		// would be a guess that does not count.
		return "", s.challenge(req, from, true), false
	}
	count, offered := usage(given)
	algorithm, spoken := algorithm(given["algorithm"])
	if !offered || !spoken || !slices.Contains(s.config.Algorithms, algorithm) {
		return "", s.challenge(req, from, false), false
	}

	user = given["username"]
	password, exists, err := s.config.Lookup(ctx, user)
	if err != nil {
		s.config.Logger.Error("the password of a phone cannot be looked up", "user", user, "err", err)
		return "", sip.NewResponseFromRequest(req, sip.StatusInternalServerError, "Server Internal Error", nil), false
	}
	// Who does not exist takes the same path and time as a wrong password.
	decoy := s.decoyPassword(user)
	if !exists || password == "" {
		password, exists = decoy, false
	}
	want := credentials{
		username: user, realm: s.config.Realm, nonce: given["nonce"], uri: given["uri"], method: string(req.Method),
		qop: strings.ToLower(given["qop"]), nc: given["nc"], cnonce: given["cnonce"],
	}.response(algorithm, password)
	if !hmac.Equal([]byte(want), []byte(strings.ToLower(given["response"]))) || !exists {
		return "", s.failed(req, from, user), false
	}
	if !s.nonces.use(given["nonce"], count) {
		return "", s.challenge(req, from, true), false
	}
	s.failures.clear(from)
	s.challenges.clear(from)
	return user, nil, true
}

// credentials are those of the request for our realm, if any.
func (s *Server) credentials(req *sip.Request) (params, bool) {
	for _, h := range req.GetHeaders("Authorization") {
		if ps, ok := parseParams(h.Value()); ok && ps["realm"] == s.config.Realm {
			return ps, true
		}
	}
	return nil, false
}

// usage reads the nonce count, 0 without qop; ok is false for a qop that was
// not offered or a count that is none.
func usage(given params) (count uint32, ok bool) {
	switch strings.ToLower(given["qop"]) {
	case "":
		return 0, true
	case "auth":
		n, err := strconv.ParseUint(given["nc"], 16, 32)
		return uint32(n), err == nil && n > 0 && given["cnonce"] != ""
	}
	return 0, false
}

// failed counts a wrong password; at the limit there is no answer any more.
func (s *Server) failed(req *sip.Request, from netip.Addr, user string) *sip.Response {
	s.config.Logger.Warn("wrong password of a phone", "user", user, "source", from)
	if !s.config.Exempt(from) {
		if ban := s.failures.fail(s.config.Now(), from); ban > 0 {
			s.config.Logger.Warn("an address is silenced after wrong passwords", "source", from, "for", ban)
			return nil
		}
	}
	return s.challenge(req, from, false)
}

// challenge is a 401 with a new nonce; nil if the source had too many. stale
// tells the phone that only the nonce was wrong: it tries again without
// asking its user for a password.
func (s *Server) challenge(req *sip.Request, from netip.Addr, stale bool) *sip.Response {
	now := s.config.Now()
	if !s.config.Exempt(from) && s.challenges.count(now, from) {
		return nil
	}
	res := sip.NewResponseFromRequest(req, sip.StatusUnauthorized, "Unauthorized", nil)
	nonce := s.nonces.issue(now, from)
	for _, a := range s.config.Algorithms {
		value := "Digest realm=" + quote(s.config.Realm) + ", nonce=" + quote(nonce)
		if stale {
			value += ", stale=true"
		}
		res.AppendHeader(sip.NewHeader("WWW-Authenticate", value+", algorithm="+string(a)+`, qop="auth"`))
	}
	return res
}

// decoyPassword is what somebody who does not exist would have to know: nobody
// does, and it costs as much to check.
func (s *Server) decoyPassword(user string) string {
	h := hmac.New(sha256.New, s.decoy[:])
	h.Write([]byte(user))
	return hex.EncodeToString(h.Sum(nil))
}
