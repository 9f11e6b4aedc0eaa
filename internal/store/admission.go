package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/callback"
	"github.com/perezvon/perezvon/internal/directory"
)

// Verdict ends a callback's first call before it begins. The zero Verdict lets
// it begin.
type Verdict struct {
	Status call.Status
	Reason string
}

// admission is what the widget has to say of a request, in the transaction
// that stores it: of two requests that come together, the second sees the
// first.
type admission struct {
	joined Answered // of the open callback, if there is one
	// now is what is planned for it, if the request has it made now.
	now     *Recall
	verdict Verdict
	packet  callback.Packet
}

// admit judges the request. It holds the widget's row to the end of the
// transaction, so other nodes wait. ErrNotFound if the widget is gone.
func admit(ctx context.Context, tx *Tx, n NewCallback, client string, now time.Time) (a admission, err error) {
	a = admission{verdict: n.Verdict, packet: n.Packet}
	if n.Widget == nil {
		return a, nil
	}
	var turn int64
	err = tx.QueryRowContext(ctx, `UPDATE widgets SET turn = turn WHERE account_id = $1 AND name = $2 RETURNING turn`,
		n.Account, n.Widget.Name).Scan(&turn)
	if errors.Is(err, sql.ErrNoRows) {
		return a, ErrNotFound
	}
	if err != nil {
		return a, err
	}
	if a, err = consider(ctx, tx, n, client, now, turn); err != nil || a.joined.Joined {
		return a, err
	}
	if n.RoundRobin && a.verdict.Status.IsZero() {
		_, err = tx.ExecContext(ctx, `UPDATE widgets SET turn = turn + 1 WHERE account_id = $1 AND name = $2`, n.Account, n.Widget.Name)
	}
	return a, err
}

// consider is what admit would do at the widget's turn, without doing it.
func consider(ctx context.Context, q querier, n NewCallback, client string, now time.Time, turn int64) (a admission, err error) {
	a = admission{verdict: n.Verdict, packet: n.Packet}
	if a.verdict.Status != call.NotAllowed {
		var planned *Recall
		if a.joined, planned, err = openFor(ctx, q, n, client); err != nil {
			return a, err
		}
		if a.joined.Joined {
			if planned != nil && a.verdict.Status.IsZero() && n.StartAt.IsZero() {
				if a.verdict, err = overRate(ctx, q, n, client, now); a.verdict.Status.IsZero() {
					a.now = planned
				}
			}
			return a, err
		}
	}
	if a.verdict.Status.IsZero() {
		if a.verdict, err = overRate(ctx, q, n, client, now); err != nil {
			return a, err
		}
	}
	if n.RoundRobin && a.verdict.Status.IsZero() {
		a.packet.Managers = n.Packet.Managers.Turned(turn)
	}
	a.packet.Managers = a.packet.Managers.First(n.First)
	return a, nil
}

// Foresee is what CreateCallback would answer to a request of its widget that
// came at now; where it is Joined, Verdict and Packet are those given, and what
// is planned has not been brought forward. Nothing is stored, and nothing
// counts. ErrNotFound: the widget is gone.
func (s *Store) Foresee(ctx context.Context, n NewCallback, now time.Time) (Answered, error) {
	client, _ := n.Packet.ClientNumber()
	var turn int64
	err := s.reader.QueryRowContext(ctx, `SELECT turn FROM widgets WHERE account_id = $1 AND name = $2`, n.Account, n.Widget.Name).Scan(&turn)
	if errors.Is(err, sql.ErrNoRows) {
		return Answered{}, ErrNotFound
	}
	if err != nil {
		return Answered{}, err
	}
	a, err := consider(ctx, s.reader, n, client, now, turn)
	if err != nil {
		return Answered{}, err
	}
	if a.joined.Joined {
		a.joined.Verdict, a.joined.Packet = n.Verdict, n.Packet
		return a.joined, nil
	}
	return Answered{ID: n.ID, CallID: n.CallID, Verdict: a.verdict, Packet: a.packet}, nil
}

const openForSQL = `
	SELECT k.id, (SELECT c.id FROM calls c WHERE c.callback_id = k.id ORDER BY c.attempt DESC LIMIT 1), k.next_attempt_at
	FROM callbacks k
	WHERE k.account_id = $1 AND k.widget = $2 AND k.widget <> '' AND k.client = $3 AND k.state IN ('queued', 'running', 'scheduled') AND NOT k.final
	ORDER BY k.created_at DESC LIMIT 1`

// openFor is the widget's callback for that client that is not over yet, and
// what is planned for it. One that is being cancelled is over.
func openFor(ctx context.Context, q querier, n NewCallback, client string) (a Answered, planned *Recall, err error) {
	var next sql.NullInt64
	err = q.QueryRowContext(ctx, openForSQL, n.Account, n.Widget.Name, client).Scan(&a.ID, &a.CallID, &next)
	if errors.Is(err, sql.ErrNoRows) {
		return Answered{}, nil, nil
	}
	if err != nil {
		return Answered{}, nil, err
	}
	a.Joined = true
	if !next.Valid {
		return a, nil, nil
	}
	planned = &Recall{Account: n.Account, CallbackID: a.ID, Widget: n.Widget.Name, At: fromMS(next.Int64)}
	var waits bool
	err = q.QueryRowContext(ctx, `SELECT ended_at IS NULL FROM calls WHERE id = $1`, a.CallID).Scan(&waits)
	if waits {
		planned.CallID = a.CallID
	}
	return a, planned, err
}

// bringForward has what is planned made now, because the client asks again. A
// recall becomes the call n.CallID, which is this node's to make. A first
// attempt has its call, and is due from now on. If another node has begun it
// since, there is nothing left to do.
func (s *Store) bringForward(ctx context.Context, tx *Tx, n NewCallback, planned Recall, client string, now time.Time) (made started, err error) {
	if planned.CallID != "" {
		err = moveRecall(ctx, tx, planned, now)
	} else {
		made, err = s.startRecall(ctx, tx, planned, n.CallID)
	}
	if errors.Is(err, ErrNotScheduled) {
		return started{}, nil
	}
	if err != nil {
		return made, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO asked_again (account_id, callback_id, widget, client, client_ip, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		n.Account, planned.CallbackID, n.Widget.Name, client, n.Packet.ClientIP, now.UnixMilli())
	return made, err
}

// overRate refuses the request if one of the widget's rates is used up. What
// was refused, or joined without anything being made for it, does not count.
func overRate(ctx context.Context, q querier, n NewCallback, client string, now time.Time) (Verdict, error) {
	for _, r := range []struct {
		rate         *directory.Rate
		column, from string
	}{
		{n.Widget.RatePerClient, "client", client},
		{n.Widget.RatePerAddress, "client_ip", n.Packet.ClientIP},
	} {
		if r.rate == nil || r.from == "" {
			continue
		}
		var count int
		err := q.QueryRowContext(ctx, rateSQL(r.column), n.Account, n.Widget.Name, r.from,
			now.Add(-time.Duration(r.rate.Per)).UnixMilli(), r.rate.Count).Scan(&count)
		if err != nil {
			return Verdict{}, err
		}
		if count >= r.rate.Count {
			return Verdict{call.NotAllowed, fmt.Sprintf("%s has had %d requests within %s, which is the most", r.from, count, r.rate.Per)}, nil
		}
	}
	return Verdict{}, nil
}

func rateSQL(column string) string {
	return fmt.Sprintf(`
		SELECT COUNT(*) FROM (
			SELECT 1 FROM callbacks
			WHERE account_id = $1 AND widget = $2 AND widget <> '' AND %[1]s = $3 AND %[1]s <> '' AND created_at > $4 AND NOT refused
			UNION ALL
			SELECT 1 FROM asked_again
			WHERE account_id = $1 AND widget = $2 AND %[1]s = $3 AND %[1]s <> '' AND created_at > $4
			LIMIT $5
		) AS recent`, column)
}

// endAtOnce ends the call that was just created as the verdict says.
func (s *Store) endAtOnce(ctx context.Context, tx *Tx, c *call.Call, v Verdict) (call.Event, error) {
	ended := call.Event{Seq: c.LastSeq + 1, At: c.StartedAt, CallID: c.ID, Type: call.Ended, Status: &v.Status, Reason: v.Reason}
	if err := insertEvent(ctx, tx, c.Account, ended); err != nil {
		return ended, err
	}
	c.Apply(ended)
	if err := saveCall(ctx, tx, *c, s.node); err != nil {
		return ended, err
	}
	return ended, s.journal.follow(ctx, tx, s.journal.onEvent(), *c, ended)
}
