package notice

import (
	"context"
	"errors"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/store"
)

// Order is what is to be done with the notices of many operators. One of the
// last three is given; Text with Enabled false is a text that is not heard yet.
type Order struct {
	// Extensions are as directory.ParseExtensions reads them.
	Extensions string
	Enabled    *bool
	Text       string
	Delete     bool
}

// Failure is why nothing was done for one operator.
type Failure struct {
	Extension, Reason string
}

// Many carries an order out, for each operator by itself. done are those for
// whom it is; the error, an invalid.Error, store trouble or ctx's cause, says
// that nothing more was done.
func (s *Shelf) Many(ctx context.Context, account string, o Order) (done []string, failed []Failure, err error) {
	extensions, err := o.check(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	for _, extension := range extensions {
		if cause := context.Cause(ctx); cause != nil {
			return done, failed, cause
		}
		switch why, err := s.one(ctx, account, extension, o); {
		case err != nil:
			return done, failed, err
		case why != "":
			failed = append(failed, Failure{extension, why})
		default:
			done = append(done, extension)
		}
	}
	return done, failed, nil
}

func (o Order) check(ctx context.Context, s *Shelf) ([]string, error) {
	var bad invalid.Error
	extensions, err := directory.ParseExtensions("extensions", o.Extensions)
	if !errors.As(err, &bad) && err != nil {
		return nil, err
	}
	switch {
	case o.Delete && (o.Text != "" || o.Enabled != nil):
		bad.Add("delete", "goes with neither text nor enabled")
	case !o.Delete && o.Text == "" && o.Enabled == nil:
		bad.Add("enabled", "want enabled, text or delete")
	case o.Text != "":
		var wrong invalid.Error
		if err := s.CheckText(ctx, o.Text); errors.As(err, &wrong) {
			bad = append(bad, wrong...)
		} else if err != nil {
			return nil, err
		}
	}
	return extensions, bad.Err()
}

// one does it for one operator; why is in words that people read.
func (s *Shelf) one(ctx context.Context, account, extension string, o Order) (why string, err error) {
	if _, err := s.store.Operator(ctx, account, extension); errors.Is(err, store.ErrNotFound) {
		return "there is no such operator", nil
	} else if err != nil {
		return "", err
	}
	switch {
	case o.Delete:
		_, err = s.Delete(ctx, account, extension)
	case o.Text != "":
		_, err = s.Speak(ctx, account, extension, o.Text, o.Enabled == nil || *o.Enabled)
	default:
		_, err = s.Enable(ctx, account, extension, *o.Enabled)
	}
	if errors.Is(err, store.ErrNotFound) {
		return "there is no notice", nil
	}
	return "", err
}
