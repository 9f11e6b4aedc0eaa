package wav

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/media/audio"
)

// file builds a WAV file of one encoding with a chunk of odd size before the
// sound.
func file(tag uint16, channels, rate int, sound []byte) []byte {
	h := header(nil, tag, channels, rate, len(sound))
	at := len(h) - 8
	return append(append(append([]byte{}, h[:at]...), "LIST\x03\x00\x00\x00abc\x00"...), append(h[at:], sound...)...)
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	want := &audio.Clip{Rate: 22050, Samples: []int16{0, 1, -1, math.MaxInt16, math.MinInt16}}
	var b bytes.Buffer
	if err := Write(&b, want); err != nil {
		t.Fatal(err)
	}
	got, err := Read(iotest.OneByteReader(&b))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEncodingsAndChannelsAreRead(t *testing.T) {
	extensible := file(tagPCM, 1, 8000, []byte{1, 0, 2, 0})
	ext := make([]byte, 24)
	ext[0], ext[8] = 22, tagPCM
	extensible = bytes.Replace(extensible, []byte("fmt \x10\x00\x00\x00\x01\x00"), []byte("fmt \x28\x00\x00\x00\xfe\xff"), 1)
	extensible = append(append(append([]byte{}, extensible[:36]...), ext...), extensible[36:]...)
	for name, c := range map[string]struct {
		file []byte
		want []int16
	}{
		"PCM":            {file(tagPCM, 1, 8000, []byte{1, 0, 0xff, 0xff}), []int16{1, -1}},
		"PCM stereo":     {file(tagPCM, 2, 8000, []byte{10, 0, 30, 0, 0xff, 0x7f, 0xff, 0x7f}), []int16{20, math.MaxInt16}},
		"PCM extensible": {extensible, []int16{1, 2}},
		"A-law":          {file(tagALaw, 1, 8000, []byte{0xd5, 0x55, 0xaa}), []int16{8, -8, 32256}},
		"µ-law":          {file(tagULaw, 1, 8000, []byte{0xff, 0x80}), []int16{0, 32124}},
		"A-law stereo":   {file(tagALaw, 2, 8000, []byte{0xd5, 0x55}), []int16{0}},
		"half a sample":  {file(tagPCM, 1, 8000, []byte{1, 0, 7}), []int16{1}},
		"no sound":       {file(tagPCM, 1, 8000, nil), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Read(bytes.NewReader(c.file))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&audio.Clip{Rate: 8000, Samples: c.want}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSizesInTheHeaderAreNotTrusted(t *testing.T) {
	for _, size := range []uint32{0, math.MaxUint32, 1 << 30} {
		b := file(tagPCM, 1, 8000, []byte{1, 0, 2, 0})
		binary.LittleEndian.PutUint32(b[len(b)-8:], size)
		got, err := Read(bytes.NewReader(b))
		if err != nil || len(got.Samples) != 2 {
			t.Errorf("size %#x: %v, %v", size, got, err)
		}
	}
}

func TestWhatIsNoWAVIsRefused(t *testing.T) {
	good := file(tagPCM, 1, 8000, []byte{1, 0})
	for name, b := range map[string][]byte{
		"nothing":     nil,
		"MP3":         []byte("ID3\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
		"no data":     good[:40],
		"no rate":     bytes.Replace(good, []byte{0x40, 0x1f, 0, 0}, make([]byte, 4), 1),
		"no channels": bytes.Replace(good, []byte{1, 0, 1, 0}, []byte{1, 0, 0, 0}, 1),
		"24 bits":     bytes.Replace(good, []byte{2, 0, 16, 0}, []byte{3, 0, 24, 0}, 1),
		"float":       bytes.Replace(good, []byte{1, 0, 1, 0}, []byte{3, 0, 1, 0}, 1),
	} {
		if clip, err := Read(bytes.NewReader(b)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v, %v", name, clip, err)
		}
	}
}

func TestErrorOfTheReaderIsKept(t *testing.T) {
	b := file(tagPCM, 1, 8000, []byte{1, 0})
	for n := range len(b) {
		if _, err := Read(io.MultiReader(bytes.NewReader(b[:n]), iotest.ErrReader(os.ErrClosed))); !errors.Is(err, os.ErrClosed) {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
}

func TestStereoIsALawWithSizesAtTheEnd(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "stereo.wav"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := NewStereo(f, 16000)
	for range 3 {
		if err := s.Write([]int16{8, 8}, []int16{-8, 32256, 5}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	sound := bytes.Repeat([]byte{0xd5, 0x55, 0xd5, 0xaa}, 3)
	if diff := cmp.Diff(header(nil, tagALaw, 2, 16000, 12), b[:len(b)-12]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(sound, b[len(b)-12:]); diff != "" {
		t.Error(diff)
	}
	if got := binary.LittleEndian.Uint32(b[4:]); int(got) != len(b)-8 {
		t.Errorf("the RIFF header says %d of %d", got, len(b)-8)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte{})
	f.Add(file(tagPCM, 1, 8000, []byte{1, 0, 2, 0}))
	f.Add(file(tagPCM, 2, 44100, []byte{1, 0, 2, 0, 5}))
	f.Add(file(tagALaw, 2, 16000, []byte{1, 2}))
	f.Add(file(tagULaw, 8, 8000, make([]byte, 20)))
	f.Add([]byte("RIFF\xff\xff\xff\xffWAVELIST\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		clip, err := Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		if len(clip.Samples) > len(b) || clip.Rate < 1 {
			t.Fatalf("%d samples at %d Hz of %d bytes", len(clip.Samples), clip.Rate, len(b))
		}
		var again bytes.Buffer
		if err := Write(&again, clip); err != nil {
			t.Fatal(err)
		}
		same, err := Read(&again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(clip, same); diff != "" {
			t.Fatal(diff)
		}
	})
}
