package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/numbering"
)

var locations = table{"locations", "id"}

// LocationTree is the account's tree of locations: those that ship as its own
// change them. Rows that do not fit (a newer version ships another tree) are
// left out, with a line in the log.
//
// It asks the database each time, for another process may have changed the
// rows, and builds the tree only if they have changed.
func (s *Store) LocationTree(ctx context.Context, account string) (*numbering.Tree, error) {
	rows, err := s.locationRows(ctx, account)
	if err != nil {
		return nil, err
	}
	return s.trees.of(account, rows, func() (*numbering.Tree, error) {
		own, err := decodeLocations(rows)
		if err != nil {
			return nil, err
		}
		tree, _, unfit := plant(own)
		if unfit != nil {
			s.log.WarnContext(ctx, "locations left out", "account", account, "err", unfit)
		}
		return tree, nil
	})
}

// PutLocation stores what the account says of a location. created tells that
// there was none with its id, not even a shipped one. What breaks the rules of
// numbering.NewTree is its invalid.Error.
func (s *Store) PutLocation(ctx context.Context, account string, l numbering.Location) (created bool, err error) {
	tree, err := s.LocationTree(ctx, account)
	if err != nil {
		return false, err
	}
	own, err := s.otherLocations(ctx, account, l.ID)
	if err != nil {
		return false, err
	}
	if err := fits(append(own, l), l.ID); err != nil {
		return false, err
	}
	_, there := tree.Location(l.ID)
	_, err = put(s, locations, account, l.ID, l, nil)
	return !there && err == nil, err
}

// DeleteLocation removes what the account says of a location: it is as shipped
// then, or gone. ErrNotFound: there is none. A location that others are within
// stays, with an invalid.Error.
func (s *Store) DeleteLocation(ctx context.Context, account, id string) error {
	tree, err := s.LocationTree(ctx, account)
	if err != nil {
		return err
	}
	own, err := s.otherLocations(ctx, account, id)
	if err != nil {
		return err
	}
	if err := fits(own, id); err != nil {
		return err
	}
	err = remove(s, locations, account, id, nil)
	if _, there := tree.Location(id); there && errors.Is(err, ErrNotFound) {
		return nil // as shipped already
	}
	return err
}

// otherLocations are the account's own locations but one. Those that do not
// fit are left out: they must not keep an administrator from changing others.
func (s *Store) otherLocations(ctx context.Context, account, id string) ([]numbering.Location, error) {
	rows, err := s.locationRows(ctx, account)
	if err != nil {
		return nil, err
	}
	own, err := decodeLocations(rows)
	if err != nil {
		return nil, err
	}
	_, own, _ = plant(own)
	return slices.DeleteFunc(own, func(l numbering.Location) bool { return l.ID == id }), nil
}

func (s *Store) locationRows(ctx context.Context, account string) ([]string, error) {
	rows, err := s.reader.QueryContext(ctx, `SELECT config FROM locations WHERE account_id = $1 ORDER BY id`, account)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var config string
		if err := rows.Scan(&config); err != nil {
			return nil, err
		}
		all = append(all, config)
	}
	return all, rows.Err()
}

func decodeLocations(rows []string) ([]numbering.Location, error) {
	own := make([]numbering.Location, len(rows))
	for i, config := range rows {
		var err error
		if own[i], err = decode[numbering.Location](locations, config); err != nil {
			return nil, err
		}
	}
	return own, nil
}

// fits checks the account's own locations together, after a change of the one
// with the id: nil or an invalid.Error.
func fits(own []numbering.Location, id string) error {
	_, err := numbering.NewTree(numbering.Shipped(), own)
	var bad invalid.Error
	for _, e := range faults(err) {
		if e.ID == id {
			bad.Add(e.Field, e.Message)
		} else {
			bad.Add("id", "another location needs it as it was: "+e.Error())
		}
	}
	return bad.Err()
}

// plant makes the tree of those that fit. unfit says what was wrong with the
// others.
func plant(own []numbering.Location) (tree *numbering.Tree, fitting []numbering.Location, unfit error) {
	for {
		tree, err := numbering.NewTree(numbering.Shipped(), own)
		if err == nil {
			return tree, own, unfit
		}
		unfit = errors.Join(unfit, err)
		faulty := map[string]bool{}
		for _, e := range faults(err) {
			faulty[e.ID] = true
		}
		fewer := slices.DeleteFunc(slices.Clone(own), func(l numbering.Location) bool { return faulty[l.ID] })
		if len(fewer) == len(own) { // the fault is seen at a shipped one only
			fewer = nil
		}
		own = fewer
	}
}

// faults are what numbering.NewTree found.
func faults(err error) []*numbering.LocationError {
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return nil
	}
	var all []*numbering.LocationError
	for _, e := range joined.Unwrap() {
		var one *numbering.LocationError
		if errors.As(e, &one) {
			all = append(all, one)
		}
	}
	return all
}

// trees keeps the tree of each account with the rows that it was made of.
type trees struct {
	mu   sync.Mutex
	made map[string]plantedTree
}

type plantedTree struct {
	rows string
	tree *numbering.Tree
}

func (t *trees) of(account string, rows []string, plant func() (*numbering.Tree, error)) (*numbering.Tree, error) {
	key := strings.Join(rows, "\n")
	t.mu.Lock()
	defer t.mu.Unlock()
	if made, ok := t.made[account]; ok && made.rows == key {
		return made.tree, nil
	}
	tree, err := plant()
	if err != nil {
		return nil, err
	}
	if t.made == nil {
		t.made = map[string]plantedTree{}
	}
	t.made[account] = plantedTree{key, tree}
	return tree, nil
}
