package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/invalid"
)

// What an administrator sets names other things that he sets. References are
// checked in the transaction that stores the one or removes the other, so what
// is stored by one process leads somewhere. (Two processes on one database may
// still pass each other; a scenario passes on a call whose queue is gone.)

// ReferencedError says that a thing is not removed because others name it.
type ReferencedError struct {
	Kind, Name string // as in directory.Reference
	// By are those that name it, with their kinds: "queue 1000", "route main".
	By []string
}

func (e *ReferencedError) Error() string {
	return fmt.Sprintf("%s %s is still used by %s", e.Kind, e.Name, strings.Join(e.By, ", "))
}

// thing is something that an administrator sets.
type thing struct{ kind, name string }

// referrer is what names other things.
type referrer interface{ References() []directory.Reference }

// exist is an invalid.Error with the references that lead nowhere. A thing may
// name itself.
func exist(ctx context.Context, tx *Tx, account string, self thing, refs []directory.Reference) error {
	var bad invalid.Error
	known := map[thing]bool{self: true}
	for _, r := range refs {
		to := thing{r.Kind, r.Name}
		there, asked := known[to]
		if !asked {
			t := tableOf(r.Kind)
			err := tx.QueryRowContext(ctx, fmt.Sprintf(`SELECT EXISTS (SELECT 1 FROM %s WHERE account_id = $1 AND %s = $2)`, t.name, t.key), account, text(r.Name)).Scan(&there)
			if err != nil {
				return err
			}
			known[to] = there
		}
		if !there {
			bad.Add(r.Path, fmt.Sprintf("there is no %s %s", r.Kind, r.Name))
		}
	}
	return bad.Err()
}

func tableOf(kind string) table {
	switch kind {
	case directory.KindTrunk:
		return trunks
	case directory.KindOperator:
		return operators
	case directory.KindWidget:
		return widgets
	case directory.KindQueue:
		return queues
	default:
		return routes
	}
}

// unused is nil, or a ReferencedError if other things name this one.
func unused(ctx context.Context, tx *Tx, account string, of thing) error {
	var by []string
	for _, find := range []func(context.Context, *Tx, string, thing) ([]string, error){
		users(operators, directory.KindOperator, func(o directory.Operator) string { return o.Extension }),
		users(widgets, directory.KindWidget, func(w directory.Widget) string { return w.Name }),
		users(queues, directory.KindQueue, func(q directory.Queue) string { return q.Name }),
		users(routes, directory.KindRoute, func(r directory.Route) string { return r.Name }),
	} {
		found, err := find(ctx, tx, account, of)
		if err != nil {
			return err
		}
		by = append(by, found...)
	}
	if by == nil {
		return nil
	}
	return &ReferencedError{Kind: of.kind, Name: of.name, By: by}
}

// users finds the things of a kind that name another.
func users[T referrer](t table, kind string, name func(T) string) func(context.Context, *Tx, string, thing) ([]string, error) {
	return func(ctx context.Context, tx *Tx, account string, of thing) (by []string, err error) {
		all, err := list[T](ctx, tx, t, account)
		if err != nil {
			return nil, err
		}
		for _, one := range all {
			self := thing{kind, name(one)}
			if self != of && slices.ContainsFunc(one.References(), func(r directory.Reference) bool { return r.Kind == of.kind && r.Name == of.name }) {
				by = append(by, kind+" "+self.name)
			}
		}
		return by, nil
	}
}

// putReferring is put for what names other things.
func putReferring[T referrer](s *Store, t table, account string, self thing, item T) (created bool, err error) {
	return put(s, t, account, self.name, item, func(ctx context.Context, tx *Tx) error {
		return exist(ctx, tx, account, self, item.References())
	})
}

// removeUnused is remove for what others may name.
func removeUnused(s *Store, t table, account string, of thing) error {
	return remove(s, t, account, of.name, func(ctx context.Context, tx *Tx) error {
		return unused(ctx, tx, account, of)
	})
}
