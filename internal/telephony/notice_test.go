package telephony

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestWhoWantsToKnowOfAKeyIsToldOnce(t *testing.T) {
	q := NewDigits()
	told := 0
	q.WhenReady(func() { told++ })
	if told != 0 {
		t.Error("told of an empty queue")
	}
	q.Push(Digit{Key: '1'})
	q.Push(Digit{Key: '2'})
	if told != 1 {
		t.Errorf("told %d times, not once", told)
	}
	q.WhenReady(func() { told++ })
	if told != 2 {
		t.Error("not told at once of what waits already")
	}
	q.Drain()
	stop := q.WhenReady(func() { told++ })
	kept := false
	q.WhenReady(func() { kept = true })
	stop()
	q.Push(Digit{Key: '3'})
	if told != 2 || !kept {
		t.Errorf("told %d times after stop, the other: %v", told, kept)
	}
}

func TestWhoWantsToKnowOfHoldIsToldWhenItIsOn(t *testing.T) {
	var f Flag
	told := 0
	f.WhenOn(func() { told++ })
	f.Set(false)
	if told != 0 {
		t.Error("told of a flag that is off")
	}
	f.Set(true)
	f.Set(false)
	f.Set(true)
	if told != 1 {
		t.Errorf("told %d times, not once", told)
	}
	f.WhenOn(func() { told++ })
	if told != 2 {
		t.Error("not told at once of a flag that is on")
	}
	f.Set(false)
	f.WhenOn(func() { told++ })()
	f.Set(true)
	if told != 2 {
		t.Error("told after stop")
	}
}

// However the two meet, a key is never missed and never told of twice.
func TestAKeyAndWhoWantsToKnowOfItMeet(t *testing.T) {
	for range 1000 {
		q := NewDigits()
		var told atomic.Int32
		var both sync.WaitGroup
		both.Go(func() { q.Push(Digit{Key: '1'}) })
		both.Go(func() { q.WhenReady(func() { told.Add(1) }) })
		both.Wait()
		if n := told.Load(); n != 1 {
			t.Fatalf("told %d times, not once", n)
		}
	}
}
