package wav_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/perezvon/perezvon/internal/media/g711"
	"github.com/perezvon/perezvon/internal/media/wav"
)

func TestAChannelIsReadPieceByPiece(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "stereo.wav"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var sides [2][]int16
	for i := range 5000 {
		sides[0] = append(sides[0], int16(i))
		sides[1] = append(sides[1], int16(-3*i))
	}
	w := wav.NewStereo(file, 16000)
	if err := errors.Join(w.Write(sides[0], sides[1]), w.Close()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	for side := range sides {
		c, err := wav.OpenChannel(bytes.NewReader(whole), side)
		if err != nil || c.Rate() != 16000 {
			t.Fatal(c, err)
		}
		if err := c.Skip(1000); err != nil {
			t.Fatal(err)
		}
		var got []int16
		p := make([]int16, 777)
		for {
			n, err := c.Read(p)
			got = append(got, p[:n]...)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		want := g711.DecodeALaw(nil, g711.EncodeALaw(nil, sides[side][1000:]))
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("channel %d: %s", side, d)
		}
	}
	if _, err := wav.OpenChannel(bytes.NewReader(whole), 2); !errors.Is(err, wav.ErrFormat) {
		t.Errorf("a channel that is not there: %v", err)
	}
	c, err := wav.OpenChannel(bytes.NewReader(whole[:1001]), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Skip(1 << 20); !errors.Is(err, io.EOF) {
		t.Errorf("skipped beyond the end: %v", err)
	}
	if n, err := c.Read(make([]int16, 10)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("read beyond the end: %d, %v", n, err)
	}
}
