package notice

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/directory"
	"github.com/perezvon/perezvon/internal/invalid"
	"github.com/perezvon/perezvon/internal/media/audio"
	"github.com/perezvon/perezvon/internal/media/dtmf"
	"github.com/perezvon/perezvon/internal/media/resample"
	"github.com/perezvon/perezvon/internal/media/tone"
	"github.com/perezvon/perezvon/internal/media/wav"
	"github.com/perezvon/perezvon/internal/speech"
	"github.com/perezvon/perezvon/internal/store"
	"github.com/perezvon/perezvon/internal/store/storetest"
)

const mine = storetest.Mine

// mute speaks only what ships.
type mute struct{}

func (mute) Check(_ context.Context, v speech.Voice, text string) error {
	if strings.Contains(text, "x") {
		return &speech.UnavailableError{Text: text, Voice: v, Hint: "install something"}
	}
	return nil
}

// shelf has the operators 101 to 103.
func shelf(t *testing.T) (*Shelf, string) {
	t.Helper()
	db := storetest.Open(t)
	for _, e := range []string{"101", "102", "103"} {
		if _, err := db.PutOperator(t.Context(), mine, directory.Operator{Extension: e}); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "notices")
	s, err := Open(dir, db, mute{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// said is a tone with silence around it.
func said(freq float64, before, sounds, after time.Duration, rate int) *audio.Clip {
	clip := &audio.Clip{Rate: rate}
	clip.Samples = append(clip.Samples, make([]int16, samples(before, rate))...)
	clip.Samples = append(clip.Samples, tone.Sine(freq, sounds, rate, 8000).Samples...)
	clip.Samples = append(clip.Samples, make([]int16, samples(after, rate))...)
	return clip
}

func about(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if d := got - want; d < -20*time.Millisecond || d > 20*time.Millisecond {
		t.Errorf("%s: %v, want about %v", what, got, want)
	}
}

func TestWhatAnOperatorDictatedIsKeptAndOn(t *testing.T) {
	for _, rate := range []int{8000, 16000} {
		s, dir := shelf(t)
		n, kept, err := s.Record(t.Context(), mine, "101", said(440, time.Second, 2*time.Second, time.Second, rate))
		if err != nil || !kept || !n.Enabled || n.Source != directory.NoticeRecorded {
			t.Fatalf("%+v %v %v", n, kept, err)
		}
		about(t, "silence is trimmed at both ends", n.Length, 2*time.Second+airBefore+airAfter)
		got, found, err := s.Find(t.Context(), mine, "101")
		if err != nil || !found {
			t.Fatal(found, err)
		}
		if d := cmp.Diff(n, got); d != "" {
			t.Error(d)
		}
		clip, err := s.Sound(t.Context(), got)
		must(t, err)
		if clip.Rate != rate || tone.Strength(clip.Samples, rate, 440) < 0.9 {
			t.Errorf("%d Hz, %.2f", clip.Rate, tone.Strength(clip.Samples, rate, 440))
		}
		again, ours, err := s.Clip(t.Context(), clip.Key)
		if err != nil || !ours || !slices.Equal(again.Samples, clip.Samples) {
			t.Errorf("by its key: %v %v", ours, err)
		}
		if names := files(t, dir); len(names) != 1 || names[0] != n.File {
			t.Errorf("%v", names)
		}
	}
}

func TestTheToneOfTheKeyThatEndedItIsCutOff(t *testing.T) {
	for _, rate := range []int{8000, 16000} {
		s, _ := shelf(t)
		clip := said(440, 0, 2*time.Second, 0, rate)
		key := dtmf.Generate('5', 60*time.Millisecond)
		clip.Samples = append(clip.Samples, resample.Convert(key, dtmf.Rate, rate)...)
		n, _, err := s.Record(t.Context(), mine, "101", clip)
		must(t, err)
		kept, err := s.Sound(t.Context(), n)
		must(t, err)
		about(t, "length", n.Length, 2*time.Second)
		end := kept.Samples[len(kept.Samples)-samples(60*time.Millisecond, rate):]
		if s := tone.Strength(end, rate, 440); s < 0.8 {
			t.Errorf("%d Hz: the end is not what was said: %.2f", rate, s)
		}
	}
}

func TestSilenceIsNoNoticeAndTheOneBeforeStays(t *testing.T) {
	s, dir := shelf(t)
	first, _, err := s.Record(t.Context(), mine, "101", said(440, 0, time.Second, 0, 8000))
	must(t, err)
	noise := make([]int16, 8000)
	for i := range noise {
		noise[i] = int16(40 * math.Sin(float64(i)))
	}
	for name, clip := range map[string]*audio.Clip{
		"nothing": {Rate: 8000}, "silence": tone.Silence(time.Second), "noise": {Rate: 8000, Samples: noise}, "a click": said(440, time.Second, 15*time.Millisecond, time.Second, 8000),
	} {
		if _, kept, err := s.Record(t.Context(), mine, "101", clip); kept || err != nil {
			t.Errorf("%s: %v %v", name, kept, err)
		}
	}
	if names := files(t, dir); !slices.Equal(names, []string{first.File}) {
		t.Errorf("%v", names)
	}
}

func TestReplacingAndDeletingLeaveNoFile(t *testing.T) {
	s, dir := shelf(t)
	ctx := t.Context()
	for range 3 {
		_, _, err := s.Record(ctx, mine, "101", said(440, 0, time.Second, 0, 8000))
		must(t, err)
	}
	if names := files(t, dir); len(names) != 1 {
		t.Errorf("%v", names)
	}
	_, err := s.Speak(ctx, mine, "101", "Я в отпуске", true)
	must(t, err)
	if names := files(t, dir); len(names) != 0 {
		t.Errorf("a text has no file: %v", names)
	}
	_, _, err = s.Record(ctx, mine, "101", said(440, 0, time.Second, 0, 8000))
	must(t, err)
	deleted, err := s.Delete(ctx, mine, "101")
	if !deleted || err != nil || len(files(t, dir)) != 0 {
		t.Errorf("%v %v %v", deleted, err, files(t, dir))
	}
	deleted, err = s.Delete(ctx, mine, "101")
	if deleted || err != nil {
		t.Errorf("%v %v", deleted, err)
	}
	if _, found, err := s.Find(ctx, mine, "101"); found || err != nil {
		t.Errorf("%v %v", found, err)
	}
}

// The row is what counts: a process that dies before it leaves a file that is
// nobody's, one that dies after it has lost nothing.
func TestWhatACrashLeftIsSwept(t *testing.T) {
	s, dir := shelf(t)
	n, _, err := s.Record(t.Context(), mine, "101", said(440, 0, time.Second, 0, 8000))
	must(t, err)
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{"orphan.wav", "torn.wav.part", "fresh.wav.part"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600))
		if name != "fresh.wav.part" {
			must(t, os.Chtimes(filepath.Join(dir, name), old, old))
		}
	}
	must(t, os.Chtimes(filepath.Join(dir, n.File), old, old))
	must(t, s.sweep(t.Context()))
	want := []string{"fresh.wav.part", n.File}
	got := files(t, dir)
	slices.Sort(want)
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestANoticeThatIsNotStoredLeavesNoFile(t *testing.T) {
	s, dir := shelf(t)
	for _, hostile := range []string{"../101", "999", `1"; rm -rf /`, "101/../102", "１０１", ""} {
		if _, _, err := s.Record(t.Context(), mine, hostile, said(440, 0, time.Second, 0, 8000)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%q: %v", hostile, err)
		}
		if _, err := s.Speak(t.Context(), mine, hostile, "а", true); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%q: %v", hostile, err)
		}
	}
	if names := files(t, dir); len(names) != 0 {
		t.Errorf("%v", names)
	}
}

// A name in a row, or in a key of a recording, that is no file of the folder
// opens nothing, whoever wrote it.
func TestNothingOutsideTheFolderIsOpened(t *testing.T) {
	s, dir := shelf(t)
	must(t, os.WriteFile(filepath.Join(filepath.Dir(dir), "secret.wav"), wavFile(said(440, 0, time.Second, 0, 8000)), 0o600))
	must(t, os.Symlink("../secret.wav", filepath.Join(dir, "link.wav")))
	for _, name := range []string{"../secret.wav", filepath.Join(dir, "..", "secret.wav"), "link.wav", "", "."} {
		if _, err := s.Sound(t.Context(), directory.Notice{File: name}); err == nil {
			t.Errorf("%q was opened", name)
		}
		if _, _, err := s.Clip(t.Context(), keyPrefix+name); err == nil {
			t.Errorf("%q was opened", name)
		}
	}
	if _, ours, err := s.Clip(t.Context(), "tone:beep"); ours || err != nil {
		t.Errorf("%v %v", ours, err)
	}
}

func wavFile(clip *audio.Clip) []byte {
	var b bytes.Buffer
	_ = wav.Write(&b, clip) // a buffer takes everything
	return b.Bytes()
}

func TestFilesThatMayBeUploaded(t *testing.T) {
	s, _ := shelf(t)
	for name, tt := range map[string]struct {
		clip *audio.Clip
		rate int
	}{
		"8 kHz":    {said(440, time.Second, time.Second, time.Second, 8000), 8000},
		"16 kHz":   {said(440, 0, time.Second, 0, 16000), 16000},
		"44.1 kHz": {said(440, 0, time.Second, 0, 44100), 16000},
		"11 kHz":   {said(440, 0, time.Second, 0, 11025), 8000},
	} {
		n, err := s.Upload(t.Context(), mine, "101", WAV, wavFile(tt.clip), false)
		must(t, err)
		about(t, name, n.Length, time.Second+min(time.Duration(len(tt.clip.Samples))*time.Second/time.Duration(tt.clip.Rate)-time.Second, airBefore+airAfter))
		clip, err := s.Sound(t.Context(), n)
		must(t, err)
		if n.Enabled || clip.Rate != tt.rate || tone.Strength(clip.Samples, clip.Rate, 440) < 0.9 {
			t.Errorf("%s: %+v, %d Hz", name, n, clip.Rate)
		}
	}
	for name, tt := range map[string]struct {
		kind    string
		content []byte
	}{
		"no WAV": {WAV, []byte("MZ\x00")}, "empty": {WAV, nil}, "silence": {WAV, wavFile(tone.Silence(time.Second))},
		"longer than 5 minutes": {WAV, wavFile(&audio.Clip{Rate: 8000, Samples: make([]int16, 8000*301)})},
		"no MP3":                {MP3, []byte("#EXTM3U\nfile:///etc/passwd\n")},
	} {
		var bad invalid.Error
		if _, err := s.Upload(t.Context(), mine, "101", tt.kind, tt.content, true); !errors.As(err, &bad) || bad[0].Path != "audio" {
			t.Errorf("%s: %v", name, err)
		}
	}
	var unsupported *UnsupportedError
	if _, err := s.Upload(t.Context(), mine, "101", "video/mp4", nil, true); !errors.As(err, &unsupported) {
		t.Errorf("%v", err)
	}
}

// Each program that is there reads MP3; without any the uploader is told which
// to install.
func TestMP3NeedsAProgram(t *testing.T) {
	s, _ := shelf(t)
	lame, err := exec.LookPath("lame")
	must(t, err)
	in := filepath.Join(t.TempDir(), "in.wav")
	must(t, os.WriteFile(in, wavFile(said(440, 0, 2*time.Second, 0, 16000)), 0o600))
	mp3, err := exec.CommandContext(t.Context(), lame, "--quiet", in, "-").Output()
	must(t, err)
	for _, program := range []string{"lame", "ffmpeg"} {
		path, err := exec.LookPath(program)
		must(t, err)
		only := t.TempDir()
		must(t, os.Symlink(path, filepath.Join(only, program)))
		t.Setenv("PATH", only)
		n, err := s.Upload(t.Context(), mine, "101", MP3, mp3, true)
		must(t, err)
		if n.Length < 1900*time.Millisecond || n.Length > 2300*time.Millisecond {
			t.Errorf("%s: %v", program, n.Length)
		}
		clip, err := s.Sound(t.Context(), n)
		must(t, err)
		if s := tone.Strength(clip.Samples, clip.Rate, 440); s < 0.8 {
			t.Errorf("%s: %.2f", program, s)
		}
		must(t, os.Remove(filepath.Join(only, program)))
		var unsupported *UnsupportedError
		if _, err := s.Upload(t.Context(), mine, "101", MP3, mp3, true); !errors.As(err, &unsupported) || !strings.Contains(err.Error(), "install lame") {
			t.Errorf("%v", err)
		}
		t.Setenv("PATH", filepath.Dir(lame)+":"+filepath.Dir(path))
	}
}

func TestATextThatNothingHereCanSpeakIsRefused(t *testing.T) {
	s, _ := shelf(t)
	for _, text := range []string{"", "  ", "x"} {
		var bad invalid.Error
		if _, err := s.Speak(t.Context(), mine, "101", text, true); !errors.As(err, &bad) || bad[0].Path != "text" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	s, _ := shelf(t)
	ctx := t.Context()
	yes, no := true, false
	many := func(o Order, wantDone string, wantFailed ...Failure) {
		t.Helper()
		done, failed, err := s.Many(ctx, mine, o)
		must(t, err)
		if strings.Join(done, " ") != wantDone || !slices.Equal(failed, wantFailed) {
			t.Errorf("%+v: done %v, failed %v", o, done, failed)
		}
	}
	many(Order{Extensions: "101", Text: "а", Enabled: &no}, "101")
	many(Order{Extensions: "101-102", Enabled: &yes}, "101", Failure{"102", "there is no notice"})
	many(Order{Extensions: "102-104", Text: "б"}, "102 103", Failure{"104", "there is no such operator"})
	all, err := s.All(ctx, mine)
	must(t, err)
	for _, n := range all {
		if !n.Enabled || n.Text == "" {
			t.Errorf("%+v", n)
		}
	}
	many(Order{Extensions: "101,103", Enabled: &no}, "101 103")
	many(Order{Extensions: "101-102", Delete: true}, "101 102")
	if all, err = s.All(ctx, mine); err != nil || len(all) != 1 || all[0].Extension != "103" || all[0].Enabled {
		t.Errorf("%+v %v", all, err)
	}
	for field, o := range map[string]Order{
		"extensions": {Extensions: "101;102", Enabled: &yes}, "enabled": {Extensions: "101"}, "text": {Extensions: "101", Text: "x"},
		"delete": {Extensions: "101", Delete: true, Enabled: &yes},
	} {
		var bad invalid.Error
		if _, _, err := s.Many(ctx, mine, o); !errors.As(err, &bad) || bad[0].Path != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}
