package freepbx

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/store"
)

// NoAnswerOrder says where calls shall go that extensions do not answer
// (users.noanswer_dest, specification 4-operator-notices).
type NoAnswerOrder struct {
	// Extensions are meant; with Undo none means all that were changed.
	Extensions []string
	// Destination is context,extension,priority. Default NoAnswerDestination.
	Destination string
	// Undo puts back what was there before this server changed it.
	Undo bool
	// DryRun changes nothing and tells what would be.
	DryRun bool
}

// NoAnswerChange is one extension's.
type NoAnswerChange struct {
	Extension, Name string
	// Old is where calls went, New where they go; the same if nothing changes.
	Old, New string
	// Why an extension is left as it is.
	Why string
}

// NoAnswerResult is what was done, or would be.
type NoAnswerResult struct {
	Changes []NoAnswerChange
	// Marked tells that FreePBX shows its button "Apply Config". The dialplan is
	// made of the table when that is pressed, or by `fwconsole reload`: until
	// then calls go where they went.
	Marked bool
}

// Changed tells that any of it is a change.
func (r NoAnswerResult) Changed() bool {
	for _, c := range r.Changes {
		if c.Old != c.New {
			return true
		}
	}
	return false
}

var destination = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80},[A-Za-z0-9_+*#-]{1,80},[A-Za-z0-9_-]{1,40}$`)

// SetNoAnswer carries an order out. Unknown extensions are an invalid.Error
// that names them, and then nothing is changed. What was there before is stored
// here first, so a crash in between loses no way back.
func (f *FreePBX) SetNoAnswer(ctx context.Context, o NoAnswerOrder) (r NoAnswerResult, err error) {
	if o.Destination == "" {
		o.Destination = NoAnswerDestination
	}
	if !destination.MatchString(o.Destination) {
		return r, invalid.Error{{Path: "destination", Message: "want context,extension,priority: " + NoAnswerDestination}}
	}
	known, kept, err := f.destinations(ctx)
	if err != nil {
		return r, err
	}
	if len(o.Extensions) == 0 && o.Undo {
		for _, d := range kept {
			if _, there := known[d.Extension]; there {
				o.Extensions = append(o.Extensions, d.Extension)
			}
		}
	}
	var missing []string
	for _, extension := range o.Extensions {
		if _, there := known[extension]; !there {
			missing = append(missing, extension)
		}
	}
	switch {
	case len(missing) > 0:
		return r, invalid.Error{{Path: "extensions", Message: "FreePBX has no extension " + strings.Join(missing, ", ")}}
	case len(o.Extensions) == 0 && !o.Undo:
		return r, invalid.Error{{Path: "extensions", Message: "want extensions"}}
	}
	back := make(map[string]store.Destination, len(kept))
	for _, d := range kept {
		back[d.Extension] = d
	}
	for _, extension := range o.Extensions {
		u := known[extension]
		c := NoAnswerChange{Extension: extension, Name: u.Name, Old: u.NoAnswer, New: o.Destination}
		if o.Undo {
			c.New, c.Why = undo(u, back)
		}
		r.Changes = append(r.Changes, c)
	}
	if o.DryRun {
		return r, nil
	}
	return r, f.change(ctx, &r, o.Undo, back)
}

// undo is where the calls of an extension go back to, or why they stay.
func undo(u user, back map[string]store.Destination) (to, why string) {
	d, changed := back[u.Extension]
	switch {
	case !changed:
		return u.NoAnswer, "it was not changed by this server"
	case u.NoAnswer != d.After && u.NoAnswer != d.Before:
		return u.NoAnswer, "somebody has changed it since"
	}
	return d.Before, ""
}

// destinations are FreePBX's extensions, and what is known of the way back.
func (f *FreePBX) destinations(ctx context.Context) (known map[string]user, kept []store.Destination, err error) {
	list, err := users(ctx, f.db)
	if err != nil {
		return nil, nil, ofDatabase(err)
	}
	known = make(map[string]user, len(list))
	for _, u := range list {
		known[u.Extension] = u
	}
	kept, err = f.store.Destinations(ctx, f.account)
	return known, kept, err
}

// change does what the result says.
func (f *FreePBX) change(ctx context.Context, r *NoAnswerResult, undone bool, back map[string]store.Destination) error {
	if !undone {
		var keep []store.Destination
		for _, c := range r.Changes {
			if c.Old == c.New {
				continue
			}
			d := store.Destination{Extension: c.Extension, Before: c.Old, After: c.New}
			if b, again := back[c.Extension]; again && b.After == c.Old {
				d.Before = b.Before // our own change is no way back
			}
			keep = append(keep, d)
		}
		if err := f.store.KeepDestinations(ctx, f.account, keep); err != nil {
			return err
		}
	}
	for i := range r.Changes {
		c := &r.Changes[i]
		if c.Old != c.New {
			// Only if nobody has changed it since it was looked at.
			done, err := f.db.ExecContext(ctx, `UPDATE `+configDB+`.users SET noanswer_dest = ? WHERE extension = ? AND noanswer_dest = ?`, c.New, c.Extension, c.Old)
			if err != nil {
				return ofDatabase(err)
			}
			if n, err := done.RowsAffected(); err != nil {
				return ofDatabase(err)
			} else if n == 0 {
				c.New, c.Why = c.Old, "somebody is changing it"
				continue
			}
		}
		if _, changed := back[c.Extension]; undone && changed && c.Why == "" {
			if err := f.store.ForgetDestination(ctx, f.account, c.Extension); err != nil {
				return err
			}
		}
	}
	if !r.Changed() {
		return nil
	}
	f.log.InfoContext(ctx, "FreePBX: where unanswered calls go is changed; it takes effect with fwconsole reload", "changes", r.Changes)
	_, err := f.db.ExecContext(ctx, `UPDATE `+configDB+`.admin SET value = 'true' WHERE variable = 'need_reload'`)
	if r.Marked = err == nil; err != nil && !denied(err) {
		return ofDatabase(fmt.Errorf("everything is changed, but its button Apply Config is not shown: %w", err))
	}
	return nil
}
