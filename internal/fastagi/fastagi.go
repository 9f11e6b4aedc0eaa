// Package fastagi answers a dialplan that stays in charge: Asterisk's AGI over
// TCP (AGI(agi://host/script)). A script is a Go function; it asks Asterisk for
// variables, sets them and plays to the caller, and then the dialplan goes on.
//
// The protocol has no passwords, so a server takes connections from listed
// addresses only, and whatever they send is bounded in size, number and time.
package fastagi

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Bounds of what a far end may use up.
const (
	maxSessions = 500
	// greeting bounds the request from the connection on, command every answer
	// of Asterisk's but one to something that is played.
	greeting = 5 * time.Second
	command  = 10 * time.Second
)

// Script serves one request. It returns when the dialplan is to go on. An error
// is logged, unless it is ErrHangup.
type Script func(ctx context.Context, s *Session) error

// Server serves FastAGI.
type Server struct {
	// Scripts are by the path of their address, without the slash.
	Scripts map[string]Script
	// Allow are the networks that may connect. Default: this machine.
	Allow []netip.Prefix
	// Logger gets a line for each request that failed. Default: none.
	Logger *slog.Logger

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	done  sync.WaitGroup
}

// Serve answers requests until ctx ends; then it cuts those under way, so that
// their calls go on without, and returns when the last script has ended. It
// closes the listener. The error is one of the listener, nil at the end of ctx.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer s.done.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		_ = l.Close() // Accept tells
		s.cut()
	})
	defer stop()
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close() // nobody reads it any more
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil: // too many files are open: others will be closed
			s.log().ErrorContext(ctx, "FastAGI takes no connection", "err", err)
			if !wait(ctx, 100*time.Millisecond) {
				return nil
			}
			continue
		}
		if why := s.take(ctx, conn); why != "" {
			s.log().WarnContext(ctx, "a FastAGI connection is refused", "from", conn.RemoteAddr().String(), "why", why)
			_ = conn.Close() // it is refused either way
			continue
		}
		s.done.Go(func() {
			defer s.drop(conn)
			s.serve(ctx, conn)
		})
	}
}

// take lets a connection in, or says why not.
func (s *Server) take(ctx context.Context, conn net.Conn) (refused string) {
	if !s.allowed(conn.RemoteAddr()) {
		return "its address is not listed"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) >= maxSessions {
		return "there are too many"
	}
	if s.conns == nil {
		s.conns = make(map[net.Conn]struct{})
	}
	if ctx.Err() != nil {
		return "the server stops"
	}
	s.conns[conn] = struct{}{}
	return ""
}

func (s *Server) allowed(from net.Addr) bool {
	address, err := netip.ParseAddrPort(from.String())
	if err != nil {
		return false
	}
	ip := address.Addr().Unmap().WithZone("")
	if len(s.Allow) == 0 {
		return ip.IsLoopback()
	}
	for _, p := range s.Allow {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

func (s *Server) drop(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
	_ = conn.Close() // everything is said
}

func (s *Server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		_ = conn.Close() // its script finds out
	}
}

// serve reads one request and runs its script.
func (s *Server) serve(ctx context.Context, conn net.Conn) {
	session, err := open(conn)
	if err != nil {
		s.log().WarnContext(ctx, "a FastAGI request is not understood", "from", conn.RemoteAddr().String(), "err", err)
		return
	}
	log := s.log().With("script", session.Script, "channel", session.Channel())
	run, there := s.Scripts[session.Script]
	if !there {
		log.WarnContext(ctx, "there is no such FastAGI script")
		return
	}
	if err := run(ctx, session); err != nil && !errors.Is(err, ErrHangup) && ctx.Err() == nil {
		log.WarnContext(ctx, "a FastAGI script failed", "err", err)
	}
}

func (s *Server) log() *slog.Logger {
	if s.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Logger
}

// wait returns false if ctx ends before.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
