package bitrix24

import (
	"context"
	"errors"
	"time"
)

// Tested is what the portal says when it is asked by the settings that are kept.
type Tested struct {
	Works  bool     `json:"works" doc:"The portal carries requests out"`
	Error  string   `json:"error,omitempty" doc:"Why it does not"`
	UserID int64    `json:"user_id,omitempty" doc:"Who we are there"`
	Rights []string `json:"rights,omitempty" doc:"What we may there: the scopes"`
	// ElapsedMS is how long the answers took together.
	ElapsedMS int64 `json:"elapsed_ms"`
}

// ErrNotInstalled says that the application waits for its installation.
var ErrNotInstalled = errors.New("the application is not installed on the portal yet")

// Test asks the account's portal who we are there and what we may. What it says
// against that is in the answer; the error is ErrNotConnected, ErrNotInstalled,
// or not the portal's.
func (s *Service) Test(ctx context.Context, account string) (Tested, error) {
	p, err := s.portal(ctx, account)
	if err != nil {
		return Tested{}, err
	}
	if !p.settings().installed() {
		return Tested{}, ErrNotInstalled
	}
	began := time.Now()
	var profile struct {
		ID number `json:"ID"`
	}
	var t Tested
	p.limits.count()
	if err = p.call(ctx, "profile", nil, &profile); err == nil {
		p.limits.count()
		err = p.call(ctx, "scope", nil, &t.Rights)
	}
	t.ElapsedMS = time.Since(began).Milliseconds()
	var refused *Error
	switch {
	case errors.As(err, &refused):
		t.Error = refused.Error()
		return t, nil
	case err != nil:
		return Tested{}, err
	}
	t.Works, t.UserID = true, int64(profile.ID)
	return t, nil
}

// EventsURL is where portals are to report events to, and the address that an
// application is installed by.
func (s *Service) EventsURL() string { return s.config.EventsURL }
