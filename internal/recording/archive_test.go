package recording

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perezvon/perezvon/internal/call"
	"github.com/perezvon/perezvon/internal/media"
)

// A crash costs at most the last second, also of a leg that has gone quiet.
func TestAQuietLegIsWrittenWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := NewArchive(t.TempDir(), nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go a.Watch(ctx)
		id := call.NewID()
		tape, err := a.Open(id)
		if err != nil {
			t.Fatal(err)
		}
		tape.Start(time.Now())
		tape.Track("c1", Left).Packet(time.Now(), media.PCMA, 1, 160, make([]byte, 160))
		size := func() int64 {
			files, _ := filepath.Glob(filepath.Join(a.Folder(id), trackPattern))
			if len(files) != 1 {
				return 0
			}
			info, err := os.Stat(files[0])
			if err != nil {
				t.Fatal(err)
			}
			return info.Size()
		}
		time.Sleep(watchEvery + time.Millisecond)
		synctest.Wait()
		if got := size(); got < 160 {
			t.Errorf("after a second %d bytes are written, want the packet of 160", got)
		}
		if err := tape.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(watchEvery)
		synctest.Wait()
		if n := len(a.tapes()); n != 0 {
			t.Errorf("%d closed tapes are still watched", n)
		}
	})
}

func TestDiscardLeavesTheRecording(t *testing.T) {
	a := NewArchive(t.TempDir(), nil)
	id := call.NewID()
	tape, err := a.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	now := began(second)
	tape.Start(now)
	for i := range 50 {
		tape.Track("c1", Left).Packet(now.Add(time.Duration(i)*20*time.Millisecond), media.PCMA, 1, uint32(i*160), make([]byte, 160))
	}
	if err := tape.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Render(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := a.Discard(id); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(a.Folder(id), "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 2 {
		t.Errorf("left are %v, want the recording and its peaks", left)
	}
	if err := a.Discard(id); err != nil {
		t.Errorf("a second Discard: %v", err)
	}
}
