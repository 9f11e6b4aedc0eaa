package access

import (
	"context"
	"errors"
	"slices"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/store"
)

// Keys is where API keys are kept.
type Keys interface {
	KeyByHash(ctx context.Context, hash string) (store.Key, error)
	CreateKey(ctx context.Context, k store.Key) error
	Keys(ctx context.Context, account string) ([]store.Key, error)
	DeleteKey(ctx context.Context, account, id string) error
}

// LookupIn finds keys where they are kept.
func LookupIn(keys Keys) Lookup {
	return func(ctx context.Context, hash string) (Identity, error) {
		k, err := keys.KeyByHash(ctx, hash)
		if errors.Is(err, store.ErrNotFound) {
			return Identity{}, ErrUnknownKey
		}
		if err != nil {
			return Identity{}, err
		}
		return Identity{Account: k.Account, Right: highest(k.Rights), Name: k.Prefix}, nil
	}
}

func highest(rights []string) Right {
	var most Right
	for _, r := range rights {
		if rank(Right(r)) > rank(most) {
			most = Right(r)
		}
	}
	return most
}

// givenName is the name of the key that comes from PEREZVON_ADMIN_KEY.
const givenName = "PEREZVON_ADMIN_KEY"

// EnsureAdmin sees to it that the account has a key with all rights. If given
// is not empty, that is the key (PEREZVON_ADMIN_KEY), in place of one that was
// given before. Otherwise, if there is no such key, one is made and returned to
// be shown once.
func EnsureAdmin(ctx context.Context, keys Keys, account, given string) (made string, err error) {
	if given != "" {
		return "", replaceGiven(ctx, keys, account, given)
	}
	all, err := keys.Keys(ctx, account)
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(all, func(k store.Key) bool { return highest(k.Rights) == Admin }) {
		return "", nil
	}
	made = NewKey()
	return made, createAdmin(ctx, keys, account, "first", made)
}

// replaceGiven stores the given key and forgets others that were given before:
// who changes the variable wants the old key to end.
func replaceGiven(ctx context.Context, keys Keys, account, given string) error {
	_, err := keys.KeyByHash(ctx, Hash(given))
	if errors.Is(err, store.ErrNotFound) {
		err = createAdmin(ctx, keys, account, givenName, given)
	}
	if err != nil {
		return err
	}
	all, err := keys.Keys(ctx, account)
	for _, k := range all {
		if k.Name == givenName && k.Hash != Hash(given) {
			err = errors.Join(err, keys.DeleteKey(ctx, account, k.ID))
		}
	}
	return err
}

func createAdmin(ctx context.Context, keys Keys, account, name, text string) error {
	return keys.CreateKey(ctx, store.Key{
		ID: call.NewID(), Account: account, Name: name, Prefix: Prefix(text), Hash: Hash(text), Rights: []string{string(Admin)},
	})
}
