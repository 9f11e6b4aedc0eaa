package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/perezvon/perezvon/internal/call"
)

// run is the writing goroutine.
func (j *Journal) run() {
	defer close(j.stopped)
	pause, failed := firstPause, 0
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	for {
		group, closed := j.take()
		if len(group) == 0 && failed == 0 {
			if closed {
				return
			}
			select {
			case <-j.wake:
				j.linger()
				continue
			case <-beat.C:
			}
		}
		if j.commit(group) == nil {
			pause, failed = firstPause, 0
			continue
		}
		if failed++; closed && failed > triesAtClose {
			return
		}
		time.Sleep(pause)
		pause = min(2*pause, longestPause)
	}
}

// linger gives others the time to join the group, unless somebody waits for it.
func (j *Journal) linger() {
	t := time.NewTimer(gather)
	defer t.Stop()
	select {
	case <-j.hurry:
	case <-t.C:
	}
}

// take removes the next group from what waits.
func (j *Journal) take() (group []change, closed bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := min(len(j.waiting), largestGroup)
	group = j.waiting[:n:n]
	j.waiting = j.waiting[n:]
	if len(j.waiting) == 0 {
		j.waiting = nil // lets go of the array
	}
	return group, j.closed
}

// commit stores the group and tells everybody. On failure the events go back
// to the head of the queue and those who wait get the error. An empty group is
// a sign of life, and tries whether the database is well.
func (j *Journal) commit(group []change) error {
	w := groupWrite{journal: j, group: group, hook: j.onEvent()}
	err := w.store()
	for err != nil && w.refused >= 0 {
		// The database is well; one event cannot be stored, now or ever.
		e := group[w.refused].event
		j.store.log.Error("event refused", "call", e.CallID, "type", e.Type, "error", err)
		w.dropped = append(w.dropped, w.refused)
		err = w.store()
	}

	if err != nil {
		j.fail(group, err)
		return err
	}
	stored := w.events()
	j.mu.Lock()
	j.failure = nil
	j.stats.Groups++
	j.stats.Committed += int64(len(stored))
	j.stats.Lost += int64(len(w.dropped))
	j.mu.Unlock()
	for i := range group {
		if c := &group[i]; c.committed != nil && w.results[i] == nil {
			c.committed()
		}
	}
	j.publish(stored)
	for i := range group {
		if c := &group[i]; !c.isEvent() {
			c.done <- w.results[i]
		}
	}
	for id, l := range w.touched {
		if !l.EndedAt.IsZero() {
			delete(j.live, id)
		}
	}
	return nil
}

// fail puts the events back. All who wait are told, those behind the group too:
// what is appended before them is not stored.
func (j *Journal) fail(group []change, err error) {
	clear(j.live) // may be ahead of what is stored; events will make them anew
	j.mu.Lock()
	defer j.mu.Unlock()
	events := make([]change, 0, len(group)+len(j.waiting))
	for _, list := range [][]change{group, j.waiting} {
		for i := range list {
			if list[i].isEvent() {
				events = append(events, list[i])
			} else {
				list[i].done <- err
			}
		}
	}
	if j.failure == nil {
		j.store.log.Error("database refuses to commit, trying again", "events", len(events), "error", err)
	}
	j.waiting, j.failure = events, err
	j.stats.Failures++
}

// groupWrite is one try to store a group.
type groupWrite struct {
	journal *Journal
	group   []change
	hook    Hook
	dropped []int   // events that the database refuses
	late    []int   // ends of calls that had ended
	refused int     // after an error: the event that it refused, or -1
	results []error // of the changes that somebody waits for
	touched map[string]*call.Call
	began   map[string]int64 // LastSeq of the touched calls as they were stored before
}

func (w *groupWrite) store() error {
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	w.late = nil
	w.refused, w.results = -1, make([]error, len(w.group))
	w.touched, w.began = make(map[string]*call.Call), make(map[string]int64)
	err := w.journal.store.transact(ctx, func(ctx context.Context, tx *Tx) error {
		for i := range w.group {
			if err := w.one(ctx, tx, i); err != nil {
				return err
			}
		}
		if len(w.group) == 0 {
			return w.journal.store.beat(ctx, tx)
		}
		for id, l := range w.touched {
			if err := saveCall(ctx, tx, *l, w.journal.store.node); err != nil {
				return err
			}
			if err := saveContacts(ctx, tx, *l, w.began[id]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		clear(w.journal.live)
	}
	return err
}

func (w *groupWrite) one(ctx context.Context, tx *Tx, i int) error {
	c := &w.group[i]
	if c.write != nil {
		var broken error
		w.results[i], broken = tx.within(ctx, c.write)
		return broken
	}
	if !c.isEvent() || w.wasDropped(i) {
		return nil
	}
	err := w.event(ctx, tx, i)
	if err != nil && (errors.Is(err, ErrNotFound) || w.journal.store.dialect.refused(err)) {
		w.refused = i
	}
	return err
}

func (w *groupWrite) wasDropped(i int) bool { return slices.Contains(w.dropped, i) }

// isStored: an event of the group that is on the timeline after the commit.
func (w *groupWrite) isStored(i int) bool {
	return w.group[i].isEvent() && !w.wasDropped(i) && !slices.Contains(w.late, i)
}

// events are those that were stored.
func (w *groupWrite) events() []call.Event {
	var list []call.Event
	for i := range w.group {
		if w.isStored(i) {
			e := w.group[i].event
			e.Account = w.touched[e.CallID].Account
			list = append(list, e)
		}
	}
	return list
}

// event stores one event and what follows from it, apart from the call's row,
// which is saved once a group.
func (w *groupWrite) event(ctx context.Context, tx *Tx, i int) error {
	e := &w.group[i].event
	l, err := w.call(ctx, tx, *e)
	if err != nil {
		return fmt.Errorf("call %s: %w", e.CallID, err)
	}
	if e.Seq != 0 && e.Seq <= l.LastSeq {
		return nil // a try that seemed to fail had stored it
	}
	if e.Type == call.Ended && !l.EndedAt.IsZero() {
		w.late = append(w.late, i) // a call ends once
		return nil
	}
	e.Seq = l.LastSeq + 1
	// Before the event is stored: its end tells what follows.
	if err := w.journal.store.followCallback(ctx, tx, *l, e); err != nil {
		return err
	}
	if err := insertEvent(ctx, tx, l.Account, *e); err != nil {
		return err
	}
	l.Apply(*e)
	return w.journal.follow(ctx, tx, w.hook, *l, *e)
}

// follow lets the hook store what follows from an event. The error tells that
// the transaction cannot go on.
func (j *Journal) follow(ctx context.Context, tx *Tx, hook Hook, c call.Call, e call.Event) error {
	if hook == nil {
		return nil
	}
	err, broken := tx.within(ctx, func(ctx context.Context, tx *Tx) error { return hook(ctx, tx, c, e) })
	if err != nil {
		j.store.log.Error("follow-up of event failed", "call", e.CallID, "type", e.Type, "error", err)
	}
	return broken
}

// call is the event's call as far as it was stored. A call.created makes it,
// if its Account says whose it is.
func (w *groupWrite) call(ctx context.Context, tx *Tx, e call.Event) (*call.Call, error) {
	l, ok := w.journal.live[e.CallID]
	if !ok {
		c, err := replay(ctx, tx, e.CallID)
		if errors.Is(err, ErrNotFound) && e.Type == call.Created && e.Account != "" {
			c, err = w.create(ctx, tx, e)
		}
		if err != nil {
			return nil, err
		}
		l = &c
		w.journal.live[e.CallID] = l
	}
	if w.touched[e.CallID] == nil {
		w.touched[e.CallID], w.began[e.CallID] = l, l.LastSeq
	}
	return l, nil
}

// create inserts the row that the event's own row refers to.
func (w *groupWrite) create(ctx context.Context, tx *Tx, e call.Event) (call.Call, error) {
	fresh := call.Call{Account: e.Account}
	row := fresh
	e.Seq = 1
	row.Apply(e)
	return fresh, saveCall(ctx, tx, row, w.journal.store.node)
}

const insertEventSQL = `INSERT INTO events (call_id, seq, account_id, event) VALUES ($1, $2, $3, $4)`

func insertEvent(ctx context.Context, tx *Tx, account string, e call.Event) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return tx.run(ctx, insertEventSQL, e.CallID, e.Seq, account, string(b))
}
