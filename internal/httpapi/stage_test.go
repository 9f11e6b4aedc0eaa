package httpapi_test

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/perezvon/perezvon/internal/httpapi/access"
	"github.com/perezvon/perezvon/internal/httpapi/httpapitest"
	"github.com/perezvon/perezvon/internal/media/g711"
	"github.com/perezvon/perezvon/internal/media/tone"
)

// "Each stage can be played by itself."
func TestEachStageCanBePlayedByItself(t *testing.T) {
	for _, rate := range []int{8000, 16000} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			s := httpapitest.New(t, httpapitest.Options{})
			path := "/api/v1/calls/" + s.PassedOn(rate) + "/recording"
			for i, freq := range []float64{700, 1000, 1300} {
				a := s.Do("GET", fmt.Sprintf("%s?stage=%d", path, i+1), nil)
				if a.Status != 200 || a.Header.Get("Content-Type") != "audio/wav" || !strings.Contains(a.Header.Get("Content-Disposition"), fmt.Sprintf(".stage%d.wav", i+1)) {
					t.Fatalf("stage %d: %d %v %.200s", i+1, a.Status, a.Header, a.Body)
				}
				if got := int(binary.LittleEndian.Uint32(a.Body[24:])); got != rate {
					t.Errorf("stage %d: rate %d", i+1, got)
				}
				size := int(binary.LittleEndian.Uint32(a.Body[54:]))
				if len(a.Body) != 58+size || size != 2*10*rate || int(binary.LittleEndian.Uint32(a.Body[4:])) != len(a.Body)-8 {
					t.Fatalf("stage %d: %d bytes, header says %d", i+1, len(a.Body), size)
				}
				both := g711.DecodeALaw(nil, a.Body[58:])
				var left, right []int16
				for k := 0; k < len(both); k += 2 {
					left, right = append(left, both[k]), append(right, both[k+1])
				}
				for second := range 10 {
					from, to := second*rate, (second+1)*rate
					if l, r := tone.Strength(left[from:to], rate, 500), tone.Strength(right[from:to], rate, freq); l < 0.95 || r < 0.95 {
						t.Errorf("stage %d, second %d: left %.2f, right %.2f", i+1, second, l, r)
					}
				}
				part := s.Do("GET", fmt.Sprintf("%s?stage=%d", path, i+1), nil, "Range", "bytes=50-69")
				if part.Status != http.StatusPartialContent || string(part.Body) != string(a.Body[50:70]) {
					t.Errorf("stage %d: range: %d", i+1, part.Status)
				}
			}
			if p := mustBeProblem(t, s.Do("GET", path+"?stage=4", nil), http.StatusNotFound); !strings.Contains(p.Detail, "3 stages") {
				t.Errorf("%+v", p)
			}
			mustBeProblem(t, s.Do("GET", path+"?stage=0", nil), http.StatusUnprocessableEntity)
			mustBeProblem(t, s.Do("GET", path+"?stage=x", nil), http.StatusUnprocessableEntity)
		})
	}
}

func TestAStageCanBeCompressed(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	path := "/api/v1/calls/" + s.PassedOn(8000) + "/recording?format=mp3"
	if _, err := exec.LookPath("lame"); err != nil {
		if _, err := exec.LookPath("ffmpeg"); err != nil {
			mustBeProblem(t, s.Do("GET", path+"&stage=2", nil), http.StatusNotAcceptable)
			return
		}
	}
	whole, part := s.Do("GET", path, nil), s.Do("GET", path+"&stage=2", nil)
	if part.Status != 200 || part.Header.Get("Content-Type") != "audio/mpeg" {
		t.Fatalf("%d %s", part.Status, part.Body)
	}
	if len(part.Body) > len(whole.Body)/2 || len(part.Body) < len(whole.Body)/5 {
		t.Errorf("a stage is %d bytes of %d", len(part.Body), len(whole.Body))
	}
}

func TestAStageBeyondTheRecordingIsCutOff(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	id := s.Talk(time.Now().Add(-time.Hour)) // joined from 10.5 to 30.51 s of a recording of 30
	s.Record(id)
	a := s.Do("GET", "/api/v1/calls/"+id+"/recording?stage=1", nil)
	if want := 58 + 2*8*19500; a.Status != 200 || len(a.Body) != want {
		t.Errorf("%d, %d bytes, want %d", a.Status, len(a.Body), want)
	}
}

func TestAConsultationNeedsAKey(t *testing.T) {
	s := httpapitest.New(t, httpapitest.Options{})
	id := s.PassedOn(8000)
	path := "/api/v1/calls/" + id + "/recording/consultation"
	if p := mustBeProblem(t, s.Do("GET", path, nil), http.StatusNotFound); !strings.Contains(p.Detail, "consult") {
		t.Errorf("%+v", p)
	}
	sound := tone.Sine(700, time.Second, 8000, 8000).Samples
	s.Sound(id, "consultation.wav", 8000, sound, sound)
	if a := s.Do("GET", path, nil); a.Status != 200 || len(a.Body) != 58+2*8000 {
		t.Errorf("%d, %d bytes", a.Status, len(a.Body))
	}
	// Whom a recording was sent to need not hear what was said without him.
	if a := s.Do("GET", path+"?"+s.Door.Signer.Link(id, time.Now().Add(time.Hour)), nil, "Authorization", ""); a.Status != http.StatusUnauthorized {
		t.Errorf("a signed link: %d", a.Status)
	}
	if a := s.Do("GET", path, nil, "Authorization", "Bearer "+s.Key(access.Read)); a.Status != 200 {
		t.Errorf("a key that may read: %d", a.Status)
	}
}
