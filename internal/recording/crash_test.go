package recording

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/media"
	"github.com/perezvon/perezvon/internal/media/tone"
)

// TestMain is also the child of the next test: it records ten seconds and kills
// itself in the middle of its work.
func TestMain(m *testing.M) {
	dir := os.Getenv("PEREZVON_TEST_KILLED_TAPE")
	if dir == "" {
		os.Exit(m.Run())
	}
	tape, err := Create(dir)
	if err != nil {
		panic(err)
	}
	zero := time.Now()
	tape.Start(zero)
	m1 := tape.Track("m1", Right)
	m1.PlayStarted(zero, "ring", true, 0)
	phone{codec: media.PCMA, ssrc: 1, sound: humming(media.PCMA, 500, 8000)}.speak(tape.Track("c1", Left), zero, 0, 10*time.Second)
	phone{codec: media.PCMA, ssrc: 1, sound: humming(media.PCMA, 900, 8000)}.speak(m1, zero, 0, 5*time.Second)
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

func TestKillCostsAtMostTheLastSecond(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "call")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "PEREZVON_TEST_KILLED_TAPE="+dir)
	out, err := child.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child ended by itself: %v\n%s", err, out)
	}
	res, s := render(t, dir, clips{"ring": tone.Ringback()})
	if res.Duration < 9*time.Second || res.Duration > 10100*time.Millisecond {
		t.Errorf("%v are left of 10 s", res.Duration)
	}
	s.hears(t, Left, 100*time.Millisecond, 8900*time.Millisecond, 500, 0.95)
	s.hears(t, Right, 100*time.Millisecond, 900*time.Millisecond, 900, 0.4)
	s.hears(t, Right, 100*time.Millisecond, 900*time.Millisecond, 425, 0.4)
	s.hears(t, Right, 1100*time.Millisecond, 4*time.Second, 900, 0.95)
	s.hears(t, Right, 5100*time.Millisecond, 5900*time.Millisecond, 425, 0.95)
}

func TestTapeCutAnywhereStillRenders(t *testing.T) {
	tape, dir := create(t)
	zero := began(time.Second)
	tape.Start(zero)
	c := tape.Track("c1", Left)
	c.PlayStarted(zero, "a", false, 0)
	phone{codec: media.PCMA, ssrc: 1, sound: humming(media.PCMA, 500, 8000), loss: 0.2}.speak(c, zero, 0, 200*time.Millisecond)
	c.PlayEnded(zero.Add(200*time.Millisecond), "a")
	tape.Close()
	whole := readFile(t, filepath.Join(dir, "01-c1.track"))
	marks := readFile(t, filepath.Join(dir, tapeFile))
	_, full := render(t, dir, clips{})

	check := func(what string, n int, damaged bool) {
		res, err := Render(t.Context(), dir, clips{})
		if errors.Is(err, ErrEmpty) && damaged {
			return
		}
		if err != nil {
			t.Fatalf("%s at %d: %v", what, n, err)
		}
		// What is left is what there was.
		s := load(t, res.File)
		for i, x := range s.left {
			if i < len(full.left) && x != full.left[i] && x > 8 {
				t.Fatalf("%s at %d: sample %d is %d, was %d", what, n, i, x, full.left[i])
			}
		}
	}
	cuts := len(whole) / 7
	for i := range len(whole) {
		// Every byte of the first chunks, then some: each takes a rendering.
		if i > 400 && i%cuts != 0 {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, "01-c1.track"), whole[:i], 0o600); err != nil {
			t.Fatal(err)
		}
		check("cut", i, true)
	}
	for i := range whole {
		if i > 100 && i%cuts != 0 {
			continue
		}
		bad := []byte(string(whole))
		bad[i] ^= 0x41
		if err := os.WriteFile(filepath.Join(dir, "01-c1.track"), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		check("damage", i, true)
	}
	if err := os.WriteFile(filepath.Join(dir, "01-c1.track"), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := len(magic); i < len(marks); i++ {
		if err := os.WriteFile(filepath.Join(dir, tapeFile), marks[:i], 0o600); err != nil {
			t.Fatal(err)
		}
		check("cut marks", i, false)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestATapeIsNeverWrittenOver(t *testing.T) {
	_, dir := create(t)
	if _, err := Create(dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v", err)
	}
}

func TestTroubleWithTheDiskIsToldAtTheEnd(t *testing.T) {
	tape, dir := create(t)
	zero := began(4 * time.Second)
	tape.Start(zero)
	c := tape.Track("c1", Left)
	p := phone{codec: media.PCMA, ssrc: 1, sound: humming(media.PCMA, 500, 8000)}
	// A folder in the file's place: no write can succeed until it is gone.
	block := filepath.Join(dir, "01-c1.track")
	if err := os.Mkdir(block, 0o700); err != nil {
		t.Fatal(err)
	}
	p.speak(c, zero, 0, 2*time.Second)
	if err := os.Remove(block); err != nil {
		t.Fatal(err)
	}
	p.speak(c, zero, 2*time.Second, 4*time.Second)
	err := tape.Close()
	if err == nil || !strings.Contains(err.Error(), "leg c1") || !strings.Contains(err.Error(), "bytes lost") {
		t.Errorf("closed with %v", err)
	}
	if err := tape.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("closed again with %v", err)
	}
	_, s := render(t, dir, nil)
	s.silent(t, Left, 0, 1400*time.Millisecond)
	s.hears(t, Left, 2600*time.Millisecond, 3900*time.Millisecond, 500, 0.95)
}

func TestFlushWritesWhatAQuietLegLeft(t *testing.T) {
	tape, dir := create(t)
	zero := time.Now()
	tape.Start(zero)
	phone{codec: media.PCMA, ssrc: 1, sound: humming(media.PCMA, 500, 8000)}.speak(tape.Track("c1", Left), zero, 0, 300*time.Millisecond)
	if _, err := Render(t.Context(), dir, nil); !errors.Is(err, ErrEmpty) {
		t.Fatalf("it was written already: %v", err)
	}
	tape.Flush()
	res, _ := render(t, dir, nil)
	if res.Duration < 280*time.Millisecond {
		t.Errorf("%v of 300 ms", res.Duration)
	}
}

func TestSoundIsWrittenOnceASecond(t *testing.T) {
	// G.711 fills the buffer sooner; small packets with much silence do not.
	tape, dir := create(t)
	zero := time.Now()
	tape.Start(zero)
	c := tape.Track("c1", Left)
	for i := range 6 {
		c.Packet(zero.Add(time.Duration(i)*200*time.Millisecond), media.PCMA, 1, uint32(i*1600), make([]byte, 80))
	}
	if info, err := os.Stat(filepath.Join(dir, "01-c1.track")); err != nil || info.Size() < 6*80 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestNamesOfLegsCannotLeaveTheFolder(t *testing.T) {
	tape, dir := create(t)
	zero := began(time.Second)
	tape.Start(zero)
	for _, leg := range []string{"../x", "/etc/y", "", strings.Repeat("long", 100), "п1"} {
		tape.Track(leg, Right).Packet(zero, media.PCMA, 1, 1, make([]byte, 160))
		if tape.Track(leg, Right) != tape.Track(leg, Right) {
			t.Errorf("%q has two tracks", leg)
		}
	}
	if err := tape.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, trackPattern))
	if err != nil || len(files) != 5 {
		t.Errorf("%v, %v", files, err)
	}
}

func TestLegsRecordAtTheSameTime(t *testing.T) {
	tape, dir := create(t)
	zero := began(2 * time.Second)
	tape.Start(zero)
	done := make(chan struct{})
	for i := range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			track := tape.Track(fmt.Sprint("m", i/2), Right)
			if i%2 == 0 {
				for n := range 50 {
					track.PlayStarted(zero.Add(time.Duration(n)*time.Millisecond), "a", false, 0)
					track.PlayEnded(zero.Add(time.Duration(n)*time.Millisecond), "a")
					tape.Flush()
				}
				return
			}
			phone{codec: media.PCMA, ssrc: 1, sound: humming(media.PCMA, 500, 8000)}.speak(track, zero, 0, 2*time.Second)
		}()
	}
	for range 4 {
		<-done
	}
	if err := tape.Close(); err != nil {
		t.Fatal(err)
	}
	_, s := render(t, dir, clips{})
	s.hears(t, Right, 0, 2*time.Second, 500, 0.9)
}
